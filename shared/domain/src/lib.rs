//! The rules of Capstan: entities, permissions, statuses and due work.
//!
//! Pure: no AWS, no async, no clock and no source of randomness. Time and entropy are arguments, so every rule can be
//! tested by a call.

mod access;
mod arrival;
mod chunk;
mod completion;
mod content;
mod device;
mod end_user;
mod error;
mod export;
mod file;
mod id;
mod json;
mod media;
mod meeting;
mod metadata;
mod original_request;
mod part;
mod provider;
mod recording;
mod settings;
mod status;
mod text;
mod time;
mod transcript;
mod transcription;
mod work;

pub use access::{
    Action, BoundDevice, CREDENTIAL_PREFIXES, Caller, Credential, CredentialHash, CredentialStatus, Grant, Mode, Scope,
    Secret, Tenant, Visibility,
};
pub use arrival::Arrival;
pub use chunk::{Chunk, ChunkNumber, ChunkStatus};
pub use completion::{CompletedUpload, Completion};
pub use content::{ContentType, FileSize, MediaType, Sha256};
pub use device::{Binding, Device, DeviceChange, Heartbeat, MAX_EARLIER_TOKENS, NamedDevice};
pub use end_user::EndUser;
pub use error::{Cause, Error, Field};
pub use export::ExportFormat;
pub use file::{FileDetails, FileType, Md5, RecorderKind};
pub use id::{
    DeviceId, EndUserId, FileId, InvalidId, KeyId, LeaseId, MediaId, ProjectId, RecordingId, RenditionId,
    TranscriptionId,
};
pub use json::{JsonObject, count_values};
pub use media::{
    AudioFacts, Facts, Findings, ImageFacts, Media, MediaState, MediaStatus, Outcome, ProcessingError,
    ProcessingErrorCode, Rendition, RenditionKind, Sequencer, StoredObject, TranscriptionRendition, UploadedObject,
};
pub use meeting::{
    BucketName, ExternalLocation, InvalidLocation, MeetingBuckets, MeetingId, MeetingPayload, MeetingRecording,
    MeetingRecordingId, MeetingStatus, MeetingTranscription, MeetingTranscriptionId, MeetingUserId, ReportedEnd,
};
pub use metadata::Metadata;
pub use original_request::{
    FIRST_CALL_SECONDS, OriginalRequest, OriginalRequestId, RUNNING_SECONDS, RequestStatus, Seed,
};
pub use part::{ClaimedPart, EntityTag, MultipartUpload, PartNumber, PartPlan, PlannedPart, ReceivedPart, UploadId};
pub use provider::{ProviderName, ProviderNames};
pub use recording::{End, Lease, Origin, PrimaryAudio, ProcessedMedia, Processing, Recording, Source, Upload};
pub use settings::{Settings, TranscriptionSettings};
pub use status::{Status, TRANSITIONS, TransitionCause};
pub use text::{Email, ExternalId, FirmwareVersion, InvalidText, Model, Name, SerialNumber};
pub use time::Timestamp;
pub use transcript::{Confidence, InvalidLanguage, Language, Offset, Segment, Speaker, Transcript};
pub use transcription::{
    MAX_TRANSCRIPTIONS, TRANSCRIPTION_LEASE_SECONDS, TranscriptLocation, Transcription, TranscriptionError,
    TranscriptionErrorCode, TranscriptionEventType, TranscriptionOptions, TranscriptionStatus, TranscriptionWork,
};
pub use work::{EventType, MAX_ATTEMPTS, Work, due_after_publish, republish_seconds};

/// Most media files of one recording.
pub const MAX_MEDIA: usize = 100;
/// Seconds that an upload or download URL is valid.
pub const URL_SECONDS: u32 = 3600;
/// Seconds that an upload token is valid.
pub const UPLOAD_TOKEN_SECONDS: u32 = 900;
/// Seconds after which a recording is deleted unless its upload is completed.
pub const PENDING_SECONDS: i64 = 7 * 24 * 3600;
/// Seconds of a worker's lease on a recording. The worker renews it well before.
pub const LEASE_SECONDS: i64 = 120;
/// Seconds after which the sweep checks whether anything followed from an event.
pub const PICK_UP_SECONDS: i64 = 120;
