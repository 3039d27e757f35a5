//! The response to a meeting worker.

use std::collections::BTreeMap;

use capstan_domain::{Error, MeetingStatus, Recording};
use serde_json::value::RawValue;

use crate::payload::absent;

/// All fields that workers sent, with those that Capstan sets.
pub(crate) fn of(recording: &Recording) -> Result<BTreeMap<String, Box<RawValue>>, Error> {
    let meeting = recording.meeting.as_ref().ok_or_else(|| Error::internal("a meeting recording without a payload"))?;
    let (payload, status) = (&meeting.payload, MeetingStatus::from(recording.status));
    let location = recording.media.values().find_map(|media| media.location.as_ref());
    let began = Some(recording.upload.uploaded_at.unwrap_or(recording.created_at));
    let is_ours = status.end().is_some() && meeting.reported_at.is_none();
    let (start, end) = ("processingStartDateTime", "processingEndDateTime");
    let times = if is_ours {
        let text = |moment: Option<capstan_domain::Timestamp>| moment.map(|moment| moment.to_string());
        [(start, text(began)), (end, text(recording.end.processed_at))]
    } else {
        [absent(payload, start, began), absent(payload, end, recording.end.processed_at)]
    };
    let known = [
        absent(payload, "socialRecordingId", Some(meeting.id)),
        absent(payload, "s3Bucket", location.map(|location| &location.bucket)),
        ("status", Some(status.as_str().to_owned())),
        ("name", recording.name.as_ref().map(ToString::to_string)),
    ];
    payload.with(known.into_iter().chain(times))
}
