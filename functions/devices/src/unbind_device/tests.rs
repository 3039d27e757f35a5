use capstan_lambda::Function;
use capstan_test_environment::{
    DEVICE, DEVICE_TOKEN, END_USER, TestEnvironment, call, event, with_credential, with_id,
};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn answers_with_the_unbound_device_and_its_token_is_dead() {
    let environment = TestEnvironment::start().await;
    environment.advance(1);
    let answer = call(&function(&environment), event("unbind-device")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "binding_generation": 1,
      "created_at": "2024-11-20T09:00:00Z",
      "end_user_id": null,
      "firmware_version": null,
      "id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
      "last_heartbeat": null,
      "last_seen_at": null,
      "metadata": {},
      "model": "unknown",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "serial_number": "CR2-7F3A-0042",
      "status": "unbound",
      "updated_at": "2024-11-20T09:00:01Z"
    }
    "#);
    assert!(!environment.is_valid(DEVICE_TOKEN).await);
    assert!(environment.stored_device(DEVICE).await.unwrap().binding.is_none());
    assert!(environment.stored_end_user(END_USER).await.unwrap().devices.is_empty());
}

#[tokio::test]
async fn reads_the_credential_and_the_device_and_then_writes_once_unless_nothing_changes() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    call(&function, event("unbind-device")).await;
    let calls = ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:TransactWriteItems"];
    assert_eq!(environment.emulators.take_calls(), calls);
    environment.advance(1);
    let again = call(&function, event("unbind-device")).await;
    assert_eq!((again.status, &again.body["updated_at"]), (200, &json!("2024-11-20T09:00:00Z")));
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem"]);
}

#[tokio::test]
async fn removes_a_binding_created_during_the_deletion() {
    let environment = TestEnvironment::start().await;
    let as_read = environment.stored_device(DEVICE).await.unwrap();
    environment.store.unbind_device(as_read.clone(), environment.now()).await.unwrap();
    environment
        .bound_device(
            &TestEnvironment::tenant(),
            &TestEnvironment::device_id(),
            &TestEnvironment::end_user_id(),
            "dtok_new",
        )
        .await;
    let after = environment.store.unbind_device(as_read, environment.now()).await.unwrap();
    assert_eq!((after.binding.is_some(), environment.is_valid("dtok_new").await), (false, false));
}

#[tokio::test]
async fn concurrent_requests_all_return_the_unbound_device() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let unbind = || call(&function, event("unbind-device"));
    let (first, second, third) = tokio::join!(unbind(), unbind(), unbind());
    for answer in [first, second, third] {
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("unbound")));
    }
}

#[tokio::test]
async fn an_unknown_credential_is_401_before_validation() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for id in ["dev_unknown", "nonsense"] {
        let event = with_id(with_credential(event("unbind-device"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("TransactWriteItems", capstan_emulators::Fault::LoseAnswer, 1);
    let answer = call(&function(&environment), event("unbind-device")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        environment.emulators.take_calls().iter().filter(|call| *call == "dynamodb:TransactWriteItems").count(),
        2
    );
}
