//! The arrival of an object, by a notification or found by the sweep.

use capstan_domain::{Error, EventType, Sequencer};
use capstan_lambda::Clock;
use capstan_objects::{Objects, Original};
use capstan_outbox::Outbox;
use capstan_store::{Recorded, Store};

/// What an S3 notification reports of a write.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Entity tag of the write, without quotes.
    pub etag: String,
    /// Order of the write.
    pub sequencer: Sequencer,
}

/// Hashes an object and records it. Publishes `media.uploaded` if the object is late, and deletes the object if its
/// recording does not exist. Repeating it changes nothing.
///
/// # Errors
/// [`Error::Unavailable`] when AWS was busy; repeating it is safe.
pub async fn record_object(
    (store, objects, outbox): (&Store, &Objects, Outbox<'_>),
    original: &Original,
    notification: Option<&Notification>,
    clock: &Clock,
) -> Result<(), Error> {
    let Some(mut object) = objects.inspect(&original.key, clock.now()).await? else { return Ok(()) };
    // Hashing may have taken minutes.
    let now = clock.now();
    // With another entity tag, the object was overwritten since: that write has its own notification.
    let of_this_write = notification.filter(|notification| notification.etag == object.etag);
    object.sequencer = of_this_write.map(|notification| notification.sequencer.clone());
    let Original { key, recording_id, media_id } = original;
    match store.record_object(recording_id, media_id, &object, now).await? {
        Recorded::InTime | Recorded::Known => Ok(()),
        Recorded::Late(recording) => outbox.publish(EventType::MediaUploaded, &recording, now).await,
        Recorded::Orphaned => objects.delete(key).await,
        Recorded::Ignored(reason) => {
            tracing::warn!(%recording_id, %media_id, reason, "object ignored");
            Ok(())
        }
    }
}
