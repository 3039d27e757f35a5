use capstan_lambda::Function;
use capstan_test_environment::{DEVICE_TOKEN, TestEnvironment, call, event, with_body};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn returns_the_updated_device() {
    let environment = TestEnvironment::start().await;
    environment.advance(1);
    let answer = call(&function(&environment), event("update-device")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "binding_generation": 1,
      "created_at": "2024-11-20T09:00:00Z",
      "end_user_id": "eu_01jcz695t07xwvpyt3bc2k45jh",
      "firmware_version": "2.9.0",
      "id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
      "last_heartbeat": null,
      "last_seen_at": null,
      "metadata": {
        "asset": "A-17",
        "colour": "slate"
      },
      "model": "CR2 Plus",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "serial_number": "CR2-7F3A-0042",
      "status": "bound",
      "updated_at": "2024-11-20T09:00:01Z"
    }
    "#);
}

#[tokio::test]
async fn changes_the_given_fields_only() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let change = |body| call(&function, with_body(event("update-device"), body));
    call(&function, event("update-device")).await;
    let answer = change(json!({"model": "CR3", "serial_number": "x", "status": "unbound"})).await;
    assert_eq!((&answer.body["model"], &answer.body["firmware_version"]), (&json!("CR3"), &json!("2.9.0")));
    assert_eq!((&answer.body["serial_number"], &answer.body["status"]), (&json!("CR2-7F3A-0042"), &json!("bound")));
    let answer = change(json!({"model": null, "firmware_version": null, "metadata": null})).await;
    assert_eq!((&answer.body["model"], &answer.body["firmware_version"]), (&json!("unknown"), &json!(null)));
    assert_eq!(answer.body["metadata"], json!({}));
    assert!(environment.is_valid(DEVICE_TOKEN).await);
}

#[tokio::test]
async fn reads_the_credential_and_then_writes_once() {
    let environment = TestEnvironment::start().await;
    call(&function(&environment), event("update-device")).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:UpdateItem"]);
}

#[tokio::test]
async fn names_the_field_that_breaks_a_rule() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for (param, value) in [("model", json!("")), ("firmware_version", json!(2)), ("metadata", json!([]))] {
        let answer = call(&function, with_body(event("update-device"), json!({param: value}))).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(param)));
    }
}
