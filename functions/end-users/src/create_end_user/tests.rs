use capstan_lambda::Function;
use capstan_test_environment::{TestEnvironment, call, event, with_body, with_credential};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn answers_201_with_the_whole_end_user() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("create-end-user")).await;
    assert_eq!(answer.status, 201);
    insta::assert_json_snapshot!(answer.body, {".id" => "[id]"}, @r#"
    {
      "created_at": "2024-11-20T09:00:00Z",
      "email": "ada@example.com",
      "external_id": "crm-20871",
      "id": "[id]",
      "metadata": {
        "team": "survey"
      },
      "name": "Ada Brandt",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "updated_at": "2024-11-20T09:00:00Z"
    }
    "#);
    let stored = environment.stored_end_user(answer.body["id"].as_str().unwrap()).await.unwrap();
    assert_eq!(stored.tenant, TestEnvironment::tenant());
}

#[tokio::test]
async fn reads_the_credential_and_then_writes_once() {
    let environment = TestEnvironment::start().await;
    call(&function(&environment), event("create-end-user")).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:TransactWriteItems"]);
}

#[tokio::test]
async fn an_external_id_is_taken_once_in_each_project_and_mode() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let first = call(&function, event("create-end-user")).await;
    let second = call(&function, event("create-end-user")).await;
    assert_eq!(second.status, 409);
    insta::assert_json_snapshot!(second.body["error"], {".details.id" => "[id]", ".request_id" => "[id]"}, @r#"
    {
      "code": "resource_already_exists",
      "details": {
        "id": "[id]"
      },
      "message": "There is an end user with this external_id already.",
      "param": "external_id",
      "request_id": "[id]"
    }
    "#);
    assert_eq!(second.body["error"]["details"]["id"], first.body["id"]);
    for credential in environment.other_tenants().await {
        assert_eq!(call(&function, with_credential(event("create-end-user"), &credential)).await.status, 201);
    }
}

#[tokio::test]
async fn one_of_two_concurrent_requests_gets_the_external_id() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let create = || call(&function, event("create-end-user"));
    let (first, second, third) = tokio::join!(create(), create(), create());
    let mut statuses = [first.status, second.status, third.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
}

#[tokio::test]
async fn every_field_is_optional_and_external_ids_are_unique() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for body in
        [json!({}), json!({}), json!({"external_id": null, "email": "a@b", "name": ""}), json!({"email": "a@b"})]
    {
        let answer = call(&function, with_body(event("create-end-user"), body)).await;
        assert_eq!((answer.status, &answer.body["external_id"]), (201, &Value::Null));
    }
}

#[tokio::test]
async fn names_the_invalid_field_and_its_rule() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for (body, param, rule) in [
        (json!({"external_id": ""}), "external_id", "1 to 255 characters"),
        (json!({"external_id": "x".repeat(256)}), "external_id", "1 to 255 characters"),
        (json!({"external_id": 7}), "external_id", "expected a string"),
        (json!({"email": "nobody"}), "email", "an email address"),
        (json!({"name": "x".repeat(256)}), "name", "at most 255 characters"),
        (json!({"metadata": "x"}), "metadata", "expected a map"),
        (json!({"metadata": {"a": "x".repeat(16_400)}}), "metadata", "at most 16 KiB"),
    ] {
        let answer = call(&function, with_body(event("create-end-user"), body)).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["code"]), (400, &json!("invalid_request")));
        assert_eq!(error["param"], param);
        assert!(error["message"].as_str().unwrap().contains(rule), "{error}");
    }
    let longest = json!({"external_id": "é".repeat(255)});
    assert_eq!(call(&function, with_body(event("create-end-user"), longest)).await.status, 201);
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("TransactWriteItems", capstan_emulators::Fault::LoseAnswer, 1);
    let answer = call(&function(&environment), event("create-end-user")).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(
        environment.emulators.take_calls().iter().filter(|call| *call == "dynamodb:TransactWriteItems").count(),
        2
    );
}
