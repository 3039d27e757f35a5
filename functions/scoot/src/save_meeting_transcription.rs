//! `POST /api/v1/transcription/save`

mod saving;

use capstan_domain::{Action, Error, MeetingId, MeetingStatus, MeetingTranscriptionId, Name, Timestamp, Transcription};
use capstan_events::Events;
use capstan_http::{Access, ErrorBody, MeetingUser, Refusals, Reply, Request, filled};
use capstan_store::Store;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use saving::{Call, Saved, Saving};

/// A transcription as workers know it. All of it is kept and given back, with fields that are not listed here too; what a
/// later call leaves out or gives as null stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MeetingTranscription)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is not looked at is checked and described")]
pub struct Body {
    /// Names the transcription; made where it is left out. The next call with the same is about the same transcription.
    #[schema(value_type = Option<String>, format = "uuid")]
    social_transcription_id: Option<MeetingTranscriptionId>,
    /// Names the set of rooms.
    #[schema(value_type = Option<String>, format = "uuid")]
    social_room_set_id: Option<MeetingId>,
    /// Where it stands; `PROCESSING` unless it is known or told otherwise. An end stays.
    #[schema(value_type = Option<String>, pattern = "^(PROCESSING|COMPLETE|FAILED)$")]
    status: Option<MeetingStatus>,
    /// What it is called.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Name>,
    /// Where the worker keeps it.
    #[serde(rename = "s3Bucket")]
    s3_bucket: Option<String>,
    /// When what is transcribed began.
    #[schema(value_type = Option<String>, format = DateTime)]
    start_date_time: Option<Timestamp>,
    /// When the work on it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    processing_start_date_time: Option<Timestamp>,
    /// When the work on it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    processing_end_date_time: Option<Timestamp>,
    /// Whose it is.
    #[schema(value_type = Option<MeetingUser>)]
    user: Option<Map<String, Value>>,
}

/// Keeps what a worker tells of a transcription that it makes itself. The credential may be shown as `X-API-Key`.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Conflict`], [`Error::RequestTooLarge`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/v1/transcription/save", operation_id = "saveMeetingTranscription", tag = "Meetings",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:write"])),
    request_body = Body,
    responses(
        (status = 200, description = "All that was told of the transcription, with what Capstan knows of it.",
            body = Body),
        (status = 409, description = "It has ended in another way.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, events): (Access, Events), request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteTranscriptions).await?;
    let call = Call::read(&request)?;
    let saving = Saving { store: access.store(), tenant: &caller.tenant, call: &call };
    let transcription = match saving.save().await? {
        Saved::Moved(transcription) => publish(access.store(), &events, transcription).await?,
        Saved::Kept(transcription) => transcription,
    };
    Reply::ok(&answer(&transcription)?)
}

async fn publish(store: &Store, events: &Events, transcription: Transcription) -> Result<Transcription, Error> {
    let Some(event_type) = transcription.event_type else { return Ok(transcription) };
    if events.publish_transcription_or_retry_later(event_type, &transcription).await {
        store.transcription_event_published(&transcription, event_type).await?;
    }
    Ok(transcription)
}

/// All that was told of it, with what Capstan knows.
fn answer(transcription: &Transcription) -> Result<Map<String, Value>, Error> {
    let told_by_none = || Error::internal("a worker's transcription was told by none");
    let meeting = transcription.meeting.as_ref().ok_or_else(told_by_none)?;
    Ok(meeting.told.with([
        filled(&meeting.told, "socialTranscriptionId", Some(meeting.id)),
        filled(&meeting.told, "processingStartDateTime", transcription.started_at),
        filled(&meeting.told, "processingEndDateTime", transcription.completed_at),
        ("status", Some(MeetingStatus::from(transcription.status).as_str().to_owned())),
    ]))
}

#[cfg(test)]
mod tests;
