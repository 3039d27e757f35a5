//! A media file: its declaration, its stored object, and the result of processing it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{ContentType, ExternalLocation, FileSize, Md5, MediaId, MultipartUpload, RenditionId, Sha256, Timestamp};

/// Status of a media file in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaStatus {
    /// Its object is awaited.
    Pending,
    /// Its object is stored.
    Uploaded,
}

/// S3's order of the writes to one key.
///
/// AWS: compare sequencers of the same key only, after padding the shorter one with zeros on its right. Texts without
/// their trailing zeros sort the same way and are shorter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Sequencer(String);

impl Sequencer {
    /// From the `sequencer` of an S3 notification.
    pub fn new(sequencer: &str) -> Self {
        Self(sequencer.trim_end_matches('0').to_owned())
    }

    /// As text, without trailing zeros.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sequencer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

/// What S3 holds under the key of a media file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredObject {
    /// In bytes.
    pub size_bytes: u64,
    /// S3's entity tag, without quotes. It differs from write to write and is not a hash.
    pub etag: String,
    /// SHA-256 of the stored bytes; `None` until they are read.
    pub sha256: Option<Sha256>,
    /// MD5 of the stored bytes; `None` until they are read.
    pub md5: Option<Md5>,
    /// Order of this write; `None` where no S3 notification reported it.
    pub sequencer: Option<Sequencer>,
    /// When Capstan recorded it.
    pub recorded_at: Timestamp,
}

/// Facts of an audio file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// The codec by its usual short name, such as `opus` or `pcm_s16le`.
    pub codec: String,
    /// In hertz.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: u16,
    /// Integrated loudness by EBU R128, in LUFS. `None` for silence.
    pub loudness_lufs: Option<f64>,
}

/// Facts of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Facts of a media file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Facts {
    /// Of an audio file or the audio track of a video.
    Audio(AudioFacts),
    /// Of an image.
    Image(ImageFacts),
}

/// When the transcription rendition (FLAC, 16 kHz, mono) is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TranscriptionRendition {
    /// Only when common transcription providers do not accept the original.
    #[default]
    WhenNeeded,
    /// Always.
    Always,
}

impl FromStr for TranscriptionRendition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "WhenNeeded" => Ok(Self::WhenNeeded),
            "Always" => Ok(Self::Always),
            _ => Err("must be WhenNeeded or Always"),
        }
    }
}

/// Purpose of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RenditionKind {
    /// Waveform, in the JSON format version 2 of audiowaveform.
    Peaks,
    /// Ogg Opus, for browsers.
    Playback,
    /// FLAC, 16 kHz mono, for transcription providers.
    Transcription,
}

impl RenditionKind {
    /// `peaks`, `playback` or `transcription`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peaks => "peaks",
            Self::Playback => "playback",
            Self::Transcription => "transcription",
        }
    }

    /// The MIME type of its files.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Peaks => "application/json",
            Self::Playback => "audio/ogg",
            Self::Transcription => "audio/flac",
        }
    }

    /// The extension of its files, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Peaks => "json",
            Self::Playback => "ogg",
            Self::Transcription => "flac",
        }
    }
}

/// A file that Capstan makes from a media file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its identifier.
    pub id: RenditionId,
    /// Its purpose.
    pub kind: RenditionKind,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl Rendition {
    /// The same media file and kind always give the same identifier.
    pub fn new(media_id: &MediaId, kind: RenditionKind, size_bytes: u64) -> Self {
        Self { id: RenditionId::of(media_id, kind), kind, size_bytes }
    }
}

/// Why a media file cannot be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessingErrorCode {
    /// Its audio cannot be decoded.
    AudioCorrupt,
    /// It is of a format that Capstan does not process.
    UnsupportedFormat,
    /// It holds less than one second of audio.
    AudioTooShort,
    /// Processing failed at every attempt.
    ProcessingError,
}

impl ProcessingErrorCode {
    /// The code as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AudioCorrupt => "audio_corrupt",
            Self::UnsupportedFormat => "unsupported_format",
            Self::AudioTooShort => "audio_too_short",
            Self::ProcessingError => "processing_error",
        }
    }
}

/// Why a media file or a recording failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessingError {
    /// For programs.
    pub code: ProcessingErrorCode,
    /// For people.
    pub message: String,
}

impl fmt::Display for ProcessingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

/// What processing found in and made of a media file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Facts of its content.
    pub facts: Facts,
    /// Files made from it.
    pub renditions: Vec<Rendition>,
    /// Capture time according to the metadata in the file.
    pub captured_at: Option<Timestamp>,
}

/// Result of processing a media file: its facts and renditions, or why it cannot be processed.
pub type Outcome = Result<Findings, ProcessingError>;

/// An object that S3 holds under the key of a media file and that Capstan accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadedObject {
    /// What S3 holds.
    pub object: StoredObject,
    /// Whether the object arrived after its recording was completed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Result of processing; `None` until the file is processed. Written once.
    pub outcome: Option<Outcome>,
}

impl UploadedObject {
    /// An object that arrived before its recording was completed.
    pub fn in_time(object: StoredObject) -> Self {
        Self { object, late: false, outcome: None }
    }

    /// An object that arrived after its recording was completed.
    pub fn late(object: StoredObject) -> Self {
        Self { object, late: true, outcome: None }
    }
}

