//! A job for a provider.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use capstan_domain::{ContentType, Language, Offset, RecordingId, TranscriptionId};

use crate::{Failure, SignedUrl};

/// One transcription, or one chunk of it, as it is submitted to a provider.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name of the job.
    pub name: JobName,
    /// The audio.
    pub audio: Audio,
    /// Duration of the audio.
    pub duration: Offset,
    /// The language that is spoken, where somebody said. The provider finds out otherwise.
    pub language: Option<Language>,
    /// Whether to tell the speakers apart, where the provider can.
    pub diarization: bool,
    /// Where the provider may call when it is done, `https://...`. Without it, it is asked or waited for.
    pub callback_url: Option<String>,
}

/// The audio of a job.
#[derive(Clone, Debug)]
pub struct Audio {
    /// MIME type.
    pub content_type: ContentType,
    /// How large it is.
    pub size_bytes: u64,
    /// Where it is.
    pub location: AudioLocation,
}

/// Where the audio is.
#[derive(Clone, Debug)]
pub enum AudioLocation {
    /// An object in S3.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
        /// Leave to fetch it, for as long as the provider may take to do so.
        url: SignedUrl,
    },
    /// A file here. Amazon Transcribe cannot fetch that.
    File(PathBuf),
}

/// Name of a job: recording, transcription and, if the audio was cut, number of the chunk.
///
/// All that a provider's events and callbacks need to carry, and the same for every attempt at a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobName {
    /// Of which recording.
    pub recording_id: RecordingId,
    /// For which transcription.
    pub transcription_id: TranscriptionId,
    /// Which chunk of it, from 0.
    pub chunk: Option<u32>,
}

/// Why a text is no [`JobName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of one of our jobs")]
pub struct InvalidJobName;

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.recording_id, self.transcription_id)?;
        self.chunk.map_or(Ok(()), |chunk| write!(f, ".{chunk}"))
    }
}

impl FromStr for JobName {
    type Err = InvalidJobName;

    fn from_str(text: &str) -> Result<Self, InvalidJobName> {
        let mut parts = text.split('.');
        let recording_id = parts.next().and_then(|part| part.parse().ok()).ok_or(InvalidJobName)?;
        let transcription_id = parts.next().and_then(|part| part.parse().ok()).ok_or(InvalidJobName)?;
        let chunk = parts.next().map(|part| part.parse().map_err(|_| InvalidJobName)).transpose()?;
        if parts.next().is_some() { Err(InvalidJobName) } else { Ok(Self { recording_id, transcription_id, chunk }) }
    }
}

/// By which a provider knows a job: letters, digits, `-`, `_` and `.`, so that it can stand in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProviderJobId(String);

impl ProviderJobId {
    /// By which Amazon Transcribe knows a job: the name that we give it.
    pub fn of_aws(name: &JobName) -> Self {
        Self(name.to_string())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderJobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProviderJobId {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let well_formed =
            (1..=200).contains(&text.len()) && text.bytes().all(plain) && !text.trim_matches('.').is_empty();
        if well_formed { Ok(Self(text.to_owned())) } else { Err(Failure::nonsense("an id that is none")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_names_round_trip() {
        for name in ["rec_a1.txn_b2", "rec_a1.txn_b2.17"] {
            assert_eq!(name.parse::<JobName>().unwrap().to_string(), name);
        }
        for bad in ["", "rec_a", "txn_b.rec_a", "rec_a.txn_b.x", "rec_a.txn_b.1.2", "somebody-elses-job"] {
            assert_eq!(bad.parse::<JobName>(), Err(InvalidJobName), "{bad}");
        }
    }

    #[test]
    fn an_id_cannot_lead_to_another_path() {
        assert_eq!("9ea68fd3-f953".parse::<ProviderJobId>().unwrap().as_str(), "9ea68fd3-f953");
        for bad in ["", "..", "a/b", "a?b", "a b", "a%2fb", &"a".repeat(201)] {
            assert!(bad.parse::<ProviderJobId>().is_err(), "{bad}");
        }
    }
}
