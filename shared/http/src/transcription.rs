//! A transcription in responses.

use capstan_domain::{
    Confidence, Language, ProviderName, Segment, Transcript, TranscriptLocation, Transcription, TranscriptionError,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::page::MAX_BODY_BYTES;

/// A transcription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transcription)]
pub struct TranscriptionBody {
    /// Identifier.
    #[schema(example = "txn_01jd4fh7m0e5b8r2v9c6k3w1qz")]
    pub id: String,
    /// Identifier of the project.
    pub project_id: String,
    /// Identifier of the recording. Null for a meeting transcription.
    #[schema(required)]
    pub recording_id: Option<String>,
    /// `pending`, `processing`, `completed` or `failed`.
    #[schema(example = "completed", pattern = "^(pending|processing|completed|failed)$")]
    pub status: &'static str,
    /// Spoken language: as requested, then as detected.
    #[schema(required, example = "en")]
    pub language: Option<String>,
    /// `whisper`, `aws`, `deepgram` or `assemblyai`.
    #[schema(required, pattern = "^(whisper|aws|deepgram|assemblyai)$")]
    pub provider: Option<&'static str>,
    /// Whether speakers are labelled, if the provider supports it.
    pub diarization: bool,
    /// Duration of the audio in milliseconds.
    #[schema(required)]
    pub duration_ms: Option<u64>,
    /// Segments in the order of time. Null until it is completed, and if they do not fit into a response (about a day
    /// of speech): use the export.
    #[schema(required)]
    pub segments: Option<Vec<SegmentBody>>,
    /// The whole text. Null until it is completed, and if it does not fit into a response.
    #[schema(required)]
    pub full_text: Option<String>,
    /// Same as `full_text`.
    #[schema(required)]
    pub text: Option<String>,
    /// Number of words.
    #[schema(required)]
    pub word_count: Option<usize>,
    /// Why it failed.
    #[schema(required)]
    pub error: Option<TranscriptionErrorBody>,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When a job runner first claimed it.
    #[schema(required, format = DateTime)]
    pub started_at: Option<String>,
    /// When it completed or failed.
    #[schema(required, format = DateTime)]
    pub completed_at: Option<String>,
    /// When it was last updated.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// Speech of one speaker without a break.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Segment)]
pub struct SegmentBody {
    /// The words.
    pub text: String,
    /// Label of the speaker. Absent if the speaker is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Speaker 1")]
    pub speaker: Option<String>,
    /// Start in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// Confidence from 0 to 1, if the provider returns one.
    #[schema(required)]
    pub confidence: Option<f64>,
}

/// Why a transcription failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptionError)]
pub struct TranscriptionErrorBody {
    /// `audio_too_short`, `audio_corrupt`, `unsupported_format`, `provider_not_configured` or `processing_error`.
    pub code: &'static str,
    /// Message for people.
    pub message: String,
}

impl TranscriptionBody {
    /// A transcription with its transcript, if it has one.
    pub fn new(transcription: &Transcription, transcript: Option<&Transcript>) -> Self {
        let language = transcription.language.as_ref().or(transcription.options.language.as_ref());
        let full_text = transcript.map(Transcript::full_text);
        let body = Self {
            id: transcription.id.to_string(),
            project_id: transcription.tenant.project_id.to_string(),
            recording_id: transcription.recording_id.as_ref().map(ToString::to_string),
            status: transcription.status.as_str(),
            language: language.map(Language::to_string),
            provider: transcription.options.provider.map(ProviderName::as_str),
            diarization: transcription.options.diarization,
            duration_ms: transcription.duration.map(capstan_domain::Offset::milliseconds),
            segments: transcript.map(|transcript| transcript.segments().iter().map(SegmentBody::from).collect()),
            text: full_text.clone(),
            full_text,
            word_count: transcription.word_count,
            error: transcription.error.as_ref().map(TranscriptionErrorBody::from),
            created_at: transcription.created_at.to_string(),
            started_at: transcription.started_at.map(|at| at.to_string()),
            completed_at: transcription.completed_at.map(|at| at.to_string()),
            updated_at: transcription.updated_at.to_string(),
        };
        // A transcript in an item is far smaller than a response may be.
        if transcription.transcript == Some(TranscriptLocation::Object) { body.that_fits() } else { body }
    }

    fn that_fits(mut self) -> Self {
        if !self.fits() {
            self.segments = None;
        }
        if !self.fits() {
            (self.full_text, self.text) = (None, None);
        }
        self
    }

    fn fits(&self) -> bool {
        serde_json::to_string(self).is_ok_and(|text| text.len() <= MAX_BODY_BYTES)
    }
}

impl From<&Segment> for SegmentBody {
    fn from(segment: &Segment) -> Self {
        Self {
            text: segment.text.clone(),
            speaker: segment.speaker.map(|speaker| speaker.to_string()),
            start: segment.start.seconds(),
            end: segment.end.seconds(),
            confidence: segment.confidence.map(Confidence::value),
        }
    }
}

impl From<&TranscriptionError> for TranscriptionErrorBody {
    fn from(error: &TranscriptionError) -> Self {
        Self { code: error.code.as_str(), message: error.message.clone() }
    }
}
