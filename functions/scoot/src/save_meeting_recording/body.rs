//! The body of a meeting recording.

use capstan_domain::{MeetingId, MeetingRecordingId, MeetingStatus, MeetingUserId, Name, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::payload::{MeetingUser, Participant};

/// A meeting recording. All fields are stored and returned, also those that are not listed here. A later request keeps
/// fields that are absent or null.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MeetingRecording)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "unused fields are checked and described")]
pub(crate) struct Body {
    /// Identifier of the recording. Created if absent. Requests with the same identifier update the same recording.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) social_recording_id: Option<MeetingRecordingId>,
    /// Identifier of the session.
    #[schema(value_type = Option<String>, format = "uuid")]
    social_id: Option<MeetingId>,
    /// The `external_id` of the end user who owns the recording. Created if it does not exist.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) user_id: Option<MeetingUserId>,
    /// Key of the object. Without one, the recording waits for a request that has it, or that reports its end.
    #[schema(max_length = 1024)]
    pub(crate) recording_id: Option<String>,
    /// Status, `PROCESSING` by default. `COMPLETE` and `FAILED` are final.
    #[schema(value_type = Option<String>, pattern = "^(PROCESSING|COMPLETE|FAILED)$")]
    pub(crate) status: Option<MeetingStatus>,
    /// Name of the recording.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(crate) name: Option<Name>,
    /// Bucket of the object: one that the deployment allows, by default its media bucket. In the media bucket, keys must
    /// begin with `{project}/live/`, or with `{project}/test/` for a test key.
    #[serde(rename = "s3Bucket")]
    pub(crate) s3_bucket: Option<String>,
    /// Size in bytes.
    recording_size: Option<u64>,
    /// When the recording began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) start_date_time: Option<Timestamp>,
    /// When the recording ended, not before `startDateTime`.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) end_date_time: Option<Timestamp>,
    /// When processing began. Set by Capstan if Capstan processes the recording.
    #[schema(value_type = Option<String>, format = DateTime)]
    processing_start_date_time: Option<Timestamp>,
    /// When processing ended. Set by Capstan if Capstan processes the recording.
    #[schema(value_type = Option<String>, format = DateTime)]
    processing_end_date_time: Option<Timestamp>,
    /// Participants.
    #[schema(value_type = Option<Vec<Participant>>)]
    participants: Option<Vec<Map<String, Value>>>,
    /// The user who owns the recording.
    #[schema(value_type = Option<MeetingUser>)]
    user: Option<Map<String, Value>>,
}
