//! `GET /v1/recordings/{id}`

use capstan_domain::{Action, Error};
use capstan_http::{Access, RecordingBody, Refusals, Reply, Request};

/// Returns a recording. Credential and recording are read concurrently.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/recordings/{id}", operation_id = "getRecording",
    summary = "Retrieve a recording",
    description = "",
    tag = "Recordings",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:read"])),
    params(("id" = String, Path, description = "The recording.")),
    responses((status = 200, description = "The recording.", body = RecordingBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let (_, recording) = access.recording(&request, Action::ReadRecordings).await?;
    Reply::ok(&RecordingBody::from(&recording))
}

#[cfg(test)]
mod tests {
    use capstan_domain::{ContentType, Mode, Scope, Tenant, Timestamp};
    use capstan_lambda::Function;
    use capstan_test_environment::{DEVICE_TOKEN, TestEnvironment, call, event, with_credential, with_id};

    fn function(environment: &TestEnvironment) -> Function {
        environment.http_function(super::handle)
    }

    #[tokio::test]
    async fn answers_with_the_recording_and_its_media() {
        let environment = TestEnvironment::start().await;
        environment
            .recording()
            .holding(ContentType::AudioOpus, "bytes")
            .awaiting(ContentType::ImagePng)
            .pending()
            .await;
        let answer = call(&function(&environment), event("get-recording")).await;
        assert_eq!(answer.status, 200);
        insta::assert_json_snapshot!(answer.body["media"], @r#"
        [
          {
            "captured_at": null,
            "created_at": "2024-11-20T09:00:00Z",
            "file_size_bytes": 5,
            "id": "med_1",
            "mime_type": "audio/opus",
            "renditions": [],
            "status": "uploaded",
            "type": "audio"
          },
          {
            "captured_at": null,
            "created_at": "2024-11-20T09:00:00Z",
            "file_size_bytes": null,
            "id": "med_2",
            "mime_type": "image/png",
            "renditions": [],
            "status": "pending",
            "type": "image"
          }
        ]
        "#);
    }

    #[tokio::test]
    async fn reads_the_credential_and_the_recording_once_each() {
        let environment = TestEnvironment::start().await;
        environment.recording().pending().await;
        call(&function(&environment), event("get-recording")).await;
        assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
    }

    #[tokio::test]
    async fn foreign_resources_are_404() {
        let environment = TestEnvironment::start().await;
        let other = Tenant { project_id: "proj_other".parse().unwrap(), mode: Mode::Live };
        let test_data = Tenant { mode: Mode::Test, ..TestEnvironment::tenant() };
        environment.recording().id("rec_other").of(other).pending().await;
        environment.recording().id("rec_test").of(test_data).pending().await;
        let deleted = |recording: &mut capstan_domain::Recording| {
            recording.deleted_at = Timestamp::from_milliseconds(0);
        };
        environment.recording().id("rec_deleted").with(deleted).pending().await;
        let function = function(&environment);
        for id in ["rec_other", "rec_test", "rec_deleted", "rec_unknown", "med_1", "%00"] {
            let answer = call(&function, with_id(event("get-recording"), id)).await;
            assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &"not_found".into()), "{id}");
        }
    }

    #[tokio::test]
    async fn an_unknown_caller_cannot_probe_for_resources() {
        let environment = TestEnvironment::start().await;
        environment.recording().pending().await;
        let writer = environment.restricted_key(Scope::RecordingsWrite).await;
        let function = function(&environment);
        for (credential, status) in [("sk_live_unknown", 401), (writer.as_str(), 403), (DEVICE_TOKEN, 403)] {
            for id in [capstan_test_environment::RECORDING, "rec_unknown", "nonsense"] {
                let event = with_id(with_credential(event("get-recording"), credential), id);
                assert_eq!(call(&function, event).await.status, status, "{credential} {id}");
            }
        }
    }
}
