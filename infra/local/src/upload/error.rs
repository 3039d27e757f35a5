//! Why a file is not uploaded.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::ClientError;
use crate::file_type;

/// Why a file is not uploaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// A directory, a pipe.
    #[error("is not a file")]
    NotAFile,
    /// It has no bytes.
    #[error("is empty")]
    Empty,
    /// Its name does not say what it is.
    #[error("cannot tell the type by the name; known are {}", file_type::known())]
    UnknownType,
    /// It was written to meanwhile.
    #[error("changed while it was sent; run the command again to send what it is now")]
    Changed,
    /// How far it has come cannot be noted.
    #[error("cannot use the state file {}: {source}", path.display())]
    State {
        /// The state file, or its directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process sends it.
    #[error("is being uploaded by another process")]
    InUse,
    /// The API or S3 refuses for good.
    #[error(transparent)]
    Refused(ClientError),
    /// The recording is not there.
    #[error("the recording {recording_id} is gone")]
    Gone {
        /// The recording.
        recording_id: String,
    },
    /// What was stored was never what was sent.
    #[error("was sent {0} times and did not arrive whole")]
    NeverComplete(u32),
    /// Nothing has moved for long.
    #[error("gave up after {} s without progress; run the command again to go on. {last}", after.as_secs())]
    GaveUp {
        /// How long nothing has moved.
        after: Duration,
        /// What went wrong last.
        last: String,
    },
    /// An answer is not what the contract says.
    #[error("the answer to {path} is not understood: {reason}")]
    Answer {
        /// What was asked.
        path: String,
        /// Where it differs.
        reason: serde_json::Error,
    },
}
