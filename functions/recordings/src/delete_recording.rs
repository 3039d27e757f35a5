//! `DELETE /v1/recordings/{id}`

use capstan_domain::{Action, Error, RecordingId};
use capstan_http::{Access, Refusals, Reply, Request};

/// Deletes a recording. Its objects are deleted in the background.
///
/// # Errors
/// [`Error::NotFound`] also when it was deleted before, [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    delete, path = "/v1/recordings/{id}", operation_id = "deleteRecording",
    summary = "Delete a recording",
    description = "The recording is not found from now on. Its objects and transcriptions are deleted in the background.",
    tag = "Recordings",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"])),
    params(("id" = String, Path, description = "The recording.")),
    responses((status = 204, description = "Deleted."), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteRecordings).await?;
    let id: RecordingId = request.path_id("recording")?;
    access.store().delete_recording(&caller.visibility(), &id, request.now()).await?;
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests {
    use capstan_domain::{ContentType, Mode, Tenant};
    use capstan_lambda::Function;
    use capstan_store::Due;
    use capstan_test_environment::{RECORDING, TestEnvironment, call, event};
    use serde_json::Value;

    fn function(environment: &TestEnvironment) -> Function {
        environment.http_function(super::handle)
    }

    #[tokio::test]
    async fn answers_204_once_and_then_404() {
        let environment = TestEnvironment::start().await;
        environment.recording().holding(ContentType::AudioOpus, "x").completed().await;
        let function = function(&environment);
        let answer = call(&function, event("delete-recording")).await;
        assert_eq!((answer.status, answer.body), (204, Value::Null));
        assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:UpdateItem"]);
        environment.advance(1);
        assert_eq!(call(&function, event("delete-recording")).await.status, 404);
    }

    #[tokio::test]
    async fn a_deleted_recording_is_due_for_the_removal_of_its_objects() {
        let environment = TestEnvironment::start().await;
        environment.recording().holding(ContentType::AudioOpus, "x").pending().await;
        call(&function(&environment), event("delete-recording")).await;
        let due = environment.store.due(environment.now(), 10).await.unwrap();
        assert!(matches!(&due[..], [Due::Recording(due)] if due.id.as_str() == RECORDING), "{due:?}");
    }

    #[tokio::test]
    async fn a_foreign_recording_is_404() {
        let environment = TestEnvironment::start().await;
        let other = Tenant { project_id: "proj_other".parse().unwrap(), mode: Mode::Live };
        environment.recording().of(other).pending().await;
        assert_eq!(call(&function(&environment), event("delete-recording")).await.status, 404);
        assert!(environment.stored(RECORDING).await.unwrap().deleted_at.is_none());
    }
}
