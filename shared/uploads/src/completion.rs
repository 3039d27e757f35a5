//! The completion of a recording's upload, by whichever endpoint.

use capstan_domain::{CompletedUpload, Error, EventType, Recording, Timestamp};
use capstan_outbox::Outbox;

/// The largest object, in bytes, that is hashed while the client waits: that takes some seconds.
pub const MAX_HASHED_IN_REQUEST_BYTES: u64 = 256 * 1024 * 1024;
/// Seconds after which a client retries when a larger object is hashed in the background.
pub const VERIFICATION_RETRY_SECONDS: u32 = 30;

/// Publishes `recording.uploaded` unless the request is a replay. The upload is complete even if the bus does not take it.
///
/// # Errors
/// [`Error::Unavailable`] when the table did not answer.
pub async fn publish_completed(
    completed: CompletedUpload,
    outbox: Outbox<'_>,
    now: Timestamp,
) -> Result<Recording, Error> {
    match completed {
        CompletedUpload::Now(recording) => {
            outbox.publish_or_retry_later(EventType::Uploaded, &recording, now).await?;
            Ok(recording)
        }
        CompletedUpload::Replayed(recording) => Ok(recording),
    }
}
