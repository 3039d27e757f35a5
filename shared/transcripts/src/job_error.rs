//! Errors of a transcription job.

use std::time::Duration;

use capstan_domain::{Error, TranscriptionError};
use capstan_transcribe::Failure;

/// Why an attempt at a transcription job failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The provider failed, and another attempt may succeed.
    #[error("{reason}")]
    Transient {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// For the log, and for the transcription's error after the last attempt.
        reason: String,
    },
    /// No attempt can succeed.
    #[error("{0}")]
    Permanent(TranscriptionError),
    /// An error of Capstan or AWS.
    #[error(transparent)]
    Internal(Error),
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Later { retry_after, reason } => Self::Transient { retry_after, reason },
            Failure::Nonsense { reason } => Self::Transient {
                retry_after: None,
                reason: format!("the provider returned an unexpected response: {reason}"),
            },
            Failure::Refused(error) => Self::Permanent(error),
        }
    }
}

impl From<TranscriptionError> for JobError {
    fn from(error: TranscriptionError) -> Self {
        Self::Permanent(error)
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotTranscribable(error) => error.into(),
            other => Self::Internal(other),
        }
    }
}
