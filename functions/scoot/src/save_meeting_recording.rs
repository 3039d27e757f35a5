//! `POST /api/v1/recording/processing`

mod answer;
mod body;
mod saving;

use capstan_domain::{Action, Error, EventType, MeetingBuckets, Recording, Status, Timestamp};
use capstan_events::Events;
use capstan_http::{Access, ErrorBody, Refusals, Reply, Request};
use capstan_objects::Objects;
use capstan_store::Store;

use body::{Body, Call};
use saving::{Saved, Saving};

/// Keeps what a worker tells of a recording. `PROCESSING`, with the key of an object as `recordingId`, begins its
/// processing; `COMPLETE` and `FAILED` report the end of a processing of the worker's own. The credential may be shown as
/// `X-API-Key`.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Conflict`], [`Error::RequestTooLarge`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/v1/recording/processing", operation_id = "saveMeetingRecording", tag = "Meetings",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"])),
    request_body = Body,
    responses(
        (status = 200, description = "All that was told of the recording, with what Capstan knows of it.", body = Body),
        (status = 409, description = "It has ended in another way.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(
    (access, objects, events, buckets): (Access, Objects, Events, MeetingBuckets),
    request: Request,
) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteRecordings).await?;
    let call = Call::read(&request)?;
    let store = access.store();
    let saving = Saving { store, objects: &objects, buckets: &buckets, tenant: &caller.tenant, call: &call };
    let recording = match saving.save().await? {
        Saved::Moved(recording) => publish(store, &events, recording, request.received_at()).await?,
        Saved::Kept(recording) => recording,
    };
    Reply::ok(&answer::of(&recording)?)
}

async fn publish(store: &Store, events: &Events, recording: Recording, now: Timestamp) -> Result<Recording, Error> {
    let is_begun = recording.status == Status::Uploaded;
    let news = recording.event_type.or(is_begun.then_some(EventType::Uploaded));
    let Some(event_type) = news else { return Ok(recording) };
    if events.publish_or_retry_later(event_type, &recording).await && !is_begun {
        store.event_published(&recording, event_type, now).await?;
    }
    Ok(recording)
}

#[cfg(test)]
mod tests;
