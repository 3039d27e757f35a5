use capstan_lambda::Function;
use capstan_test_environment::{DEVICE, SERIAL_NUMBER, TestEnvironment, call, event, with_body, with_credential};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn answers_201_with_the_whole_device() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("create-device")).await;
    assert_eq!(answer.status, 201);
    insta::assert_json_snapshot!(answer.body, {".id" => "[id]"}, @r#"
    {
      "binding_generation": 0,
      "created_at": "2024-11-20T09:00:00Z",
      "end_user_id": null,
      "firmware_version": "2.8.1",
      "id": "[id]",
      "last_heartbeat": null,
      "last_seen_at": null,
      "metadata": {
        "colour": "slate"
      },
      "model": "CR2",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "serial_number": "CR2-7F3A-0043",
      "status": "unbound",
      "updated_at": "2024-11-20T09:00:00Z"
    }
    "#);
    assert!(environment.stored_device(answer.body["id"].as_str().unwrap()).await.is_some());
}

#[tokio::test]
async fn returns_the_existing_device_of_a_serial_number() {
    let environment = TestEnvironment::start().await;
    let body = json!({"serial_number": SERIAL_NUMBER, "model": "another"});
    let answer = call(&function(&environment), with_body(event("create-device"), body)).await;
    assert_eq!((answer.status, &answer.body["id"], &answer.body["model"]), (200, &json!(DEVICE), &json!("unknown")));
    assert_eq!(answer.body["status"], "bound");
    assert!(answer.body.get("device_token").is_none());
}

#[tokio::test]
async fn reads_the_credential_and_writes_once() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    call(&function, event("create-device")).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:TransactWriteItems"]);
    call(&function, event("create-device")).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:TransactWriteItems", "dynamodb:GetItem"]);
}

#[tokio::test]
async fn concurrent_requests_create_one_device() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let create = || call(&function, event("create-device"));
    let (first, second, third) = tokio::join!(create(), create(), create());
    let mut statuses = [first.status, second.status, third.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 201]);
    assert_eq!((&first.body, &first.body), (&second.body, &third.body));
}

#[tokio::test]
async fn a_serial_number_is_taken_once_in_each_project_and_mode() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let body = json!({"serial_number": SERIAL_NUMBER});
    for credential in environment.other_tenants().await {
        let event = with_credential(with_body(event("create-device"), body.clone()), &credential);
        let answer = call(&function, event).await;
        assert_eq!((answer.status, &answer.body["status"]), (201, &json!("unbound")), "{credential}");
    }
}

#[tokio::test]
async fn names_the_invalid_field_and_its_rule() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for (body, param, rule) in [
        (json!({}), "serial_number", "is required"),
        (json!({"serial_number": null}), "serial_number", "is required"),
        (json!({"serial_number": ""}), "serial_number", "1 to 255 characters"),
        (json!({"serial_number": "x".repeat(256)}), "serial_number", "1 to 255 characters"),
        (json!({"serial_number": 7}), "serial_number", "expected a string"),
        (json!({"serial_number": "1", "model": ""}), "model", "1 to 255 characters"),
        (json!({"serial_number": "1", "firmware_version": 2.8}), "firmware_version", "expected a string"),
        (json!({"serial_number": "1", "metadata": []}), "metadata", "expected a map"),
    ] {
        let answer = call(&function, with_body(event("create-device"), body)).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["param"]), (400, &json!(param)));
        assert!(error["message"].as_str().unwrap().contains(rule), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("TransactWriteItems", capstan_emulators::Fault::LoseAnswer, 1);
    let answer = call(&function(&environment), event("create-device")).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(
        environment.emulators.take_calls().iter().filter(|call| *call == "dynamodb:TransactWriteItems").count(),
        2
    );
}
