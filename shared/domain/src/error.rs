//! Errors, independent of HTTP.

use std::fmt;

use crate::{EndUserId, Md5, MediaId, PartNumber, Sha256, Status, TranscriptionError};

/// The cause of a failure, for the log only.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A field that breaks a rule. Each API has its own names for the fields of the domain's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A field by its name in the API of the request.
    Named(String),
    /// The size of a file.
    FileSize,
    /// The type of a file.
    FileType,
    /// The identifier of a media file.
    MediaId,
    /// Whether a file is uploaded in parts.
    Multipart,
    /// The identifier of an end user.
    EndUserId,
    /// The identifier of an end user in the project's own system.
    ExternalId,
    /// The claimed parts of a multipart upload.
    Parts,
    /// The number of the claimed part with this index, from 0.
    PartNumber(usize),
    /// The entity tag of the claimed part with this index, from 0.
    PartTag(usize),
}

impl From<&str> for Field {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<String> for Field {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::FileSize => f.write_str("file size"),
            Self::FileType => f.write_str("file type"),
            Self::MediaId => f.write_str("media file"),
            Self::Multipart => f.write_str("multipart"),
            Self::EndUserId => f.write_str("end user"),
            Self::ExternalId => f.write_str("external id"),
            Self::Parts => f.write_str("parts"),
            Self::PartNumber(index) => write!(f, "number of the part at {index}"),
            Self::PartTag(index) => write!(f, "entity tag of the part at {index}"),
        }
    }
}

/// A rejection or a failure. `capstan-http` maps it to a status code, in one place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field breaks a rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// The field.
        field: Field,
        /// The rule that it breaks, as in "must be at most 255 characters".
        rule: String,
    },
    /// The size is not allowed, or not the declared one.
    #[error("{field}: {rule}")]
    FileSizeInvalid {
        /// The field of the size.
        field: Field,
        /// The rule that it breaks.
        rule: String,
    },
    /// The type is not supported.
    #[error("{field}: {rule}")]
    FileTypeInvalid {
        /// The field of the type.
        field: Field,
        /// The rule that it breaks.
        rule: String,
    },
    /// The recording is no longer pending.
    #[error("the recording is {status}, no longer pending")]
    RecordingNotPending {
        /// Its status.
        status: Status,
    },
    /// No object of the recording is stored, or not the requested one.
    #[error("no media uploaded")]
    MediaNotUploaded {
        /// The media files whose objects are missing.
        missing: Vec<MediaId>,
    },
    /// The recording has [`crate::MAX_MEDIA`] media files.
    #[error("the recording has {} media files, the maximum", crate::MAX_MEDIA)]
    TooManyMedia,
    /// Parts of a multipart upload are missing.
    #[error("parts {} are missing", missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    PartsMissing {
        /// Their numbers.
        missing: Vec<PartNumber>,
    },
    /// S3 has neither the multipart upload nor its object.
    #[error("the multipart upload of {media_id} has expired")]
    MultipartUploadExpired {
        /// The media file, whose object is still awaited.
        media_id: MediaId,
    },
    /// The upload was not completed in time.
    #[error("the upload has expired")]
    UploadExpired,
    /// The credential is missing, unknown, expired or revoked.
    #[error("no valid credential")]
    Unauthorized,
    /// The credential lacks the permission.
    #[error("the credential lacks the permission")]
    Forbidden,
    /// It does not exist, or is not visible to the caller.
    #[error("no such {what}")]
    NotFound {
        /// What was not found, such as "recording".
        what: &'static str,
    },
    /// The present state does not allow the change.
    #[error("{reason}")]
    Conflict {
        /// Why, and what to do.
        reason: String,
    },
    /// The `Idempotency-Key` was used with another body.
    #[error("the idempotency key was used with another body")]
    IdempotencyKeyReused,
    /// The original request with this `Idempotency-Key` is running.
    #[error("the original request with this idempotency key is running")]
    OriginalRequestRunning {
        /// Seconds after which to retry.
        retry_after: u32,
    },
    /// A unique field has this value in another resource.
    #[error("{what} with this {field} exists: {id}")]
    ResourceAlreadyExists {
        /// The resource, such as "an end user".
        what: &'static str,
        /// The unique field.
        field: Field,
        /// Identifier of the existing resource.
        id: String,
    },
    /// The device is bound to another end user.
    #[error("the device is bound to {end_user_id}")]
    DeviceAlreadyBound {
        /// That end user.
        end_user_id: EndUserId,
    },
    /// The SHA-256 of the stored object is not the claimed one.
    #[error("the stored bytes of {media_id} have another SHA-256")]
    IntegrityMismatch {
        /// The media file.
        media_id: MediaId,
        /// The claimed hash.
        expected: Sha256,
        /// The hash of the stored object.
        stored: Sha256,
    },
    /// The MD5 of the stored object is not the claimed one.
    #[error("the stored bytes have another MD5")]
    FileMd5NotMatch {
        /// The claimed hash.
        expected: Md5,
        /// The hash of the stored object.
        stored: Md5,
    },
    /// The recording cannot be transcribed.
    #[error("{0}")]
    NotTranscribable(TranscriptionError),
    /// The body is too large.
    #[error("the body is over {limit_bytes} bytes")]
    RequestTooLarge {
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// The stored object is being hashed in the background.
    #[error("verification pending")]
    VerificationPending {
        /// Seconds after which to retry.
        retry_after: u32,
    },
    /// An AWS service or a provider is temporarily unavailable.
    #[error("temporarily unavailable: {}", Chain(&**cause))]
    Unavailable {
        /// Seconds after which to retry.
        retry_after: u32,
        /// For the log.
        #[source]
        cause: Cause,
    },
    /// A fault of Capstan itself.
    #[error("internal error: {}", Chain(&**cause))]
    Internal {
        /// For the log.
        #[source]
        cause: Cause,
    },
}

