//! The upload of one file, step by step. Each acknowledged step is saved before the next request.

use std::time::Duration;

use capstan_objects::MAX_HASHED_BYTES;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::client::{Client, ClientError};
use crate::progress::Progress;
use crate::upload::Destination;
use crate::upload::error::UploadError;
use crate::upload::patience::{Patience, passes};
use crate::upload::source::Source;
use crate::upload::state::{StateFile, Step, UploadMethod};

/// Files up to this size are uploaded by one PUT: little has to be repeated after a lost connection.
const LARGEST_ONE_PUT: u64 = 16 * 1024 * 1024;
/// Attempts to upload the whole file before the client gives up.
const MAX_ATTEMPTS: u32 = 5;
/// Time to wait for a response. API Gateway waits 30 s for a function.
const LONGEST_ANSWER: Duration = Duration::from_secs(40);

/// The upload of one file.
pub(crate) struct FileUpload<'a> {
    pub(super) destination: &'a Destination,
    pub(super) source: Source,
    pub(super) state: StateFile,
    pub(super) parallel: usize,
    pub(super) patience: Patience,
    pub(super) progress: Progress,
    /// Upload URLs that are still valid.
    pub(super) signed_urls: Option<SignedUrls>,
    multipart: bool,
}

/// A response with presigned URLs. It is never written to disk.
#[derive(Debug)]
pub(super) struct SignedUrls {
    pub(super) answer: Value,
    /// When the URLs were requested, by the monotonic clock: the wall clock of a device may be wrong.
    pub(super) asked_at: Instant,
}

/// The media file that receives the bytes.
#[derive(Clone, Debug)]
pub(super) struct UploadTarget {
    pub(super) recording_id: String,
    pub(super) media_id: String,
    pub(super) method: UploadMethod,
}

impl UploadTarget {
    /// The recording's path.
    pub(super) fn path(&self) -> String {
        format!("/v1/recordings/{}", self.recording_id)
    }

    pub(super) fn uploaded(self) -> Step {
        Step::Uploaded { recording_id: self.recording_id, media_id: self.media_id, method: self.method }
    }

    fn uploading(self) -> Step {
        Step::Uploading { recording_id: self.recording_id, media_id: self.media_id, method: self.method }
    }
}

impl<'a> FileUpload<'a> {
    pub(crate) fn new(
        destination: &'a Destination,
        source: Source,
        state: StateFile,
        multipart: bool,
        parallel: usize,
        patience: Duration,
    ) -> Self {
        let progress = Progress::of_bytes(&format!("uploading {}", source.name()), source.size_bytes());
        let patience = Patience::new(patience);
        Self { destination, source, state, parallel, patience, progress, signed_urls: None, multipart }
    }

    /// Takes the remaining steps and returns the id of the recording.
    ///
    /// # Errors
    /// [`UploadError`].
    pub(crate) async fn go(&mut self) -> Result<String, UploadError> {
        loop {
            match self.state.step().clone() {
                Step::New => self.create().await?,
                Step::Created { recording_id } => self.begin(&recording_id).await?,
                Step::Uploading { recording_id, media_id, method } => {
                    let target = UploadTarget { recording_id, media_id, method };
                    match method {
                        UploadMethod::SinglePut => self.send_whole(target).await?,
                        UploadMethod::Multipart => self.send_parts(target).await?,
                    }
                }
                Step::Uploaded { recording_id, media_id, method } => {
                    self.complete(UploadTarget { recording_id, media_id, method }).await?;
                }
                Step::Completed { recording_id } => {
                    let name = self.source.name();
                    self.progress.finish(&format!("uploaded {name} ({} bytes)", self.source.size_bytes()));
                    return Ok(recording_id);
                }
            }
            self.patience.progressed();
        }
    }

    /// Discards the saved state.
    ///
    /// # Errors
    /// [`UploadError::State`].
    pub(crate) fn restart(&mut self) -> Result<(), UploadError> {
        self.signed_urls = None;
        self.state.restart()
    }

    async fn create(&mut self) -> Result<(), UploadError> {
        let body = self.destination.new_recording(&self.source.name());
        let made = self.post("/v1/recordings", &self.state.key("create"), &body).await?;
        let recording_id = text(&made, "/v1/recordings", "id")?;
        self.state.advance(Step::Created { recording_id })
    }

    async fn begin(&mut self, recording_id: &str) -> Result<(), UploadError> {
        let in_parts = self.multipart || self.source.size_bytes() > LARGEST_ONE_PUT;
        let method = if in_parts { UploadMethod::Multipart } else { UploadMethod::SinglePut };
        let signed_urls = self.request_urls(recording_id, method, None, &self.state.key_of_attempt("url")).await?;
        let media_id = text(&signed_urls.answer, "upload-url", "media_id")?;
        self.signed_urls = Some(signed_urls);
        self.state.advance(UploadTarget { recording_id: recording_id.to_owned(), media_id, method }.uploading())
    }

