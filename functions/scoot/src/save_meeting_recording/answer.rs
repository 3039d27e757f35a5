//! A recording as workers know it.

use capstan_domain::{Error, MeetingStatus, Recording};
use capstan_http::filled;
use serde_json::{Map, Value};

/// All that was told of it, with what Capstan knows. Whoever processed it says when.
pub(crate) fn of(recording: &Recording) -> Result<Map<String, Value>, Error> {
    let told_by_none = || Error::internal("a worker's recording was told by none");
    let meeting = recording.meeting.as_ref().ok_or_else(told_by_none)?;
    let (told, status) = (&meeting.told, MeetingStatus::from(recording.status));
    let place = recording.media.values().find_map(|media| media.place.as_ref());
    let began = Some(recording.uploaded_at.unwrap_or(recording.created_at));
    let is_ours = status.end().is_some() && meeting.reported_at.is_none();
    let (start, end) = ("processingStartDateTime", "processingEndDateTime");
    let times = if is_ours {
        let text = |moment: Option<capstan_domain::Timestamp>| moment.map(|moment| moment.to_string());
        [(start, text(began)), (end, text(recording.processed_at))]
    } else {
        [filled(told, start, began), filled(told, end, recording.processed_at)]
    };
    let known = [
        filled(told, "socialRecordingId", Some(meeting.id)),
        filled(told, "s3Bucket", place.map(|place| &place.bucket)),
        ("status", Some(status.as_str().to_owned())),
        ("name", recording.name.as_ref().map(ToString::to_string)),
    ];
    Ok(told.with(known.into_iter().chain(times)))
}
