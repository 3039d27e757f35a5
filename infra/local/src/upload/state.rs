//! The state of an upload on disk, from which a killed client resumes. It never holds a credential or a presigned URL.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::upload::error::UploadError;
use crate::upload::source::{Source, Version};

/// The last step of an upload that the server acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum Step {
    /// No request was acknowledged.
    New,
    /// The recording is created.
    Created { recording_id: String },
    /// The media file is being uploaded.
    Uploading { recording_id: String, media_id: String, method: UploadMethod },
    /// The media file is stored as one object.
    Uploaded { recording_id: String, media_id: String, method: UploadMethod },
    /// The upload of the recording is completed.
    Completed { recording_id: String },
}

/// How a media file is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UploadMethod {
    SinglePut,
    Multipart,
}

impl Step {
    pub(crate) fn recording_id(&self) -> Option<&str> {
        match self {
            Self::New => None,
            Self::Created { recording_id }
            | Self::Uploading { recording_id, .. }
            | Self::Uploaded { recording_id, .. }
            | Self::Completed { recording_id } => Some(recording_id),
        }
    }

    pub(crate) fn completed(&self) -> Option<&str> {
        match self {
            Self::Completed { recording_id } => Some(recording_id),
            _ => None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    file: String,
    version: Version,
    /// Prefix of every `Idempotency-Key` of this upload.
    upload: String,
    /// Number of attempts to upload the whole file, from 1. Each attempt has its own `Idempotency-Key`.
    attempt: u32,
    content_sha256: Option<String>,
    #[serde(flatten)]
    step: Step,
}

impl State {
    fn new(source: &Source) -> Self {
        Self {
            file: source.name(),
            version: source.version().clone(),
            upload: uuid::Uuid::new_v4().simple().to_string(),
            attempt: 1,
            content_sha256: None,
            step: Step::New,
        }
    }
}

/// The state that an earlier run left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// A state of the same content, judged by size and modification time.
    OfThisContent,
    OfAnotherContent,
}

/// The state of one file for one destination. This process holds its lock.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    state: State,
    fresh: Version,
    /// Locked as long as it is open; a killed process holds no lock.
    _lock: File,
}

impl StateFile {
    /// Opens the state of `source` for the destination `target`.
    ///
    /// # Errors
    /// [`UploadError::InUse`], and [`UploadError::State`] when the disk refuses.
    pub(crate) fn open(directory: &Path, target: &str, source: &Source) -> Result<(Self, Found), UploadError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| UploadError::State { path: directory.to_owned(), source })?;
        let mut name = Sha256::new();
        name.update(target);
        name.update([0]);
        name.update(source.path_bytes());
        let path = directory.join(hex::encode(&name.finalize()[..16])).with_extension("json");
        let failed = |source| UploadError::State { path: path.clone(), source };
        let lock = File::create(path.with_extension("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(UploadError::InUse),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let known = match fs::read(&path) {
            // A state that cannot be parsed was written by another version of this program.
            Ok(text) => serde_json::from_slice::<State>(&text).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(failed(source)),
        };
        let fresh = source.version().clone();
        let found = match &known {
            None => Found::Nothing,
            Some(known) if known.version == fresh => Found::OfThisContent,
            Some(_) => Found::OfAnotherContent,
        };
        let file = Self { path, state: known.unwrap_or_else(|| State::new(source)), fresh, _lock: lock };
        // Written before the first request, so that a killed client repeats it with the same keys.
        file.write()?;
        Ok((file, found))
    }

    pub(crate) fn step(&self) -> &Step {
        &self.state.step
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.state.attempt
    }

    pub(crate) fn content_sha256(&self) -> Option<&str> {
        self.state.content_sha256.as_deref()
    }

    /// The `Idempotency-Key` of a request that is made once per upload.
    pub(crate) fn key(&self, call: &str) -> String {
        format!("{}-{call}", self.state.upload)
    }

    /// The `Idempotency-Key` of a request that is made once per attempt.
    pub(crate) fn key_of_attempt(&self, call: &str) -> String {
        format!("{}-{call}-{}", self.state.upload, self.state.attempt)
    }

    /// # Errors
    /// [`UploadError::State`] when the state cannot be written.
    pub(crate) fn advance(&mut self, step: Step) -> Result<(), UploadError> {
        self.state.step = step;
        self.write()
    }

    /// Starts another attempt to upload the whole file.
    pub(crate) fn restart_file(&mut self, step: Step) -> Result<(), UploadError> {
        self.state.attempt += 1;
        self.advance(step)
    }

    pub(crate) fn save_hash(&mut self, content_sha256: String) -> Result<(), UploadError> {
        self.state.content_sha256 = Some(content_sha256);
        self.write()
    }

    /// Discards the state and starts one for the present content of the file.
    pub(crate) fn restart(&mut self) -> Result<(), UploadError> {
        self.state = State {
            file: std::mem::take(&mut self.state.file),
            version: self.fresh.clone(),
            upload: uuid::Uuid::new_v4().simple().to_string(),
            attempt: 1,
            content_sha256: None,
            step: Step::New,
        };
        self.write()
    }

    /// Atomic: after a kill the file holds the old state or the new one.
    fn write(&self) -> Result<(), UploadError> {
        let unfinished = self.path.with_extension("new");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&serde_json::to_vec_pretty(&self.state)?)?;
            // Without it, a power failure may leave an empty file under the new name.
            file.sync_all()?;
            fs::rename(&unfinished, &self.path)
        };
        write().map_err(|source| UploadError::State { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(root: &Path, bytes: &[u8]) -> Source {
        let path = root.join("a.wav");
        fs::write(&path, bytes).unwrap();
        Source::of(&path).unwrap()
    }

    #[test]
    fn a_state_is_found_for_the_same_content_and_destination_only() {
        let root = tempfile::tempdir().unwrap();
        let states = root.path().join("states");
        let first = source(root.path(), b"abc");
        let (mut state, found) = StateFile::open(&states, "here", &first).unwrap();
        assert_eq!(found, Found::Nothing);
        let step = Step::Created { recording_id: "rec_1".to_owned() };
        state.advance(step.clone()).unwrap();
        let key = state.key("create");
        assert!(matches!(StateFile::open(&states, "here", &first), Err(UploadError::InUse)));
        drop(state);

        let (state, found) = StateFile::open(&states, "here", &first).unwrap();
        assert_eq!((state.step(), found, state.key("create")), (&step, Found::OfThisContent, key.clone()));
        let (other, found) = StateFile::open(&states, "there", &first).unwrap();
        assert_eq!((other.step(), found), (&Step::New, Found::Nothing));
        drop(state);

        let second = source(root.path(), b"abcd");
        let (mut state, found) = StateFile::open(&states, "here", &second).unwrap();
        assert_eq!(found, Found::OfAnotherContent);
        state.restart().unwrap();
        assert_ne!(state.key("create"), key);
        drop(state);
        assert_eq!(StateFile::open(&states, "here", &second).unwrap().1, Found::OfThisContent);
    }

    #[test]
    fn a_state_that_cannot_be_parsed_is_ignored() {
        let root = tempfile::tempdir().unwrap();
        let source = source(root.path(), b"abc");
        let (state, _) = StateFile::open(root.path(), "", &source).unwrap();
        let path = state.path.clone();
        drop(state);
        fs::write(path, b"{\"step\": \"flown\"").unwrap();
        assert_eq!(StateFile::open(root.path(), "", &source).unwrap().1, Found::Nothing);
    }
}
