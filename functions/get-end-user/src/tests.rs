use capstan_domain::Scope;
use capstan_lambda::{Function, http_function};
use capstan_stage::{DEVICE_TOKEN, Stage, call, event, with_credential, with_id};
use serde_json::json;

fn function(stage: &Stage) -> Function {
    http_function(stage.access(), stage.clock(), super::handle)
}

#[tokio::test]
async fn answers_with_the_end_user() {
    let stage = Stage::set().await;
    let answer = call(&function(&stage), event("get-end-user")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "created_at": "2024-11-20T09:00:00Z",
      "email": null,
      "external_id": null,
      "id": "eu_01jcz695t07xwvpyt3bc2k45jh",
      "metadata": {},
      "name": null,
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "updated_at": "2024-11-20T09:00:00Z"
    }
    "#);
}

#[tokio::test]
async fn reads_the_credential_and_the_end_user_once_each() {
    let stage = Stage::set().await;
    call(&function(&stage), event("get-end-user")).await;
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}

#[tokio::test]
async fn what_is_out_of_reach_is_not_there() {
    let stage = Stage::set().await;
    let function = function(&stage);
    for stranger in stage.strangers().await {
        let answer = call(&function, with_credential(event("get-end-user"), &stranger)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &json!("not_found")), "{stranger}");
    }
    for id in ["eu_unknown", "dev_01jcz6b0d032p3wwt3y0b8j32h", "me", "%00"] {
        assert_eq!(call(&function, with_id(event("get-end-user"), id)).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn a_key_needs_the_scope_and_a_device_may_not() {
    let stage = Stage::set().await;
    let function = function(&stage);
    assert_eq!(stage.admitting(&function, &event("get-end-user")).await, [Scope::EndUsersRead]);
    assert_eq!(call(&function, with_credential(event("get-end-user"), DEVICE_TOKEN)).await.status, 403);
    assert_eq!(call(&function, with_credential(event("get-end-user"), "sk_live_unknown")).await.status, 401);
}

#[tokio::test]
async fn an_unknown_caller_is_told_so_before_anything_else() {
    let stage = Stage::set().await;
    let function = function(&stage);
    for id in ["eu_unknown", "nonsense"] {
        let event = with_id(with_credential(event("get-end-user"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}
