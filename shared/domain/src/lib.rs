//! The rules of Capstan: what a recording is, who may touch it, and how it moves on.
//!
//! Pure: no AWS, no async, no clock and no source of randomness. Time and entropy come in as arguments,
//! so every rule can be tested by calling it.

mod access;
mod chunk;
mod content;
mod device;
mod end_user;
mod error;
mod export;
mod file;
mod id;
mod media;
mod meeting;
mod metadata;
mod original_request;
mod part;
mod provider;
mod recording;
mod settings;
mod text;
mod time;
mod transcript;
mod transcription;
mod work;

pub use access::{
    Action, CREDENTIAL_PREFIXES, Caller, Credential, CredentialHash, CredentialStatus, Grant, Mode, Scope, Secret,
    Tenant, Visibility,
};
pub use chunk::{Chunk, ChunkNumber, ChunkStatus};
pub use content::{ContentType, FileSize, MediaType, Sha256};
pub use device::{Binding, Device, DeviceChange, Heartbeat, NamedDevice};
pub use end_user::EndUser;
pub use error::{Cause, Error};
pub use export::ExportFormat;
pub use file::{FileDetails, FileType, Md5, RecorderKind};
pub use id::{
    DeviceId, EndUserId, FileId, InvalidId, KeyId, LeaseId, MediaId, ProjectId, RecordingId, RenditionId,
    TranscriptionId,
};
pub use media::{
    AudioFacts, Facts, Findings, ImageFacts, Media, MediaStatus, ProcessingError, ProcessingErrorCode, Rendition,
    RenditionKind, Sequencer, StoredObject, TranscriptionRendition,
};
pub use meeting::{
    BucketName, MeetingBuckets, MeetingId, MeetingRecording, MeetingRecordingId, MeetingStatus, MeetingTranscription,
    MeetingTranscriptionId, MeetingUserId, Place, ReportedEnd, Told,
};
pub use metadata::Metadata;
pub use original_request::{
    FIRST_CALL_SECONDS, OriginalRequest, OriginalRequestId, RUNNING_SECONDS, RequestStatus, Seed,
};
pub use part::{ClaimedPart, EntityTag, MultipartUpload, PartNumber, PartPlan, PlannedPart, ReceivedPart, UploadId};
pub use provider::{ProviderName, ProviderNames};
pub use recording::{Completion, Lease, Outcome, Recording, Repeat, Sound, Source, Status};
pub use settings::{Settings, TranscriptionSettings};
pub use text::{Email, ExternalId, FirmwareVersion, InvalidText, Model, Name, SerialNumber};
pub use time::Timestamp;
pub use transcript::{Confidence, InvalidLanguage, Language, Offset, Segment, Speaker, Transcript};
pub use transcription::{
    MAX_TRANSCRIPTIONS, TRANSCRIPTION_LEASE_SECONDS, TranscriptLocation, Transcription, TranscriptionError,
    TranscriptionErrorCode, TranscriptionEventType, TranscriptionOptions, TranscriptionStatus, TranscriptionWork,
};
pub use work::{EventType, MAX_ATTEMPTS, Work, told_again_seconds};

/// How many media one recording holds at most.
pub const MAX_MEDIA: usize = 100;
/// Seconds that an upload or download URL is valid.
pub const URL_SECONDS: u32 = 3600;
/// Seconds that an upload token is valid.
pub const UPLOAD_TOKEN_SECONDS: u32 = 900;
/// Seconds that a recording nobody completes is kept.
pub const PENDING_SECONDS: i64 = 7 * 24 * 3600;
/// Seconds that a worker holds a recording it processes. It renews the lease well before.
pub const LEASE_SECONDS: i64 = 120;
/// Seconds between saying that something happened and asking whether anyone acted on it.
pub const PICK_UP_SECONDS: i64 = 120;
