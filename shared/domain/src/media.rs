//! One file of a recording: what was declared, what S3 holds, what was learned of it.

use std::str::FromStr;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{ContentType, FileSize, Md5, MediaId, MultipartUpload, Place, RenditionId, Sha256, Timestamp};

/// Where a medium stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaStatus {
    /// Its bytes are awaited.
    Pending,
    /// S3 holds its bytes.
    Uploaded,
}

/// S3's order of the writes to one key, as text that sorts.
///
/// AWS: compare within one key only, the shorter one padded with zeros on its right. That is the order of the texts without
/// the zeros at their ends, which are shorter to keep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Sequencer(String);

impl Sequencer {
    /// The sequencer of a notification.
    pub fn new(sequencer: &str) -> Self {
        Self(sequencer.trim_end_matches('0').to_owned())
    }

    /// The text that sorts.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sequencer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

/// What S3 holds under a medium's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredObject {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// S3's entity tag, without quotes. Tells one write from the next; no hash.
    pub etag: String,
    /// SHA-256 of the stored bytes, once they were read.
    pub sha256: Option<Sha256>,
    /// MD5 of the stored bytes, once they were read.
    pub md5: Option<Md5>,
    /// The write's place in S3's order, where a notification told it.
    pub sequencer: Option<Sequencer>,
    /// When Capstan took note of it.
    pub recorded_at: Timestamp,
}

/// What was learned of sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// The codec by its usual short name, such as `opus` or `pcm_s16le`.
    pub codec: String,
    /// Samples a second, in hertz.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: u16,
    /// Integrated loudness by EBU R128, in LUFS. None for silence.
    pub loudness_lufs: Option<f64>,
}

/// What was learned of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// What was learned of a medium.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Facts {
    /// Of sound, a video's too.
    Audio(AudioFacts),
    /// Of a picture.
    Image(ImageFacts),
}

/// When the transcription rendition (FLAC, 16 kHz, mono) is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TranscriptionRendition {
    /// Only when the usual services cannot take the original.
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

/// What a rendition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RenditionKind {
    /// The waveform, audiowaveform's JSON version 2.
    Peaks,
    /// Ogg Opus that every browser plays.
    Playback,
    /// FLAC, 16 kHz mono, that every transcription provider takes.
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

/// What was made of a medium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its identifier.
    pub id: RenditionId,
    /// What it is for.
    pub kind: RenditionKind,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl Rendition {
    /// The rendition of this kind of a medium. Making it again gives the same one.
    pub fn new(media_id: &MediaId, kind: RenditionKind, size_bytes: u64) -> Self {
        Self { id: RenditionId::of(media_id, kind), kind, size_bytes }
    }
}

/// Why a medium could not be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessingErrorCode {
    /// Its sound cannot be read.
    AudioCorrupt,
    /// It is of a format that Capstan does not process.
    UnsupportedFormat,
    /// It holds less than a second of sound.
    AudioTooShort,
    /// Capstan failed at it, time and again.
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

/// Why a medium or a recording failed, in words that a person understands.
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

/// What a look into a medium brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// What was learned of it.
    pub facts: Facts,
    /// What was made of it.
    pub renditions: Vec<Rendition>,
    /// When the file says that it was taken.
    pub captured_at: Option<Timestamp>,
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
    /// When it was taken, as the client said.
    pub declared_captured_at: Option<Timestamp>,
    /// When it was event_published.
    pub created_at: Timestamp,
    /// When its newest upload URL ends.
    pub url_expires_at: Timestamp,
    /// How it is sent, where that is in parts.
    pub multipart: Option<MultipartUpload>,
    /// Where it lies, where it was not uploaded through Capstan.
    pub place: Option<Place>,
    /// Where it stands.
    pub status: MediaStatus,
    /// What S3 was last seen to hold.
    pub stored: Option<StoredObject>,
    /// Whether it arrived after its recording was completed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// What a look into it brought, or why there was none. One attribute, written once and by nobody else.
    pub result: Option<Result<Findings, ProcessingError>>,
}

impl Media {
    /// A medium that is event_published now.
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
            place: None,
            status: MediaStatus::Pending,
            stored: None,
            late: false,
            result: None,
        }
    }

    /// A medium that is there already, in a place of a worker's choice.
    pub fn at(place: Place, id: MediaId, object: StoredObject, now: Timestamp) -> Self {
        Self {
            place: Some(place.clone()),
            status: MediaStatus::Uploaded,
            stored: Some(object),
            ..Self::new(id, ContentType::of_key(&place.key), now, now)
        }
    }

    /// What a look into it brought.
    pub fn findings(&self) -> Option<&Findings> {
        self.result.as_ref()?.as_ref().ok()
    }

    /// Why it could not be processed.
    pub fn error(&self) -> Option<&ProcessingError> {
        self.result.as_ref()?.as_ref().err()
    }

    /// What was made of it.
    pub fn renditions(&self) -> &[Rendition] {
        self.findings().map_or(&[], |findings| &findings.renditions)
    }

    /// When it was taken: what the client said, else what the file says.
    pub fn captured_at(&self) -> Option<Timestamp> {
        self.declared_captured_at.or_else(|| self.findings()?.captured_at)
    }

    /// Whether its bytes are awaited, or are there and nobody has read them to their end. What was not uploaded through
    /// Capstan is not hashed.
    pub fn is_unread(&self) -> bool {
        let read = self.stored.as_ref().is_some_and(|stored| stored.sha256.is_some());
        self.place.is_none() && (self.status == MediaStatus::Pending || !read)
    }

    /// Whether its bytes are there and nobody has looked into them.
    pub fn is_unprocessed(&self) -> bool {
        self.status == MediaStatus::Uploaded && self.result.is_none()
    }

    /// Its size in bytes: what S3 holds, else what was declared.
    pub fn size_bytes(&self) -> Option<u64> {
        self.stored.as_ref().map(|stored| stored.size_bytes).or(self.declared_size.map(FileSize::bytes))
    }

    /// Whether an object of this size can be the one that was declared.
    pub fn expects_size(&self, size_bytes: u64) -> bool {
        self.declared_size.is_none_or(|declared| declared.bytes() == size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_sequencer_stands_as_if_padded_on_its_right() {
        assert!(Sequencer::new("0055AED6DCD90281E5") < Sequencer::new("0055AED6DCD90281E51"));
        assert_eq!(Sequencer::new("00A"), Sequencer::new("00A0"));
        let stored: Sequencer = serde_json::from_str("\"00A\"").unwrap();
        assert_eq!(stored, Sequencer::new("00A"));
    }
}
