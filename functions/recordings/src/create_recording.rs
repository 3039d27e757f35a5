//! `POST /v1/recordings`

use capstan_domain::{
    Action, BoundDevice, Caller, Device, DeviceId, EndUser, EndUserId, Error, Grant, Metadata, Name, Origin, Recording,
    RecordingId, Source, Timestamp,
};
use capstan_http::{Access, RecordingBody, Refusals, Reply, Request};
use capstan_store::Store;
use futures_util::future::join;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

/// A recording to create.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewRecording)]
pub struct Body {
    /// Identifier of the end user. Required with an API key; a device token implies its own.
    #[schema(value_type = Option<String>, nullable = false)]
    end_user_id: Option<Value>,
    /// Identifier of the device. A device token implies its own.
    #[schema(value_type = Option<String>)]
    device_id: Option<Value>,
    /// Name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Name>,
    /// When the take began.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// Same as `started_at`.
    #[schema(value_type = Option<String>, format = DateTime)]
    recorded_at: Option<Timestamp>,
    /// When the take ended, not before its start.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Any JSON object of at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    /// How the recording was created.
    #[schema(value_type = Option<String>, pattern = "^(device|app_import|api_upload)$")]
    source: Option<Source>,
    /// How the client uploads, for statistics.
    #[schema(max_length = 64)]
    upload_method: Option<String>,
}

/// Creates a recording.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/recordings", operation_id = "createRecording",
    summary = "Create a recording",
    description = "The recording is `pending` until its upload is completed. If it is not completed within 7 days, it is \
        deleted with its files.",
    tag = "Recordings",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = [])),
    request_body = Body,
    responses(
        (
            status = 201,
            description = "The new recording.",
            body = RecordingBody,
        ),
        Refusals,
    ),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let read = Draft::read(&request, access.store());
    let (caller, draft) = access.caller_while_reading(&request, Action::CreateRecording, read).await?;
    let (body, origin) = draft.of(&caller)?;
    let id = RecordingId::new(request.now(), request.entropy());
    let mut recording = Recording::new(id, caller.tenant, None, request.now());
    recording.origin = origin;
    let recording = access.store().create_recording(body.describe(recording)?).await?;
    Reply::created(&RecordingBody::from(&recording))
}

/// A body with whom and what it names, looked up before it is known who calls.
struct Draft {
    body: Body,
    end_user: Result<Option<EndUser>, Error>,
    device: Result<Option<Device>, Error>,
}

impl Draft {
    async fn read(request: &Request, store: &Store) -> Result<Self, Error> {
        let mut body: Body = request.json()?;
        let (end_user_id, device_id) = (body.end_user_id.take(), body.device_id.take());
        let end_user = look_up("end_user_id", end_user_id, async |id: EndUserId| store.end_user(&id).await);
        let device = look_up("device_id", device_id, async |id: DeviceId| store.device(&id).await);
        let (end_user, device) = join(end_user, device).await;
        Ok(Self { body, end_user, device })
    }

    /// Who makes the recording, and with which device. A token says both, whatever the body says.
    fn of(self, caller: &Caller) -> Result<(Body, Origin), Error> {
        if let Grant::Device(BoundDevice { device_id, end_user_id, generation }) = &caller.grant {
            let origin = Origin {
                device_id: Some(device_id.clone()),
                end_user_id: Some(end_user_id.clone()),
                binding_generation: Some(*generation),
                ..Origin::default()
            };
            return Ok((self.body, origin));
        }
        let end_user = self.end_user?.ok_or_else(|| Error::required("end_user_id"))?;
        let device = self.device?;
        if end_user.tenant != caller.tenant {
            return Err(not_ours("end_user_id"));
        }
        if device.as_ref().is_some_and(|device| device.tenant != caller.tenant) {
            return Err(not_ours("device_id"));
        }
        let device_id = device.map(|device| device.id);
        Ok((self.body, Origin { end_user_id: Some(end_user.id), device_id, ..Origin::default() }))
    }
}

async fn look_up<Id: DeserializeOwned, T>(
    field: &'static str,
    value: Option<Value>,
    find: impl AsyncFnOnce(Id) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let id = serde_json::from_value(value).map_err(|error| Error::invalid(field, error.to_string()))?;
    find(id).await?.ok_or_else(|| not_ours(field)).map(Some)
}

fn not_ours(field: &'static str) -> Error {
    Error::invalid(field, "must name one of this project")
}

impl Body {
    fn describe(self, mut recording: Recording) -> Result<Recording, Error> {
        if self.started_at.zip(self.recorded_at).is_some_and(|(start, alias)| start != alias) {
            return Err(Error::invalid("recorded_at", "must be the same as started_at, or absent"));
        }
        let started_at = self.started_at.or(self.recorded_at);
        if started_at.zip(self.ended_at).is_some_and(|(start, end)| end < start) {
            return Err(Error::invalid("ended_at", "must not be before started_at"));
        }
        if self.upload_method.as_ref().is_some_and(|method| method.chars().count() > 64) {
            return Err(Error::invalid("upload_method", "must be at most 64 characters"));
        }
        recording.name = self.name;
        recording.origin.started_at = started_at;
        recording.origin.ended_at = self.ended_at;
        recording.metadata = self.metadata.unwrap_or_default();
        recording.origin.source = self.source;
        recording.origin.upload_method = self.upload_method;
        Ok(recording)
    }
}

#[cfg(test)]
mod tests;
