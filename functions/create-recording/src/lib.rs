//! `POST /v1/recordings`

use capstan_domain::{
    Action, DeviceId, EndUserId, Error, Grant, Metadata, Name, Recording, RecordingId, Source, Timestamp,
};
use capstan_http::{Access, RecordingBody, Refusals, Reply, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

/// A recording to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewRecording)]
pub struct Body {
    /// The person who makes it. Required with an API key; a device token brings its own.
    #[schema(value_type = Option<String>, nullable = false)]
    end_user_id: Option<Value>,
    /// The device that makes it. A device token brings its own.
    #[schema(value_type = Option<String>)]
    device_id: Option<Value>,
    /// What it is called.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Name>,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When it ended; not before it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Anything to keep with it, at most 16 KiB as JSON.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    /// How it came to be.
    #[schema(value_type = Option<String>, pattern = "^(device|app_import|api_upload)$")]
    source: Option<Source>,
    /// How the client uploads, for its owner's statistics.
    #[schema(max_length = 64)]
    upload_method: Option<String>,
}

/// Makes a recording that awaits its files.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/recordings", operation_id = "createRecording", tag = "Recordings",
    request_body = Body,
    responses((status = 201, description = "The new recording, `pending`.", body = RecordingBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::CreateRecording).await?;
    let mut body: Body = request.json()?;
    let (device_id, end_user_id) = body.take_owner(&caller.grant)?;
    let id = RecordingId::new(request.now(), request.entropy());
    let mut recording = Recording::new(id, caller.tenant, end_user_id, request.now());
    recording.device_id = device_id;
    let recording = body.describe(recording)?;
    access.store().create_recording(&recording).await?;
    Reply::created(&RecordingBody::from(&recording))
}

impl Body {
    /// Who makes the recording, and with which device. A token says both; what the body says then is not even read.
    fn take_owner(&mut self, grant: &Grant) -> Result<(Option<DeviceId>, EndUserId), Error> {
        if let Grant::Device { device_id, end_user_id } = grant {
            return Ok((Some(device_id.clone()), end_user_id.clone()));
        }
        let device_id = id("device_id", self.device_id.take())?;
        let end_user_id = id("end_user_id", self.end_user_id.take())?;
        Ok((device_id, end_user_id.ok_or_else(|| Error::required("end_user_id"))?))
    }

    fn describe(self, mut recording: Recording) -> Result<Recording, Error> {
        if self.started_at.zip(self.ended_at).is_some_and(|(start, end)| end < start) {
            return Err(Error::invalid("ended_at", "must not be before started_at"));
        }
        if self.upload_method.as_ref().is_some_and(|method| method.chars().count() > 64) {
            return Err(Error::invalid("upload_method", "must be at most 64 characters"));
        }
        recording.name = self.name;
        recording.started_at = self.started_at;
        recording.ended_at = self.ended_at;
        recording.metadata = self.metadata.unwrap_or_default();
        recording.source = self.source;
        recording.upload_method = self.upload_method;
        Ok(recording)
    }
}

fn id<T: DeserializeOwned>(field: &str, value: Option<Value>) -> Result<Option<T>, Error> {
    value
        .map(|value| serde_json::from_value(value).map_err(|error| Error::invalid(field, error.to_string())))
        .transpose()
}

#[cfg(test)]
mod tests;
