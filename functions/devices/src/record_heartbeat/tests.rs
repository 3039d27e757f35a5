use capstan_lambda::Function;
use capstan_test_environment::{
    DEVICE, DEVICE_TOKEN, SECRET_KEY, TestEnvironment, call, event, with_body, with_credential, with_id,
};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn returns_the_device_with_its_last_heartbeat() {
    let environment = TestEnvironment::start().await;
    environment.advance(1);
    let answer = call(&function(&environment), event("record-heartbeat")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "binding_generation": 1,
      "created_at": "2024-11-20T09:00:00Z",
      "end_user_id": "eu_01jcz695t07xwvpyt3bc2k45jh",
      "firmware_version": "2.9.0",
      "id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
      "last_heartbeat": {
        "battery_percent": 64,
        "firmware_version": "2.9.0",
        "free_bytes": 51539607552
      },
      "last_seen_at": "2024-11-20T09:00:01Z",
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
async fn absent_fields_stay_unchanged() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    call(&function, event("record-heartbeat")).await;
    environment.advance(60);
    let mut bare = event("record-heartbeat");
    bare["body"] = Value::Null;
    let answer = call(&function, bare).await;
    assert_eq!((answer.status, &answer.body["last_seen_at"]), (200, &json!("2024-11-20T09:01:00Z")));
    assert_eq!((&answer.body["last_heartbeat"], &answer.body["firmware_version"]), (&json!({}), &json!("2.9.0")));
}

#[tokio::test]
async fn reads_the_credential_and_then_writes_once() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for _ in 0..2 {
        call(&function, event("record-heartbeat")).await;
        let calls = environment.emulators.take_calls();
        assert_eq!(calls, ["dynamodb:GetItem", "dynamodb:UpdateItem"], "a device token is read every time");
    }
}

#[tokio::test]
async fn a_device_acts_for_itself_and_its_project_for_any() {
    let environment = TestEnvironment::start().await;
    environment.device(&TestEnvironment::tenant(), &"dev_2".parse().unwrap()).await;
    let function = function(&environment);
    for (credential, id, status) in [
        (DEVICE_TOKEN, "me", 200),
        (DEVICE_TOKEN, DEVICE, 200),
        (DEVICE_TOKEN, "dev_2", 404),
        (SECRET_KEY, "dev_2", 200),
        (SECRET_KEY, "me", 404),
        ("dtok_unknown", "me", 401),
    ] {
        let event = with_credential(with_id(event("record-heartbeat"), id), credential);
        assert_eq!(call(&function, event).await.status, status, "{credential} {id}");
    }
}

#[tokio::test]
async fn a_dead_token_is_unknown_at_once() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    assert_eq!(call(&function, event("record-heartbeat")).await.status, 200);
    let device = environment.stored_device(DEVICE).await.unwrap();
    environment.store.unbind_device(device, environment.now()).await.unwrap();
    assert_eq!(call(&function, event("record-heartbeat")).await.status, 401);
}

#[tokio::test]
async fn names_the_invalid_field_and_its_rule() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for (body, param, rule) in [
        (json!({"firmware_version": ""}), "firmware_version", "1 to 255 characters"),
        (json!({"firmware_version": 2}), "firmware_version", "expected a string"),
        (json!({"log": "x".repeat(16_400)}), "body", "at most 16 KiB"),
        (json!([1]), "body", "must be a JSON object"),
    ] {
        let answer = call(&function, with_body(event("record-heartbeat"), body)).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["param"]), (400, &json!(param)));
        assert!(error["message"].as_str().unwrap().contains(rule), "{error}");
    }
}
