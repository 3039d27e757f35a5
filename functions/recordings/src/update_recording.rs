//! `PATCH /v1/recordings/{id}`

use capstan_domain::{Action, Error, Metadata, Name, RecordingId};
use capstan_http::{Access, RecordingBody, Refusals, Reply, Request, present};
use serde::Deserialize;
use utoipa::ToSchema;

/// Changes. Absent fields stay unchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecordingChange)]
pub struct Body {
    /// Name. Null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Option<Name>>,
    /// Replaces all metadata. Null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Metadata>>,
}

/// Updates name and metadata of a recording.
///
/// # Errors
/// [`Error::Invalid`], [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    patch, path = "/v1/recordings/{id}", operation_id = "updateRecording",
    summary = "Update a recording",
    description = "Changes the name and replaces the metadata. Fields that are absent stay unchanged.",
    tag = "Recordings",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"])),
    params(("id" = String, Path, description = "The recording.")),
    request_body = Body,
    responses((status = 200, description = "The updated recording.", body = RecordingBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteRecordings).await?;
    let id: RecordingId = request.path_id("recording")?;
    let Body { name, metadata } = request.json()?;
    let metadata = metadata.map(Option::unwrap_or_default);
    let recording = access.store().update_recording(&caller.visibility(), &id, name, metadata, request.now()).await?;
    Reply::ok(&RecordingBody::from(&recording))
}

#[cfg(test)]
mod tests {
    use capstan_domain::{Mode, Tenant};
    use capstan_lambda::Function;
    use capstan_test_environment::{
        DEVICE_TOKEN, RECORDING, TestEnvironment, call, event, with_body, with_credential, with_id,
    };
    use serde_json::json;

    fn function(environment: &TestEnvironment) -> Function {
        environment.http_function(super::handle)
    }

    #[tokio::test]
    async fn changes_the_given_fields_only() {
        let environment = TestEnvironment::start().await;
        environment.recording().pending().await;
        let function = function(&environment);
        let change = |body| call(&function, with_body(event("update-recording"), body));
        environment.advance(1);
        let answer = change(json!({"name": "Interview", "metadata": {"a": [1, null]}})).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["name"], "Interview");
        assert_eq!(answer.body["updated_at"], "2024-11-20T09:00:01Z");
        let answer = change(json!({"metadata": {"b": 2}, "status": "completed"})).await;
        assert_eq!((&answer.body["name"], &answer.body["metadata"]), (&json!("Interview"), &json!({"b": 2})));
        assert_eq!(answer.body["status"], "pending", "nothing else can be changed");
        let answer = change(json!({"name": null, "metadata": null})).await;
        assert_eq!((&answer.body["name"], &answer.body["metadata"]), (&json!(null), &json!({})));
    }

    #[tokio::test]
    async fn reads_the_credential_and_then_writes_once() {
        let environment = TestEnvironment::start().await;
        environment.recording().pending().await;
        assert_eq!(call(&function(&environment), event("update-recording")).await.status, 200);
        assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:UpdateItem"]);
    }

    #[tokio::test]
    async fn foreign_resources_are_404_and_stay_unchanged() {
        let environment = TestEnvironment::start().await;
        let test_data = Tenant { mode: Mode::Test, ..TestEnvironment::tenant() };
        environment.recording().of(test_data).pending().await;
        let function = function(&environment);
        for id in [RECORDING, "rec_unknown", "nonsense"] {
            assert_eq!(call(&function, with_id(event("update-recording"), id)).await.status, 404, "{id}");
        }
        assert_eq!(environment.stored(RECORDING).await.unwrap().name, None);
        assert!(environment.stored("rec_unknown").await.is_none(), "a change makes no recording");
        assert_eq!(call(&function, with_credential(event("update-recording"), DEVICE_TOKEN)).await.status, 403);
    }
}
