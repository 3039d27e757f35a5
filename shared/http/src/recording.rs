//! A recording in responses.

use capstan_domain::{
    AudioFacts, Facts, ImageFacts, Media, MediaStatus, ProcessingError, Recording, Rendition, Source,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A recording.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recording)]
pub struct RecordingBody {
    /// Identifier.
    #[schema(example = "rec_01jd4q1v3k8m2n5p7r9s0t1v2w")]
    pub id: String,
    /// Identifier of the project.
    pub project_id: String,
    /// Identifier of the device.
    #[schema(required)]
    pub device_id: Option<String>,
    /// Identifier of the end user. Null if unknown.
    #[schema(required)]
    pub end_user_id: Option<String>,
    /// Name.
    #[schema(required)]
    pub name: Option<String>,
    /// `pending`, `uploaded`, `processing`, `completed` or `failed`.
    #[schema(example = "completed", pattern = "^(pending|uploaded|processing|completed|failed)$")]
    pub status: &'static str,
    /// Duration in milliseconds.
    #[schema(required)]
    pub duration_ms: Option<u64>,
    /// Duration in whole seconds.
    #[schema(required)]
    pub duration_seconds: Option<u64>,
    /// When the take began.
    #[schema(required, format = DateTime)]
    pub started_at: Option<String>,
    /// Same as `started_at`.
    #[schema(required, format = DateTime)]
    pub recorded_at: Option<String>,
    /// When the take ended.
    #[schema(required, format = DateTime)]
    pub ended_at: Option<String>,
    /// Identifier of the newest transcription.
    #[schema(required)]
    pub transcription_id: Option<String>,
    /// Media files, in the order of their creation.
    pub media: Vec<MediaBody>,
    /// Metadata set by the project.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// `device`, `app_import` or `api_upload`.
    #[schema(required, value_type = Option<String>, pattern = "^(device|app_import|api_upload)$")]
    pub source: Option<Source>,
    /// SHA-256 of the stored bytes of the primary media file. Null until they are hashed.
    #[schema(required)]
    pub content_sha256: Option<String>,
    /// When that hash was verified against the declared or claimed one.
    #[schema(required, format = DateTime)]
    pub content_sha256_verified_at: Option<String>,
    /// Size of the primary media file in bytes.
    #[schema(required)]
    pub file_size_bytes: Option<u64>,
    /// MIME type of the primary media file.
    #[schema(required)]
    pub mime_type: Option<&'static str>,
    /// Why it failed.
    #[schema(required)]
    pub error: Option<ProcessingErrorBody>,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last updated.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// When the upload was completed.
    #[schema(required, format = DateTime)]
    pub uploaded_at: Option<String>,
    /// When it was deleted.
    #[schema(required, format = DateTime)]
    pub deleted_at: Option<String>,
}

/// A media file of a recording.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Media)]
pub struct MediaBody {
    /// Identifier.
    pub id: String,
    /// `audio`, `image` or `video`.
    #[serde(rename = "type")]
    #[schema(pattern = "^(audio|image|video)$")]
    pub media_type: &'static str,
    /// MIME type.
    pub mime_type: &'static str,
    /// Size in bytes: stored, else declared.
    #[schema(required)]
    pub file_size_bytes: Option<u64>,
    /// `pending` until the file is stored, then `uploaded`.
    #[schema(pattern = "^(pending|uploaded)$")]
    pub status: &'static str,
    /// Capture time: as declared, else from the file.
    #[schema(required, format = DateTime)]
    pub captured_at: Option<String>,
    /// When the media file was added.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Audio only: duration in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub duration_ms: Option<u64>,
    /// Audio only: codec.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub codec: Option<String>,
    /// Audio only: sample rate in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sample_rate_hz: Option<u32>,
    /// Audio only: number of channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub channels: Option<u16>,
    /// Audio only: integrated loudness (EBU R128) in LUFS. Absent for silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub loudness_lufs: Option<f64>,
    /// Images only: width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub width: Option<u32>,
    /// Images only: height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub height: Option<u32>,
    /// Renditions.
    pub renditions: Vec<RenditionBody>,
    /// Why processing failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<ProcessingErrorBody>,
}

