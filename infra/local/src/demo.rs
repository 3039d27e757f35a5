//! The demonstration: a file goes through the stack as a device's recording would, over real HTTP.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::client::{Client, ClientError};
use crate::file_type;
use crate::progress::Progress;

/// Speech, shipped with the project.
const SAMPLE: &[u8] = include_bytes!("../sample/spoken.ogg");
const SAMPLE_NAME: &str = "spoken.ogg";
const POLL: Duration = Duration::from_millis(250);

/// Why a demonstration did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Its name does not say what it is.
    #[error("{}: cannot tell the type by the name; known are {}", .0.display(), file_type::known())]
    UnknownType(PathBuf),
    /// The API or S3 refused, or did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An answer lacks what it must have.
    #[error("the answer to {0} has no {1}")]
    Incomplete(&'static str, &'static str),
    /// A rendition cannot be kept.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Who takes part, and where.
#[derive(Clone, Debug)]
pub struct Parties {
    /// Where the API answers.
    pub url: String,
    /// What the device has.
    pub device_token: String,
    /// What the project's server has.
    pub api_key: String,
}

/// A file that was made of the recording.
#[derive(Clone, Debug)]
pub struct Made {
    /// What it is: `original`, or the kind of a rendition.
    pub kind: String,
    /// Where it can be fetched.
    pub download_url: String,
    /// Where a copy was put.
    pub copy: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The recording at its end.
    pub recording: Value,
    /// The original and its renditions.
    pub files: Vec<Made>,
    /// The transcription at its end; `None` where nobody transcribes here.
    pub transcription: Option<Value>,
}

impl Outcome {
    /// Whether the recording was processed.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.recording["status"] == "completed"
    }
}

/// What is uploaded.
#[derive(Debug)]
pub struct Upload {
    path: Option<PathBuf>,
    name: String,
    content_type: &'static str,
    size: u64,
    sha256: String,
}

impl Upload {
    /// Looks at the file, or at the shipped sample.
    ///
    /// # Errors
    /// [`DemoError::Unreadable`] and [`DemoError::UnknownType`].
    pub async fn of(path: Option<&Path>) -> Result<Self, DemoError> {
        let named = path.unwrap_or(Path::new(SAMPLE_NAME));
        let content_type = file_type::of_name(named).ok_or_else(|| DemoError::UnknownType(named.to_owned()))?;
        let mut upload = Self {
            path: path.map(Path::to_owned),
            name: named.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            content_type,
            size: 0,
            sha256: String::new(),
        };
        let unreadable = |source| DemoError::Unreadable { path: named.to_owned(), source };
        let mut source = upload.open().await.map_err(unreadable)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
        loop {
            let read = source.read(&mut buffer).await.map_err(unreadable)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            upload.size += read as u64;
        }
        upload.sha256 = hex::encode(hash.finalize());
        Ok(upload)
    }

    async fn open(&self) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
        Ok(match &self.path {
            Some(path) => Box::pin(File::open(path).await?),
            None => Box::pin(SAMPLE),
        })
    }
}

/// Uploads, waits for the end of processing, and fetches what was made into `copies`.
///
/// # Errors
/// [`DemoError`] when anything but the processing itself fails.
pub async fn run(parties: &Parties, upload: &Upload, copies: &Path) -> Result<Outcome, DemoError> {
    let client = Client::new(&parties.url);
    let device = parties.device_token.as_str();
    let new = json!({"name": upload.name, "source": "device"});
    let recording = client.call(Method::POST, "/v1/recordings", device, Some(&new)).await?;
    let id = recording["id"].as_str().ok_or(DemoError::Incomplete("POST /v1/recordings", "id"))?;
    let path = format!("/v1/recordings/{id}");

    send(&client, device, &path, upload).await?;
    let complete = format!("{path}/upload-complete");
    client.call(Method::POST, &complete, device, Some(&json!({}))).await?;
    let recording = wait(&client, &parties.api_key, &path).await?;
    let files = fetch(&client, &parties.api_key, &path, &recording, &copies.join(id)).await?;
    let transcription = match recording["status"].as_str() {
        Some("completed") => transcribe(&client, &parties.api_key, &path).await?,
        _ => None,
    };
    Ok(Outcome { recording, files, transcription })
}

/// Asks for the text of the recording, if anybody transcribes here, and waits for it.
async fn transcribe(client: &Client, api_key: &str, path: &str) -> Result<Option<Value>, DemoError> {
    let asked = client.call(Method::POST, &format!("{path}/transcribe"), api_key, Some(&json!({}))).await;
    let id = match asked {
        Ok(pending) => pending["id"].as_str().map(str::to_owned),
        Err(ClientError::Refused { code: Some(code), .. }) if &*code == "provider_not_configured" => return Ok(None),
        // It is under way: the project wants it of every recording.
        Err(ClientError::Refused { status: 409, .. }) => {
            let recording = client.call(Method::GET, path, api_key, None).await?;
            recording["transcription_id"].as_str().map(str::to_owned)
        }
        Err(error) => return Err(error.into()),
    };
    let id = id.ok_or(DemoError::Incomplete("transcribe", "id"))?;
    wait(client, api_key, &format!("/v1/transcriptions/{id}")).await.map(Some)
}

