//! What a worker tells.

use capstan_domain::{Error, MeetingId, MeetingRecordingId, MeetingStatus, MeetingUserId, Name, Timestamp, Told};
use capstan_http::{MeetingUser, Participant, Request};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A recording as workers know it. All of it is kept and given back, with fields that are not listed here too; what a
/// later call leaves out or gives as null stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MeetingRecording)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is not looked at is checked and described")]
pub(crate) struct Body {
    /// Names the recording; made where it is left out. The next call with the same is about the same recording.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) social_recording_id: Option<MeetingRecordingId>,
    /// Names the session.
    #[schema(value_type = Option<String>, format = "uuid")]
    social_id: Option<MeetingId>,
    /// Whose it is: an end user's `external_id`. Who is not known yet is made known.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) user_id: Option<MeetingUserId>,
    /// The key of the object. A recording without one waits for the call that names it, or for its end.
    #[schema(max_length = 1024)]
    pub(crate) recording_id: Option<String>,
    /// Where it stands; `PROCESSING` unless it is known or told otherwise. An end stays.
    #[schema(value_type = Option<String>, pattern = "^(PROCESSING|COMPLETE|FAILED)$")]
    pub(crate) status: Option<MeetingStatus>,
    /// What it is called.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(crate) name: Option<Name>,
    /// The bucket of the object: the deployment's media bucket unless given, else one that the deployment allows. In the
    /// media bucket keys begin with `{project}/live/`, with a test key `{project}/test/`.
    #[serde(rename = "s3Bucket")]
    pub(crate) s3_bucket: Option<String>,
    /// Its size, as the worker says.
    recording_size: Option<u64>,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) start_date_time: Option<Timestamp>,
    /// When it ended; not before it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) end_date_time: Option<Timestamp>,
    /// When its processing began. Of what Capstan processes, Capstan says it.
    #[schema(value_type = Option<String>, format = DateTime)]
    processing_start_date_time: Option<Timestamp>,
    /// When its processing ended. Of what Capstan processes, Capstan says it.
    #[schema(value_type = Option<String>, format = DateTime)]
    processing_end_date_time: Option<Timestamp>,
    /// Who took part.
    #[schema(value_type = Option<Vec<Participant>>)]
    participants: Option<Vec<Map<String, Value>>>,
    /// Whose it is, with more than the id.
    #[schema(value_type = Option<MeetingUser>)]
    user: Option<Map<String, Value>>,
}

/// One call of a worker's.
pub(crate) struct Call {
    pub(crate) id: MeetingRecordingId,
    pub(crate) body: Body,
    pub(crate) told: Told,
    pub(crate) now: Timestamp,
    pub(crate) entropy: u128,
}

impl Call {
    pub(crate) fn read(request: &Request) -> Result<Self, Error> {
        let (body, told) = capstan_http::told::<Body>(request)?;
        let (now, entropy) = (request.now(), request.entropy());
        let id = body.social_recording_id.unwrap_or_else(|| MeetingRecordingId::new(entropy));
        Ok(Self { id, body, told, now, entropy })
    }
}
