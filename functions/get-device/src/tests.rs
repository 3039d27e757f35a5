use capstan_domain::Scope;
use capstan_lambda::{Function, http_function};
use capstan_stage::{DEVICE, DEVICE_TOKEN, SECRET_KEY, Stage, call, event, with_credential, with_id};
use serde_json::json;

fn function(stage: &Stage) -> Function {
    http_function(stage.access(), stage.clock(), super::handle)
}

#[tokio::test]
async fn answers_with_the_device_and_never_with_its_token() {
    let stage = Stage::set().await;
    let answer = call(&function(&stage), event("get-device")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "created_at": "2024-11-20T09:00:00Z",
      "end_user_id": "eu_01jcz695t07xwvpyt3bc2k45jh",
      "firmware_version": null,
      "id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
      "last_heartbeat": null,
      "last_seen_at": null,
      "metadata": {},
      "model": null,
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "serial_number": "CR2-7F3A-0042",
      "status": "bound",
      "updated_at": "2024-11-20T09:00:00Z"
    }
    "#);
}

#[tokio::test]
async fn reads_the_credential_and_the_device_once_each() {
    let stage = Stage::set().await;
    call(&function(&stage), event("get-device")).await;
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}

#[tokio::test]
async fn what_is_out_of_reach_is_not_there() {
    let stage = Stage::set().await;
    let function = function(&stage);
    let before = stage.stored_device(DEVICE).await;
    for stranger in stage.strangers().await {
        let event = with_credential(with_id(event("get-device"), DEVICE), &stranger);
        let answer = call(&function, event).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &json!("not_found")), "{stranger}");
    }
    for id in ["dev_unknown", "eu_01jcz695t07xwvpyt3bc2k45jh", "me", "%00"] {
        let event = with_credential(with_id(event("get-device"), id), SECRET_KEY);
        assert_eq!(call(&function, event).await.status, 404, "{id}");
    }
    assert_eq!(stage.stored_device(DEVICE).await, before);
    assert!(stage.stored_device("dev_unknown").await.is_none());
}

#[tokio::test]
async fn a_key_needs_the_scope_and_a_device_may_not() {
    let stage = Stage::set().await;
    let function = function(&stage);
    assert_eq!(stage.admitting(&function, &event("get-device")).await, [Scope::DevicesRead]);
    assert_eq!(call(&function, with_credential(event("get-device"), DEVICE_TOKEN)).await.status, 403);
}

#[tokio::test]
async fn an_unknown_caller_is_told_so_before_anything_else() {
    let stage = Stage::set().await;
    let function = function(&stage);
    for id in ["dev_unknown", "nonsense"] {
        let event = with_id(with_credential(event("get-device"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}