async fn send(client: &Client, device: &str, path: &str, upload: &Upload) -> Result<(), DemoError> {
    let wanted = json!({
        "content_type": upload.content_type,
        "file_size_bytes": upload.size,
        "content_sha256": upload.sha256,
    });
    let signed = client.call(Method::POST, &format!("{path}/upload-url"), device, Some(&wanted)).await?;
    let url = signed["upload_url"].as_str().ok_or(DemoError::Incomplete("upload-url", "upload_url"))?;
    let headers: Vec<(String, String)> = signed["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let unreadable = |source| DemoError::Unreadable { path: upload.path.clone().unwrap_or_default(), source };
    let source = upload.open().await.map_err(unreadable)?;
    let progress = Progress::of_bytes(&format!("uploading {}", upload.name), upload.size);
    let shown = progress.clone();
    client.put(url, &headers, source, upload.size, move |bytes| shown.advance(bytes)).await?;
    progress.finish(&format!("uploaded {} ({} bytes)", upload.name, upload.size));
    Ok(())
}

async fn wait(client: &Client, api_key: &str, path: &str) -> Result<Value, DemoError> {
    let start = Instant::now();
    let progress = Progress::of_waiting("waiting");
    let what = path.split('/').nth(2).unwrap_or_default().trim_end_matches('s');
    loop {
        let entity = client.call(Method::GET, path, api_key, None).await?;
        let status = entity["status"].as_str().unwrap_or_default();
        if matches!(status, "completed" | "failed") {
            progress.finish(&format!("{what} {status} after {:.1} s", start.elapsed().as_secs_f64()));
            return Ok(entity);
        }
        progress.say(status);
        tokio::time::sleep(POLL).await;
    }
}

async fn fetch(
    client: &Client,
    api_key: &str,
    path: &str,
    recording: &Value,
    folder: &Path,
) -> Result<Vec<Made>, DemoError> {
    let mut wanted = Vec::new();
    for media in recording["media"].as_array().into_iter().flatten() {
        wanted.push(("original", json!({"media_id": media["id"]})));
        for rendition in media["renditions"].as_array().into_iter().flatten() {
            let kind = rendition["kind"].as_str().unwrap_or("rendition");
            wanted.push((kind, json!({"rendition_id": rendition["id"]})));
        }
    }
    let unwritable = |path: &Path, source| DemoError::Unwritable { path: path.to_owned(), source };
    tokio::fs::create_dir_all(folder).await.map_err(|source| unwritable(folder, source))?;
    let mut files = Vec::new();
    for (kind, request) in wanted {
        let answer = client.call(Method::POST, &format!("{path}/download-url"), api_key, Some(&request)).await?;
        let url = answer["download_url"].as_str().ok_or(DemoError::Incomplete("download-url", "download_url"))?;
        let content_type = answer["content_type"].as_str().unwrap_or_default();
        let copy = folder.join(format!("{kind}.{}", file_type::extension(content_type)));
        let mut file = File::create(&copy).await.map_err(|source| unwritable(&copy, source))?;
        client.get(url, &mut file).await?;
        files.push(Made { kind: kind.to_owned(), download_url: url.to_owned(), copy });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_type_follows_the_extension() {
        let root = tempfile::tempdir().unwrap();
        for (name, content_type) in [("a.WAV", "audio/wav"), ("b.m4a", "audio/mp4"), ("c.jpg", "image/jpeg")] {
            let path = root.path().join(name);
            std::fs::write(&path, b"abc").unwrap();
            let upload = Upload::of(Some(&path)).await.unwrap();
            assert_eq!((upload.content_type, upload.size), (content_type, 3));
            assert_eq!(upload.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        }
        let error = Upload::of(Some(&root.path().join("notes.txt"))).await.unwrap_err();
        assert!(error.to_string().contains("notes.txt"), "{error}");
        let error = Upload::of(Some(&root.path().join("missing.ogg"))).await.unwrap_err();
        assert!(error.to_string().contains("cannot read"), "{error}");
    }

    #[tokio::test]
    async fn without_a_file_the_shipped_sample_is_taken() {
        let upload = Upload::of(None).await.unwrap();
        assert_eq!((upload.content_type, upload.size), ("audio/ogg", SAMPLE.len() as u64));
    }
}
