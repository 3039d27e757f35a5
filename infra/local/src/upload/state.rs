//! How far a file has come, on disk: what a killed client goes on with. Never a key, never a signed URL.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::upload::error::UploadError;
use crate::upload::source::{Source, Version};

/// How far an upload has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum Step {
    /// Nothing was acknowledged.
    New,
    /// There is a recording.
    Created { recording_id: String },
    /// Bytes are being sent for a media file.
    Begun { recording_id: String, media_id: String, manner: Manner },
    /// All bytes are there, as one object.
    Sent { recording_id: String, media_id: String, manner: Manner },
    /// The recording is uploaded.
    Completed { recording_id: String },
}

/// How the bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Manner {
    OnePut,
    InParts,
}

impl Step {
    pub(crate) fn recording_id(&self) -> Option<&str> {
        match self {
            Self::New => None,
            Self::Created { recording_id }
            | Self::Begun { recording_id, .. }
            | Self::Sent { recording_id, .. }
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
    /// What every `Idempotency-Key` of this upload begins with.
    upload: String,
    /// How often the bytes had to be begun: each time is another call.
    round: u32,
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
            round: 1,
            content_sha256: None,
            step: Step::New,
        }
    }
}

/// What an earlier run left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// Of the same bytes, as far as size and time of change tell.
    OfThisContent,
    OfAnotherContent,
}

/// The state of one file on its way to one place, which this process alone holds.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    state: State,
    fresh: Version,
    /// Locked as long as it is open; a killed process holds no lock.
    _lock: File,
}

impl StateFile {
    /// Opens what is known of `source` on its way to `target`.
    ///
    /// # Errors
    /// [`UploadError::UnderWay`], and [`UploadError::State`] when the disk refuses.
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
            Err(TryLockError::WouldBlock) => return Err(UploadError::UnderWay),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let known = match fs::read(&path) {
            // What is not understood is of another version of this program.
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
        // Written before anything is asked for, so that whoever is killed repeats under the same keys.
        file.write()?;
        Ok((file, found))
    }

    pub(crate) fn step(&self) -> &Step {
        &self.state.step
    }

    pub(crate) fn round(&self) -> u32 {
        self.state.round
    }

    pub(crate) fn content_sha256(&self) -> Option<&str> {
        self.state.content_sha256.as_deref()
    }

    /// The `Idempotency-Key` of a call that is made once.
    pub(crate) fn key(&self, call: &str) -> String {
        format!("{}-{call}", self.state.upload)
    }

    /// The `Idempotency-Key` of a call that is made once each time that the bytes are begun.
    pub(crate) fn key_of_round(&self, call: &str) -> String {
        format!("{}-{call}-{}", self.state.upload, self.state.round)
    }

    /// # Errors
    /// [`UploadError::State`], as of all that write.
    pub(crate) fn advance(&mut self, step: Step) -> Result<(), UploadError> {
        self.state.step = step;
        self.write()
    }

    /// The bytes have to be begun again.
    pub(crate) fn begin_round(&mut self, step: Step) -> Result<(), UploadError> {
        self.state.round += 1;
        self.advance(step)
    }

    pub(crate) fn note_hash(&mut self, content_sha256: String) -> Result<(), UploadError> {
        self.state.content_sha256 = Some(content_sha256);
        self.write()
    }

    /// Forgets all, for the file as it is now.
    pub(crate) fn begin_anew(&mut self) -> Result<(), UploadError> {
        self.state = State {
            file: std::mem::take(&mut self.state.file),
            version: self.fresh.clone(),
            upload: uuid::Uuid::new_v4().simple().to_string(),
            round: 1,
            content_sha256: None,
            step: Step::New,
        };
        self.write()
    }

    /// In one step, so that a kill leaves the old state or the new one.
    fn write(&self) -> Result<(), UploadError> {
        let unfinished = self.path.with_extension("new");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&serde_json::to_vec_pretty(&self.state)?)?;
            // Else a power cut may leave the new name with nothing in it.
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
    fn a_state_reads_back_for_the_same_bytes_and_place_only() {
        let root = tempfile::tempdir().unwrap();
        let states = root.path().join("states");
        let first = source(root.path(), b"abc");
        let (mut state, found) = StateFile::open(&states, "here", &first).unwrap();
        assert_eq!(found, Found::Nothing);
        let step = Step::Created { recording_id: "rec_1".to_owned() };
        state.advance(step.clone()).unwrap();
        let key = state.key("create");
        assert!(matches!(StateFile::open(&states, "here", &first), Err(UploadError::UnderWay)));
        drop(state);

        let (state, found) = StateFile::open(&states, "here", &first).unwrap();
        assert_eq!((state.step(), found, state.key("create")), (&step, Found::OfThisContent, key.clone()));
        let (other, found) = StateFile::open(&states, "there", &first).unwrap();
        assert_eq!((other.step(), found), (&Step::New, Found::Nothing));
        drop(state);

        let second = source(root.path(), b"abcd");
        let (mut state, found) = StateFile::open(&states, "here", &second).unwrap();
        assert_eq!(found, Found::OfAnotherContent);
        state.begin_anew().unwrap();
        assert_ne!(state.key("create"), key);
        drop(state);
        assert_eq!(StateFile::open(&states, "here", &second).unwrap().1, Found::OfThisContent);
    }

    #[test]
    fn a_state_that_is_not_understood_is_none() {
        let root = tempfile::tempdir().unwrap();
        let source = source(root.path(), b"abc");
        let (state, _) = StateFile::open(root.path(), "", &source).unwrap();
        let path = state.path.clone();
        drop(state);
        fs::write(path, b"{\"step\": \"flown\"").unwrap();
        assert_eq!(StateFile::open(root.path(), "", &source).unwrap().1, Found::Nothing);
    }
}