/// A rendition of a media file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rendition)]
pub struct RenditionBody {
    /// Identifier, for download-url.
    pub id: String,
    /// `peaks`, `playback` or `transcription`.
    #[schema(pattern = "^(peaks|playback|transcription)$")]
    pub kind: &'static str,
    /// MIME type.
    pub mime_type: &'static str,
    /// Size in bytes.
    pub file_size_bytes: u64,
}

/// Why a recording or a file failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProcessingError)]
pub struct ProcessingErrorBody {
    /// `audio_corrupt`, `unsupported_format`, `audio_too_short` or `processing_error`.
    #[schema(example = "audio_corrupt")]
    pub code: &'static str,
    /// Message for people.
    pub message: String,
}

impl From<&ProcessingError> for ProcessingErrorBody {
    fn from(error: &ProcessingError) -> Self {
        Self { code: error.code.as_str(), message: error.message.clone() }
    }
}

impl From<&Rendition> for RenditionBody {
    fn from(rendition: &Rendition) -> Self {
        Self {
            id: rendition.id.to_string(),
            kind: rendition.kind.as_str(),
            mime_type: rendition.kind.mime_type(),
            file_size_bytes: rendition.size_bytes,
        }
    }
}

impl From<&Media> for MediaBody {
    fn from(media: &Media) -> Self {
        let audio = match media.findings().map(|findings| &findings.facts) {
            Some(Facts::Audio(audio)) => Some(audio),
            _ => None,
        };
        let image = match media.findings().map(|findings| &findings.facts) {
            Some(Facts::Image(image)) => Some(image),
            _ => None,
        };
        Self {
            id: media.id.to_string(),
            media_type: media.content_type.media_type().as_str(),
            mime_type: media.content_type.as_str(),
            file_size_bytes: media.size_bytes(),
            status: match media.status() {
                MediaStatus::Pending => "pending",
                MediaStatus::Uploaded => "uploaded",
            },
            captured_at: media.captured_at().map(|moment| moment.to_string()),
            created_at: media.created_at.to_string(),
            duration_ms: audio.map(|audio: &AudioFacts| audio.duration_ms),
            codec: audio.map(|audio| audio.codec.clone()),
            sample_rate_hz: audio.map(|audio| audio.sample_rate_hz),
            channels: audio.map(|audio| audio.channels),
            loudness_lufs: audio.and_then(|audio| audio.loudness_lufs),
            width: image.map(|image: &ImageFacts| image.width),
            height: image.map(|image| image.height),
            renditions: media.renditions().iter().map(RenditionBody::from).collect(),
            error: media.error().map(ProcessingErrorBody::from),
        }
    }
}

impl From<&Recording> for RecordingBody {
    fn from(recording: &Recording) -> Self {
        let moment = |moment: Option<capstan_domain::Timestamp>| moment.map(|moment| moment.to_string());
        let primary = recording.primary();
        Self {
            id: recording.id.to_string(),
            project_id: recording.tenant.project_id.to_string(),
            device_id: recording.origin.device_id.as_ref().map(ToString::to_string),
            end_user_id: recording.origin.end_user_id.as_ref().map(ToString::to_string),
            name: recording.name.as_ref().map(|name| name.as_str().to_owned()),
            status: recording.status.as_str(),
            duration_ms: recording.duration_ms(),
            duration_seconds: recording.duration_ms().map(|milliseconds| milliseconds / 1000),
            started_at: moment(recording.origin.started_at),
            recorded_at: moment(recording.origin.started_at),
            ended_at: moment(recording.origin.ended_at),
            transcription_id: recording.transcription_id().map(ToString::to_string),
            media: recording.media.values().map(MediaBody::from).collect(),
            metadata: recording.metadata.object().to_raw(),
            source: recording.origin.source,
            content_sha256: recording.content_sha256().map(|sha256| sha256.to_string()),
            content_sha256_verified_at: moment(recording.content_sha256_verified_at()),
            file_size_bytes: primary.and_then(Media::size_bytes),
            mime_type: primary.map(|media| media.content_type.as_str()),
            error: recording.end.error.as_ref().map(ProcessingErrorBody::from),
            created_at: recording.created_at.to_string(),
            updated_at: recording.updated_at.to_string(),
            uploaded_at: moment(recording.upload.uploaded_at),
            deleted_at: moment(recording.deleted_at),
        }
    }
}
