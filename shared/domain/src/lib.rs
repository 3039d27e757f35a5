//! The rules of Capstan: what a recording is, who may touch it, and how it moves on.
//!
//! Pure: no AWS, no async, no clock and no source of randomness. Time and entropy come in as arguments,
//! so every rule can be tested by calling it.

mod access;
mod content;
mod device;
mod end_user;
mod error;
mod export;
mod file;
mod first_call;
mod id;
mod media;
mod metadata;
mod part;
mod piece;
mod provider;
mod recording;
mod settings;
mod social;
mod text;
mod time;
mod transcript;
mod transcription;
mod work;

pub use access::{
    Action, CREDENTIAL_PREFIXES, Caller, Credential, CredentialHash, CredentialStanding, Grant, Mode, Reach, Scope,
    Secret, Tenant,
};
pub use content::{ContentType, FileSize, MediaType, Sha256};
pub use device::{Binding, Device, DeviceChange, Heartbeat, NamedDevice};
pub use end_user::EndUser;
pub use error::{Cause, Error};
pub use export::ExportFormat;
pub use file::{FileDetails, FileType, Md5, RecorderKind};
pub use first_call::{CallId, FIRST_CALL_SECONDS, FirstCall, RUNNING_SECONDS, Seed, Standing};
pub use id::{
    DeviceId, EndUserId, FileId, InvalidId, KeyId, LeaseId, MediaId, ProjectId, RecordingId, RenditionId,
    TranscriptionId,
};
pub use media::{
    AudioFacts, Facts, Findings, ImageFacts, Media, MediaStatus, ProcessingError, ProcessingErrorCode, Rendition,
    RenditionKind, Sequencer, StoredObject,
};
pub use metadata::Metadata;
pub use part::{ClaimedPart, EntityTag, MultipartUpload, PartNumber, PartPlan, PlannedPart, ReceivedPart, UploadId};
pub use piece::{Piece, PieceNumber, PieceStanding};
pub use provider::{ProviderName, ProviderNames};
pub use recording::{Completion, Lease, Outcome, Recording, Repeat, Sound, Source, Status};
pub use settings::{Settings, TranscriptionSettings};
pub use social::{
    BucketName, Place, ReportedEnd, SocialBuckets, SocialId, SocialRecording, SocialRecordingId, SocialStatus,
    SocialTranscription, SocialTranscriptionId, SocialUserId, Told,
};
pub use text::{Email, ExternalId, FirmwareVersion, InvalidText, Model, Name, SerialNumber};
pub use time::Timestamp;
pub use transcript::{Confidence, InvalidLanguage, Language, Offset, Segment, Speaker, Transcript};
pub use transcription::{
    KeptTranscript, MAX_TRANSCRIPTIONS, TRANSCRIPTION_LEASE_SECONDS, Transcription, TranscriptionAnnouncement,
    TranscriptionError, TranscriptionErrorCode, TranscriptionOptions, TranscriptionStatus, TranscriptionWork,
};
pub use work::{Announcement, MAX_ATTEMPTS, Work, told_again_seconds};

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
