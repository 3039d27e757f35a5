//! Everything that can be said no to.

use crate::{EndUserId, Md5, MediaId, PartNumber, Sha256, Status, TranscriptionError};

/// What went wrong below, for the log only. A client never sees it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A refusal or a failure, free of any transport. `capstan-http` maps it to a status, in one place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field breaks a rule.
    #[error("{param}: {rule}")]
    Invalid {
        /// The JSON path of the field, or the name of the query parameter or header.
        param: String,
        /// The rule that it breaks, as in "must be at most 255 characters".
        rule: String,
    },
    /// The size is not one that can be uploaded, or not the one that was declared.
    #[error("{param}: {rule}")]
    FileSizeInvalid {
        /// The field.
        param: &'static str,
        /// The rule that it breaks.
        rule: String,
    },
    /// The type is not one that Capstan takes.
    #[error("{param}: {rule}")]
    FileTypeInvalid {
        /// The field.
        param: &'static str,
        /// The rule that it breaks.
        rule: String,
    },
    /// The recording takes no more changes of this kind.
    #[error("the recording is {status}, no longer pending")]
    RecordingNotPending {
        /// Where it stands.
        status: Status,
    },
    /// None of the media has arrived, or not the one that was asked for.
    #[error("no media uploaded")]
    MediaNotUploaded {
        /// The media that were expected and are not there.
        missing: Vec<MediaId>,
    },
    /// The recording holds as many media as it may.
    #[error("the recording holds {} media, the most it may", crate::MAX_MEDIA)]
    TooManyMedia,
    /// Not every part of a file has arrived.
    #[error("parts {} are missing", missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    PartsMissing {
        /// Those that have not.
        missing: Vec<PartNumber>,
    },
    /// An upload in parts is no longer known to S3, and neither is its file.
    #[error("the upload in parts of {media_id} has expired")]
    MultipartUploadExpired {
        /// The medium that is still awaited.
        media_id: MediaId,
    },
    /// The recording was not completed in time.
    #[error("the upload has expired")]
    UploadExpired,
    /// No credential, or an unknown, expired or revoked one.
    #[error("no valid credential")]
    Unauthorized,
    /// A known credential that may not do this.
    #[error("this credential may not do this")]
    Forbidden,
    /// There is none of that id within the caller's visibility.
    #[error("no such {what}")]
    NotFound {
        /// The kind of thing, as in "recording".
        what: &'static str,
    },
    /// Another change came first.
    #[error("{reason}")]
    Conflict {
        /// What stands in the way.
        reason: String,
    },
    /// The same `Idempotency-Key` came with another body.
    #[error("the idempotency key was used with another body")]
    IdempotencyKeyReused,
    /// The first call under this `Idempotency-Key` was not answered yet.
    #[error("the first call under this idempotency key is running")]
    OriginalRequestRunning {
        /// Seconds to wait before asking again.
        retry_after: u32,
    },
    /// What must be there once is there already.
    #[error("there is {what} with this {param}: {id}")]
    ResourceAlreadyExists {
        /// The kind of thing, as in "an end user".
        what: &'static str,
        /// The field that must differ.
        param: &'static str,
        /// The one that is there.
        id: String,
    },
    /// A device has one end user at a time.
    #[error("the device is bound to {end_user_id}")]
    DeviceAlreadyBound {
        /// To whom.
        end_user_id: EndUserId,
    },
    /// S3 holds other bytes than the client says it sent.
    #[error("the stored bytes of {media_id} have another SHA-256")]
    IntegrityMismatch {
        /// The medium whose bytes differ.
        media_id: MediaId,
        /// What the client said.
        expected: Sha256,
        /// What S3 holds.
        stored: Sha256,
    },
    /// S3 holds other bytes than the client says it sent, by their MD5.
    #[error("the stored bytes have another MD5")]
    FileMd5NotMatch {
        /// What the client said.
        expected: Md5,
        /// What S3 holds.
        stored: Md5,
    },
    /// No text can be made of the recording, or not here.
    #[error("{0}")]
    NotTranscribable(TranscriptionError),
    /// The body is over the limit.
    #[error("the body is over {limit_bytes} bytes")]
    RequestTooLarge {
        /// The most that is taken.
        limit_bytes: usize,
    },
    /// The stored bytes are still being verified.
    #[error("verification pending")]
    VerificationPending {
        /// Seconds to wait before asking again.
        retry_after: u32,
    },
    /// Something that Capstan stands on said: later.
    #[error("temporarily unavailable: {cause}")]
    Unavailable {
        /// Seconds to wait before asking again.
        retry_after: u32,
        /// For the log.
        cause: Cause,
    },
    /// A fault of Capstan's own.
    #[error("internal error: {cause}")]
    Internal {
        /// For the log.
        cause: Cause,
    },
}

impl Error {
    /// A field breaks a rule.
    pub fn invalid(param: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Invalid { param: param.into(), rule: rule.into() }
    }

    /// The size of the file breaks a rule.
    pub fn file_size(rule: impl Into<String>) -> Self {
        Self::FileSizeInvalid { param: "file_size_bytes", rule: rule.into() }
    }

    /// The type of the file breaks a rule.
    pub fn file_type(rule: impl Into<String>) -> Self {
        Self::FileTypeInvalid { param: "content_type", rule: rule.into() }
    }

    /// The same of a field that has another name where this client writes it.
    #[must_use]
    pub fn of_field(self, field: &'static str) -> Self {
        match self {
            Self::FileSizeInvalid { rule, .. } => Self::FileSizeInvalid { param: field, rule },
            Self::FileTypeInvalid { rule, .. } => Self::FileTypeInvalid { param: field, rule },
            other => other,
        }
    }

    /// A field is not there.
    pub fn required(param: &str) -> Self {
        Self::invalid(param, "is required")
    }

    /// A fault of Capstan's own.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal { cause: cause.into() }
    }

    /// There is no such recording within visibility.
    pub fn no_recording() -> Self {
        Self::NotFound { what: "recording" }
    }

    /// There is no such device within visibility.
    pub fn no_device() -> Self {
        Self::NotFound { what: "device" }
    }

    /// There is no such end user within visibility.
    pub fn no_end_user() -> Self {
        Self::NotFound { what: "end user" }
    }
}
