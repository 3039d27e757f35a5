//! Multipart upload: parts are uploaded in parallel, and only missing parts are repeated.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use capstan_objects::MAX_HASHED_BYTES;
use futures_util::StreamExt;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::ClientError;
use crate::upload::error::UploadError;
use crate::upload::file_upload::{FileUpload, SignedUrls, UploadTarget, gone, has_code, is_refused_as, parse};
use crate::upload::one_put::{MAX_REFUSALS, is_expiry, wants_another_url};
use crate::upload::patience::passes;

/// Attempts to upload a part by one URL before the client asks which parts S3 has.
const TRIES_BY_ONE_URL: u32 = 4;

/// The missing parts, with presigned URLs.
#[derive(Debug, Deserialize)]
struct Missing {
    /// Status of the media file. `None` in the response that starts the upload.
    status: Option<String>,
    part_size_bytes: u64,
    #[serde(default)]
    parts_received: Vec<Received>,
    parts: Vec<Part>,
    next_part_number: Option<u16>,
    headers: BTreeMap<String, String>,
    /// Seconds.
    expires_in: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Received {
    size_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Part {
    part_number: u16,
    size_bytes: u64,
    upload_url: String,
}

/// Result of uploading the parts that had URLs.
#[derive(Debug, Default)]
struct UploadedParts {
    sent: usize,
    /// Why the remaining parts were not uploaded.
    stopped_by: Option<ClientError>,
}

impl FileUpload<'_> {
    pub(super) async fn send_parts(&mut self, target: UploadTarget) -> Result<(), UploadError> {
        // Concurrently with the upload, while the bytes are in the page cache.
        let is_wanted = self.state.content_sha256().is_none() && self.source.size_bytes() <= MAX_HASHED_BYTES;
        let hash = is_wanted.then(|| self.source.hash());
        let outcome = self.send_missing(&target).await;
        if let Some(hash) = hash {
            self.save_hash(hash, outcome.is_ok()).await?;
        }
        match outcome {
            Ok(()) => self.state.advance(target.uploaded()),
            Err(error) if is_refused_as(&error, &["upload_expired"]) => self.upload_file_again(target).await,
            Err(error) => Err(gone(error, &target.recording_id)),
        }
    }

    async fn save_hash(
        &mut self,
        hash: JoinHandle<std::io::Result<String>>,
        is_wanted: bool,
    ) -> Result<(), UploadError> {
        if !is_wanted && !hash.is_finished() {
            hash.abort();
            return Ok(());
        }
        let hash = hash.await.map_err(|error| UploadError::Unreadable(error.into()))?;
        let hash = hash.map_err(UploadError::Unreadable)?;
        self.source.require_unchanged().await?;
        self.state.save_hash(hash)
    }

    /// Uploads parts until S3 holds the file as one object.
    async fn send_missing(&mut self, target: &UploadTarget) -> Result<(), UploadError> {
        let path = format!("{}/media/{}/upload", target.path(), target.media_id);
        let (mut idle, mut refusals) = (0, 0);
        loop {
            self.source.require_unchanged().await?;
            let (missing, good_until) = self.missing(&path).await?;
            if missing.status.as_deref() == Some("uploaded") {
                return Ok(());
            }
            let uploaded = self.upload_parts(&missing, good_until).await?;
            if uploaded.sent > 0 {
                (idle, refusals) = (0, 0);
            }
            if let Some(error) = uploaded.stopped_by {
                refusals += u32::from(wants_another_url(&error) && !is_expiry(&error));
                if refusals > MAX_REFUSALS {
                    return Err(UploadError::Refused(error));
                }
                self.wait(idle, &error).await?;
                idle += 1;
            } else if uploaded.sent == missing.parts.len() && missing.next_part_number.is_none() {
                let complete = format!("{path}/complete");
                match self.post(&complete, &self.state.key_of_attempt("parts"), &json!({})).await {
                    Err(UploadError::Refused(error)) if has_code(&error, "parts_missing") => {
                        self.wait(idle, &error).await?;
                        idle += 1;
                    }
                    completed => return completed.map(drop),
                }
            }
        }
    }

    async fn missing(&mut self, path: &str) -> Result<(Missing, Instant), UploadError> {
        let SignedUrls { answer, asked_at } = match self.signed_urls.take() {
            Some(signed_urls) => signed_urls,
            None => {
                let asked_at = Instant::now();
                SignedUrls { answer: self.get(path).await?, asked_at }
            }
        };
        let missing: Missing = parse(answer, path)?;
        self.progress.begin_at(missing.parts_received.iter().map(|part| part.size_bytes).sum());
        // The last tenth of the validity is for parts in transit.
        let validity = Duration::from_secs(missing.expires_in.unwrap_or(3600));
        Ok((missing, asked_at + validity.mul_f64(0.9)))
    }

    /// Uploads parts until all URLs are used or S3 rejects one.
    async fn upload_parts(&self, missing: &Missing, good_until: Instant) -> Result<UploadedParts, UploadError> {
        let uploaded = RefCell::new(UploadedParts::default());
        let sending = missing.parts.iter().map(|part| async {
            if uploaded.borrow().stopped_by.is_some() || Instant::now() > good_until {
                return Ok(());
            }
            match self.send_part(part, missing).await? {
                Ok(()) => {
                    self.patience.progressed();
                    uploaded.borrow_mut().sent += 1;
                }
                Err(error) => uploaded.borrow_mut().stopped_by = Some(error),
            }
            Ok(())
        });
        let mut sending = stream::iter(sending).buffer_unordered(self.parallel);
        while let Some(outcome) = sending.next().await {
            outcome?;
        }
        drop(sending);
        Ok(uploaded.into_inner())
    }

    /// The inner error may be resolved by another presigned URL.
    async fn send_part(&self, part: &Part, of: &Missing) -> Result<Result<(), ClientError>, UploadError> {
        let offset = u64::from(part.part_number.saturating_sub(1)) * of.part_size_bytes;
        for tries in 0.. {
            match self.put(&part.upload_url, &of.headers, offset, part.size_bytes).await? {
                Ok(()) => break,
                Err(error) if wants_another_url(&error) => return Ok(Err(error)),
                Err(error) if !passes(&error) => return Err(UploadError::Refused(error)),
                Err(error) if tries + 1 >= TRIES_BY_ONE_URL => return Ok(Err(error)),
                Err(error) => self.wait(tries, &error).await?,
            }
        }
        Ok(Ok(()))
    }
}
