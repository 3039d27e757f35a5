//! S3's ObjectCreated notifications: an object was stored.

use aws_lambda_events::s3::{S3Event, S3EventRecord};
use capstan_domain::{Error, Sequencer};
use capstan_events::Events;
use capstan_lambda::Invocation;
use capstan_objects::{Objects, Original};
use capstan_outbox::Outbox;
use capstan_store::Store;
use capstan_uploads::{Notification, record_object};
use percent_encoding::percent_decode_str;

/// Records every stored original. Renditions and other objects are ignored.
///
/// # Errors
/// [`Error::Unavailable`] when AWS was busy: Lambda hands the event over again.
pub async fn handle(
    (store, objects, events): (Store, Objects, Events),
    event: S3Event,
    invocation: Invocation,
) -> Result<(), Error> {
    for record in &event.records {
        let Some(original) = original(record) else { continue };
        let outbox = Outbox::new(&store, &events);
        record_object((&store, &objects, outbox), &original, notification(record).as_ref(), &invocation.clock).await?;
    }
    Ok(())
}

/// S3 encodes the key as in a form, with `+` for a space.
fn original(record: &S3EventRecord) -> Option<Original> {
    let key = record.s3.object.key.as_deref()?.replace('+', " ");
    Original::parse(&percent_decode_str(&key).decode_utf8().ok()?)
}

fn notification(record: &S3EventRecord) -> Option<Notification> {
    let object = &record.s3.object;
    let etag = object.e_tag.as_deref()?.trim_matches('"').to_owned();
    Some(Notification { etag, sequencer: Sequencer::new(object.sequencer.as_deref()?) })
}

#[cfg(test)]
mod tests;
