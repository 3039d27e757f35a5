use capstan_lambda::Function;
use capstan_test_environment::{TestEnvironment, call, event, with_credential, with_id};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn answers_with_the_device_and_never_with_its_token() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("get-device")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "binding_generation": 1,
      "created_at": "2024-11-20T09:00:00Z",
      "end_user_id": "eu_01jcz695t07xwvpyt3bc2k45jh",
      "firmware_version": null,
      "id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
      "last_heartbeat": null,
      "last_seen_at": null,
      "metadata": {},
      "model": "unknown",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "serial_number": "CR2-7F3A-0042",
      "status": "bound",
      "updated_at": "2024-11-20T09:00:00Z"
    }
    "#);
}

#[tokio::test]
async fn reads_the_credential_and_the_device_once_each() {
    let environment = TestEnvironment::start().await;
    call(&function(&environment), event("get-device")).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}

#[tokio::test]
async fn an_unknown_credential_is_401_before_validation() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for id in ["dev_unknown", "nonsense"] {
        let event = with_id(with_credential(event("get-device"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}