/// Whether the object of a media file is stored, and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaState {
    /// No object has arrived.
    Awaited {},
    /// An object arrived whose bytes are not those that the client declared. Another one is awaited.
    Rejected {
        /// The rejected object.
        object: StoredObject,
    },
    /// The object is stored.
    Uploaded(UploadedObject),
}

/// One file of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Media {
    /// Its identifier. Later media sort after earlier ones.
    pub id: MediaId,
    /// The type that the client declared.
    pub content_type: ContentType,
    /// The size that the client declared, in bytes.
    pub declared_size: Option<FileSize>,
    /// The hash that the client declared.
    pub declared_sha256: Option<Sha256>,
    /// When the client says that it was captured.
    pub declared_captured_at: Option<Timestamp>,
    /// When its first upload URL was created.
    pub created_at: Timestamp,
    /// When its newest upload URL expires.
    pub url_expires_at: Timestamp,
    /// Its multipart upload; `None` for an upload by a single PUT.
    pub multipart: Option<MultipartUpload>,
    /// Its bucket and key, where it was not uploaded through Capstan.
    pub location: Option<ExternalLocation>,
    /// Whether its object is stored.
    pub state: MediaState,
}

impl Media {
    /// A media file whose object is awaited.
    pub fn new(id: MediaId, content_type: ContentType, url_expires_at: Timestamp, now: Timestamp) -> Self {
        Self {
            id,
            content_type,
            declared_size: None,
            declared_sha256: None,
            declared_captured_at: None,
            created_at: now,
            url_expires_at,
            multipart: None,
            location: None,
            state: MediaState::Awaited {},
        }
    }

    /// A media file that is stored already, at a location that a meeting worker named.
    pub fn stored_at(location: ExternalLocation, id: MediaId, object: StoredObject, now: Timestamp) -> Self {
        let content_type = ContentType::of_key(&location.key);
        Self {
            location: Some(location),
            state: MediaState::Uploaded(UploadedObject::in_time(object)),
            ..Self::new(id, content_type, now, now)
        }
    }

    /// `Pending` while an object is awaited, `Uploaded` once one is stored.
    pub fn status(&self) -> MediaStatus {
        match self.state {
            MediaState::Awaited {} | MediaState::Rejected { .. } => MediaStatus::Pending,
            MediaState::Uploaded(_) => MediaStatus::Uploaded,
        }
    }

    /// Its stored object; `None` while one is awaited.
    pub fn uploaded(&self) -> Option<&UploadedObject> {
        match &self.state {
            MediaState::Awaited {} | MediaState::Rejected { .. } => None,
            MediaState::Uploaded(uploaded) => Some(uploaded),
        }
    }

    /// The object that was last seen under its key, rejected or not.
    pub fn last_object(&self) -> Option<&StoredObject> {
        match &self.state {
            MediaState::Awaited {} => None,
            MediaState::Rejected { object } => Some(object),
            MediaState::Uploaded(uploaded) => Some(&uploaded.object),
        }
    }

    /// The same media file with this object stored in time.
    #[must_use]
    pub fn with_object(self, object: StoredObject) -> Self {
        Self { state: MediaState::Uploaded(UploadedObject::in_time(object)), ..self }
    }

    /// Whether its object arrived after its recording was completed.
    pub fn is_late(&self) -> bool {
        self.uploaded().is_some_and(|uploaded| uploaded.late)
    }

    /// Result of processing; `None` until it is processed.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.uploaded()?.outcome.as_ref()
    }

    /// Its facts and renditions, if processing succeeded.
    pub fn findings(&self) -> Option<&Findings> {
        self.outcome()?.as_ref().ok()
    }

    /// Why it cannot be processed, if processing failed.
    pub fn error(&self) -> Option<&ProcessingError> {
        self.outcome()?.as_ref().err()
    }

    /// Its renditions. Empty until it is processed.
    pub fn renditions(&self) -> &[Rendition] {
        self.findings().map_or(&[], |findings| &findings.renditions)
    }

    /// When it was captured: the declared time, else the time in the file.
    pub fn captured_at(&self) -> Option<Timestamp> {
        self.declared_captured_at.or_else(|| self.findings()?.captured_at)
    }

    /// Whether its object is awaited, or stored and not hashed yet. An object that was not uploaded through Capstan is
    /// never hashed, and never unread.
    pub fn is_unread(&self) -> bool {
        let is_hashed = self.uploaded().is_some_and(|uploaded| uploaded.object.sha256.is_some());
        self.location.is_none() && !is_hashed
    }

    /// Whether its object is stored and not processed yet.
    pub fn is_unprocessed(&self) -> bool {
        self.uploaded().is_some_and(|uploaded| uploaded.outcome.is_none())
    }

    /// Size in bytes: of the object that was last seen, else as declared.
    pub fn size_bytes(&self) -> Option<u64> {
        self.last_object().map(|object| object.size_bytes).or(self.declared_size.map(FileSize::bytes))
    }

    /// Whether an object of this size can be the declared one.
    pub fn expects_size(&self, size_bytes: u64) -> bool {
        self.declared_size.is_none_or(|declared| declared.bytes() == size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_sequencer_sorts_as_if_padded_with_zeros() {
        assert!(Sequencer::new("0055AED6DCD90281E5") < Sequencer::new("0055AED6DCD90281E51"));
        assert_eq!(Sequencer::new("00A"), Sequencer::new("00A0"));
        let stored: Sequencer = serde_json::from_str("\"00A\"").unwrap();
        assert_eq!(stored, Sequencer::new("00A"));
    }
}
