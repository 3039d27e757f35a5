//! `POST /api/v1/transcription/save`

mod request;

use std::collections::BTreeMap;

use capstan_domain::{Action, Error, MeetingId, MeetingStatus, MeetingTranscriptionId, Name, Timestamp, Transcription};
use capstan_events::Events;
use capstan_http::{ErrorBody, Refusals, Reply, Request};
use capstan_outbox::Outbox;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::credential::ScootAccess;
use crate::payload::{MeetingUser, absent};
use crate::saving::{Saved, save};
use request::TranscriptionRequest;

/// A meeting transcription. All fields are stored and returned, also those that are not listed here. A later request keeps
/// fields that are absent or null.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MeetingTranscription)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "unused fields are checked and described")]
pub struct Body {
    /// Identifier of the transcription. Created if absent. Requests with the same identifier update the same transcription.
    #[schema(value_type = Option<String>, format = "uuid")]
    social_transcription_id: Option<MeetingTranscriptionId>,
    /// Identifier of the set of rooms.
    #[schema(value_type = Option<String>, format = "uuid")]
    social_room_set_id: Option<MeetingId>,
    /// Status, `PROCESSING` by default. `COMPLETE` and `FAILED` are final.
    #[schema(value_type = Option<String>, pattern = "^(PROCESSING|COMPLETE|FAILED)$")]
    status: Option<MeetingStatus>,
    /// Name of the transcription.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Name>,
    /// Bucket in which the worker stores it.
    #[serde(rename = "s3Bucket")]
    s3_bucket: Option<String>,
    /// When the transcribed recording began.
    #[schema(value_type = Option<String>, format = DateTime)]
    start_date_time: Option<Timestamp>,
    /// When transcription began.
    #[schema(value_type = Option<String>, format = DateTime)]
    processing_start_date_time: Option<Timestamp>,
    /// When transcription ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    processing_end_date_time: Option<Timestamp>,
    /// The user who owns it.
    #[schema(value_type = Option<MeetingUser>)]
    user: Option<Map<String, Value>>,
}

/// Creates or updates a meeting transcription.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Conflict`], [`Error::RequestTooLarge`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/v1/transcription/save", operation_id = "saveMeetingTranscription",
    summary = "Create or update a meeting transcription",
    description = "Stores a transcription that the worker makes itself. `COMPLETE` and `FAILED` are final. The \
        credential may be sent as `X-API-Key`.",
    tag = "Meetings",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:write"])),
    request_body = Body,
    responses(
        (status = 200, description = "All fields that workers sent, with those that Capstan sets.",
            body = Body),
        (status = 409, description = "It has ended with another status.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, events): (ScootAccess, Events), request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteTranscriptions).await?;
    let saving = TranscriptionRequest::read(&request, access.store(), &caller.tenant)?;
    let transcription = match save(&saving).await? {
        Saved::Changed(transcription) => publish(Outbox::new(access.store(), &events), transcription).await?,
        Saved::Unchanged(transcription) => transcription,
    };
    Reply::ok(&answer(&transcription)?)
}

async fn publish(outbox: Outbox<'_>, transcription: Transcription) -> Result<Transcription, Error> {
    if let Some(event_type) = transcription.event_type {
        outbox.publish_transcription_or_retry_later(event_type, &transcription).await?;
    }
    Ok(transcription)
}

/// All fields that workers sent, with those that Capstan sets.
fn answer(transcription: &Transcription) -> Result<BTreeMap<String, Box<RawValue>>, Error> {
    let without = || Error::internal("a meeting transcription without a payload");
    let meeting = transcription.meeting.as_ref().ok_or_else(without)?;
    meeting.payload.with([
        absent(&meeting.payload, "socialTranscriptionId", Some(meeting.id)),
        absent(&meeting.payload, "processingStartDateTime", transcription.started_at),
        absent(&meeting.payload, "processingEndDateTime", transcription.completed_at),
        ("status", Some(MeetingStatus::from(transcription.status).as_str().to_owned())),
    ])
}

#[cfg(test)]
mod tests;