    /// Uploads the same media file again from its first byte.
    pub(super) async fn upload_file_again(&mut self, target: UploadTarget) -> Result<(), UploadError> {
        if self.state.attempt() >= MAX_ATTEMPTS {
            return Err(UploadError::NeverComplete(MAX_ATTEMPTS));
        }
        self.progress.note(&format!("{} did not arrive complete and is uploaded again", self.source.name()));
        self.state.restart_file(target.clone().uploading())?;
        let (id, media_id) = (&target.recording_id, Some(target.media_id.as_str()));
        let signed_urls = self.request_urls(id, target.method, media_id, &self.state.key_of_attempt("url")).await?;
        self.signed_urls = Some(signed_urls);
        Ok(())
    }

    /// Creates upload URLs for a new media file, or for the named one.
    pub(super) async fn request_urls(
        &mut self,
        recording_id: &str,
        method: UploadMethod,
        media_id: Option<&str>,
        key: &str,
    ) -> Result<SignedUrls, UploadError> {
        let mut body = json!({
            "content_type": self.source.content_type(),
            "file_size_bytes": self.source.size_bytes(),
        });
        match method {
            UploadMethod::SinglePut => body["content_sha256"] = json!(self.content_sha256().await?),
            UploadMethod::Multipart => body["multipart"] = json!(true),
        }
        if let Some(media_id) = media_id {
            body["media_id"] = json!(media_id);
        }
        let asked_at = Instant::now();
        let path = format!("/v1/recordings/{recording_id}/upload-url");
        let answer = self.post(&path, key, &body).await.map_err(|error| gone(error, recording_id))?;
        Ok(SignedUrls { answer, asked_at })
    }

    async fn complete(&mut self, target: UploadTarget) -> Result<(), UploadError> {
        let mut body = json!({"file_size_bytes": self.source.size_bytes()});
        if self.source.size_bytes() <= MAX_HASHED_BYTES {
            body["content_sha256"] = json!(self.content_sha256().await?);
        }
        self.source.require_unchanged().await?;
        let path = format!("{}/upload-complete", target.path());
        match self.post(&path, &self.state.key_of_attempt("complete"), &body).await {
            Ok(_) => self.state.advance(Step::Completed { recording_id: target.recording_id }),
            Err(error) if is_refused_as(&error, &["integrity_mismatch", "media_not_uploaded"]) => {
                self.upload_file_again(target).await
            }
            Err(error) => Err(gone(error, &target.recording_id)),
        }
    }

    /// SHA-256 of the whole file. Computed once.
    pub(super) async fn content_sha256(&mut self) -> Result<String, UploadError> {
        if let Some(known) = self.state.content_sha256() {
            return Ok(known.to_owned());
        }
        let hash = self.source.hash().await.map_err(|error| UploadError::Unreadable(error.into()))?;
        let hash = hash.map_err(UploadError::Unreadable)?;
        self.source.require_unchanged().await?;
        self.state.save_hash(hash.clone())?;
        Ok(hash)
    }

    /// Sends a POST until a response arrives.
    pub(super) async fn post(&self, path: &str, key: &str, body: &Value) -> Result<Value, UploadError> {
        let credential = &self.destination.credential;
        self.retry_until_answered(path, async |client| client.post_once(path, credential, key, body).await).await
    }

    /// Sends a GET until a response arrives.
    pub(super) async fn get(&self, path: &str) -> Result<Value, UploadError> {
        let credential = &self.destination.credential;
        self.retry_until_answered(path, async |client| client.call(Method::GET, path, credential, None).await).await
    }

    async fn retry_until_answered(
        &self,
        path: &str,
        ask: impl AsyncFn(&Client) -> Result<Value, ClientError>,
    ) -> Result<Value, UploadError> {
        for tries in 0.. {
            let late = |_| ClientError::Unreachable { url: path.to_owned(), reason: "no answer in time".to_owned() };
            let answered = timeout(LONGEST_ANSWER, ask(&self.destination.client)).await.map_err(late);
            match answered.and_then(|answer| answer) {
                Ok(answer) => return Ok(answer),
                Err(error) if passes(&error) => self.wait(tries, &error).await?,
                Err(error) => return Err(UploadError::Refused(error)),
            }
        }
        unreachable!("tries without end");
    }

    /// Waits before the next try, or gives up.
    pub(super) async fn wait(&self, tries: u32, error: &ClientError) -> Result<(), UploadError> {
        self.progress.note(&format!("{}: {error}; trying again", self.source.name()));
        self.patience.wait(tries, error).await
    }
}

/// A refusal because the recording is deleted or expired.
pub(super) fn gone(error: UploadError, recording_id: &str) -> UploadError {
    if is_refused_as(&error, &["not_found", "upload_expired"]) {
        UploadError::Gone { recording_id: recording_id.to_owned() }
    } else {
        error
    }
}

pub(super) fn is_refused_as(error: &UploadError, codes: &[&str]) -> bool {
    matches!(error, UploadError::Refused(refusal) if codes.iter().any(|code| has_code(refusal, code)))
}

pub(super) fn has_code(error: &ClientError, expected: &str) -> bool {
    matches!(error, ClientError::Refused { code: Some(code), .. } if **code == *expected)
}

/// Parses a response.
pub(super) fn parse<T: DeserializeOwned>(answer: Value, path: &str) -> Result<T, UploadError> {
    serde_json::from_value(answer).map_err(|reason| UploadError::Answer { path: path.to_owned(), reason })
}

fn text(answer: &Value, path: &str, name: &str) -> Result<String, UploadError> {
    parse(answer[name].clone(), path)
}
