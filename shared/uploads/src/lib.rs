//! What S3 holds is taken note of, whoever says that it is there: a notification, or a look because none came.

mod completed;
mod parts;

use capstan_domain::{Error, EventType, Sequencer};
use capstan_events::Events;
use capstan_lambda::Clock;
use capstan_objects::{Objects, Original};
use capstan_store::{Arrival, Store};

pub use completed::{Completed, HASHED_AT_ONCE, HASHED_LATER_SECONDS};
pub use parts::PartsCompletion;

/// What a notification tells of a write.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The write's entity tag, without quotes.
    pub etag: String,
    /// The write's place in S3's order.
    pub sequencer: Sequencer,
}

/// Takes note of an original with the hashes of its stored bytes. Tells the bus when it came after its recording was
/// completed, and deletes it when its recording is gone. Doing it again changes nothing.
///
/// # Errors
/// [`Error::Unavailable`] when AWS was busy; nothing is lost by trying again.
pub async fn take_note(
    (store, objects, events): (&Store, &Objects, &Events),
    original: &Original,
    notification: Option<&Notification>,
    clock: &Clock,
) -> Result<(), Error> {
    let Some(mut object) = objects.inspect(&original.key, clock.now()).await? else { return Ok(()) };
    // Reading may have taken minutes.
    let now = clock.now();
    // Another tag means that the object was written again since; that write has a notification of its own.
    object.sequencer = notification.filter(|told| told.etag == object.etag).map(|told| told.sequencer.clone());
    let Original { key, recording_id, media_id } = original;
    match store.record_object(recording_id, media_id, &object, now).await? {
        Arrival::InTime | Arrival::Repeated => Ok(()),
        Arrival::Late(recording) => events.publish(EventType::MediaUploaded, &recording).await,
        Arrival::Orphaned => objects.delete(key).await,
        Arrival::Ignored(reason) => {
            tracing::warn!(%recording_id, %media_id, reason, "object ignored");
            Ok(())
        }
    }
}
