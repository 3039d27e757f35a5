//! Why a transcription does not get on.

use std::time::Duration;

use capstan_domain::{Error, TranscriptionError};
use capstan_transcribe::Failure;

/// Why a transcription does not get on.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The provider cannot now: try again.
    #[error("{reason}")]
    Passing {
        /// What it asked to wait.
        retry_after: Option<Duration>,
        /// For the log, and in the end for the transcription's owner.
        reason: String,
    },
    /// There will be no text.
    #[error("{0}")]
    Final(TranscriptionError),
    /// It is not the provider's fault.
    #[error(transparent)]
    Ours(Error),
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Later { retry_after, reason } => Self::Passing { retry_after, reason },
            Failure::Nonsense { reason } => {
                Self::Passing { retry_after: None, reason: format!("its answer makes no sense: {reason}") }
            }
            Failure::Refused(error) => Self::Final(error),
        }
    }
}

impl From<TranscriptionError> for JobError {
    fn from(error: TranscriptionError) -> Self {
        Self::Final(error)
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotTranscribable(error) => error.into(),
            other => Self::Ours(other),
        }
    }
}
