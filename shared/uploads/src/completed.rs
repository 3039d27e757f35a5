//! A completed upload, whichever surface it was completed by.

use capstan_domain::{Completion, Error, EventType, Recording, Repeat};
use capstan_events::Events;

/// The largest object whose bytes are hashed while the client waits: some seconds of reading.
pub const HASHED_AT_ONCE: u64 = 256 * 1024 * 1024;
/// Seconds after which a client asks again when the bytes are more than that.
pub const HASHED_LATER_SECONDS: u32 = 30;

/// A completed upload.
#[derive(Debug)]
pub enum Completed {
    /// By this call.
    Now(Recording),
    /// By an earlier one of which this is the exact repeat; the recording as it was then.
    Before(Recording),
}

impl Completed {
    /// What this call is to a recording that is no longer pending.
    ///
    /// # Errors
    /// [`Error::RecordingNotPending`] when it is another call than the one that completed it,
    /// [`Error::IdempotencyKeyReused`] when it came under the same key.
    pub fn before(seen: Recording, completion: &Completion) -> Result<Self, Error> {
        let first = seen.completion.clone().unwrap_or_default();
        if first.is_same_request(completion) {
            // The SDK repeats a call to the table whose answer was lost.
            return Ok(Self::Now(seen.as_completed()));
        }
        match first.repeat(completion) {
            Repeat::Exact => Ok(Self::Before(seen.as_completed())),
            Repeat::KeyReused => Err(Error::IdempotencyKeyReused),
            Repeat::Other => Err(Error::RecordingNotPending { status: seen.status }),
        }
    }

    /// The recording, told to the bus if this call completed it. It is complete whether or not the bus took that: it is
    /// due, and told again when it was not.
    pub async fn told(self, events: &Events) -> Recording {
        let (Self::Now(recording) | Self::Before(recording)) = &self;
        if let Self::Now(_) = &self {
            events.publish_or_retry_later(EventType::Uploaded, recording).await;
        }
        let (Self::Now(recording) | Self::Before(recording)) = self;
        recording
    }
}