impl Error {
    /// A field breaks a rule.
    pub fn invalid(field: impl Into<Field>, rule: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), rule: rule.into() }
    }

    /// The size of the file breaks a rule.
    pub fn file_size(rule: impl Into<String>) -> Self {
        Self::FileSizeInvalid { field: Field::FileSize, rule: rule.into() }
    }

    /// The type of the file breaks a rule.
    pub fn file_type(rule: impl Into<String>) -> Self {
        Self::FileTypeInvalid { field: Field::FileType, rule: rule.into() }
    }

    /// The error with the field's name in another API than `/v1`, for the fields that `name` knows.
    #[must_use]
    pub fn with_field_name(self, name: impl FnOnce(&Field) -> Option<String>) -> Self {
        let named = |field: Field| name(&field).map_or(field, Field::Named);
        match self {
            Self::Invalid { field, rule } => Self::Invalid { field: named(field), rule },
            Self::FileSizeInvalid { field, rule } => Self::FileSizeInvalid { field: named(field), rule },
            Self::FileTypeInvalid { field, rule } => Self::FileTypeInvalid { field: named(field), rule },
            other => other,
        }
    }

    /// A required field is missing.
    pub fn required(param: &str) -> Self {
        Self::invalid(param, "is required")
    }

    /// A fault of Capstan itself.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal { cause: cause.into() }
    }

    /// Adds what was being done to the cause of a failure, such as "get SETTINGS#proj_x#live". Rejections stay as they are.
    #[must_use]
    pub fn context(self, action: impl Into<String>) -> Self {
        let within = |cause| -> Cause { Box::new(Context { action: action.into(), cause }) };
        match self {
            Self::Unavailable { retry_after, cause } => Self::Unavailable { retry_after, cause: within(cause) },
            Self::Internal { cause } => Self::Internal { cause: within(cause) },
            rejection => rejection,
        }
    }

    /// The recording does not exist or is not visible.
    pub fn no_recording() -> Self {
        Self::NotFound { what: "recording" }
    }

    /// The device does not exist or is not visible.
    pub fn no_device() -> Self {
        Self::NotFound { what: "device" }
    }

    /// The end user does not exist or is not visible.
    pub fn no_end_user() -> Self {
        Self::NotFound { what: "end user" }
    }
}

/// A cause with what was being done.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
struct Context {
    action: String,
    #[source]
    cause: Cause,
}

/// Prints an error and its sources as `a: b: c`.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_its_context_and_every_cause() {
        let error = Error::internal("connection reset").context("get REC#rec_1").context("claim rec_1");
        assert_eq!(error.to_string(), "internal error: claim rec_1: get REC#rec_1: connection reset");
        assert_eq!(std::iter::successors(std::error::Error::source(&error), |error| error.source()).count(), 3);
    }

    #[test]
    fn a_rejection_has_no_context() {
        assert_eq!(Error::no_device().context("get DEV#dev_1").to_string(), "no such device");
    }
}
