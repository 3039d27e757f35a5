//! `POST /api/v1/recording/processing`

mod answer;
mod body;
mod request;

use capstan_domain::{Action, Error, EventType, MeetingBuckets, Recording, Status, Timestamp};
use capstan_events::Events;
use capstan_http::{ErrorBody, Refusals, Reply, Request};
use capstan_objects::Objects;
use capstan_outbox::Outbox;

use crate::credential::ScootAccess;
use crate::saving::{Saved, save};
use body::Body;
use request::RecordingRequest;

/// Creates or updates a meeting recording.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Conflict`], [`Error::RequestTooLarge`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/v1/recording/processing", operation_id = "saveMeetingRecording",
    summary = "Create or update a meeting recording",
    description = "`PROCESSING` with the key of an object as `recordingId` begins its processing. `COMPLETE` and \
        `FAILED` report the end of the worker's own processing and are final. The credential may be sent as \
        `X-API-Key`.",
    tag = "Meetings",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"])),
    request_body = Body,
    responses(
        (status = 200, description = "All fields that workers sent, with those that Capstan sets.", body = Body),
        (status = 409, description = "It has ended with another status.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(
    (access, objects, events, buckets): (ScootAccess, Objects, Events, MeetingBuckets),
    request: Request,
) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteRecordings).await?;
    let store = access.store();
    let saving = RecordingRequest::read(&request, (store, &objects, &buckets), &caller.tenant)?;
    let recording = match save(&saving).await? {
        Saved::Changed(recording) => publish(Outbox::new(store, &events), recording, request.received_at()).await?,
        Saved::Unchanged(recording) => recording,
    };
    Reply::ok(&answer::of(&recording)?)
}

async fn publish(outbox: Outbox<'_>, recording: Recording, now: Timestamp) -> Result<Recording, Error> {
    let is_uploaded = recording.status == Status::Uploaded;
    let event_type = recording.processing.event_type.or(is_uploaded.then_some(EventType::Uploaded));
    if let Some(event_type) = event_type {
        outbox.publish_or_retry_later(event_type, &recording, now).await?;
    }
    Ok(recording)
}

#[cfg(test)]
mod tests;
