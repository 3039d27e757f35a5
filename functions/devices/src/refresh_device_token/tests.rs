use capstan_domain::{Caller, CredentialHash, Error, Grant};
use capstan_lambda::Function;
use capstan_test_environment::{
    DEVICE, DEVICE_TOKEN, SECRET_KEY, TestEnvironment, call, event, with_credential, with_header, with_id,
};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

fn by_project() -> serde_json::Value {
    with_credential(with_id(event("refresh-device-token"), DEVICE), SECRET_KEY)
}

#[tokio::test]
async fn returns_a_new_token_and_revokes_the_old_one() {
    let environment = TestEnvironment::start().await;
    environment.advance(1);
    let answer = call(&function(&environment), event("refresh-device-token")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, {".device_token" => "[token]"}, @r#"
    {
      "created_at": "2024-11-20T09:00:00Z",
      "device_token": "[token]",
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
      "updated_at": "2024-11-20T09:00:01Z"
    }
    "#);
    let token = answer.body["device_token"].as_str().unwrap();
    assert_eq!((environment.is_valid(token).await, environment.is_valid(DEVICE_TOKEN).await), (true, false));
    assert_eq!(environment.stored_device(DEVICE).await.unwrap().binding.unwrap().token, CredentialHash::of(token));
}

#[tokio::test]
async fn the_old_token_ends_at_once() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let new = call(&function, event("refresh-device-token")).await.body["device_token"].as_str().unwrap().to_owned();
    assert_eq!(call(&function, event("refresh-device-token")).await.status, 401);
    assert_eq!(call(&function, with_credential(event("refresh-device-token"), &new)).await.status, 200);
}

#[tokio::test]
async fn reads_the_credential_then_the_device_and_then_writes_once() {
    let environment = TestEnvironment::start().await;
    call(&function(&environment), event("refresh-device-token")).await;
    let calls = ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:TransactWriteItems"];
    assert_eq!(environment.emulators.take_calls(), calls);
}

#[tokio::test]
async fn one_of_two_concurrent_refreshes_succeeds() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let refresh = || call(&function, event("refresh-device-token"));
    let (first, second) = tokio::join!(refresh(), refresh());
    let (won, lost) = if first.status == 200 { (first, second) } else { (second, first) };
    assert_eq!((won.status, lost.status), (200, 401));
    assert!(environment.is_valid(won.body["device_token"].as_str().unwrap()).await);
}

#[tokio::test]
async fn of_two_at_once_by_the_project_the_later_token_is_good() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let (first, second) = tokio::join!(call(&function, by_project()), call(&function, by_project()));
    assert_eq!((first.status, second.status), (200, 200));
    let mut good = 0;
    for answer in [first, second] {
        good += usize::from(environment.is_valid(answer.body["device_token"].as_str().unwrap()).await);
    }
    assert_eq!(good, 1);
}

#[tokio::test]
async fn a_concurrent_change_is_read_again() {
    let environment = TestEnvironment::start().await;
    let as_read = environment.stored_device(DEVICE).await.unwrap();
    let tokens = ["1", "2", "3"].map(CredentialHash::of);
    let caller = |grant, credential| Caller { tenant: TestEnvironment::tenant(), grant, credential };
    let project = caller(Grant::Secret, CredentialHash::of(SECRET_KEY));
    let device = caller(as_read.grant(&TestEnvironment::end_user_id()), CredentialHash::of(DEVICE_TOKEN));
    let replace =
        |caller, token| environment.store.replace_device_token(as_read.clone(), caller, token, environment.now());
    replace(&project, tokens[0]).await.unwrap();
    replace(&project, tokens[1]).await.unwrap();
    assert!(matches!(replace(&device, tokens[2]).await, Err(Error::Unauthorized)));
    assert_eq!(environment.stored_device(DEVICE).await.unwrap().binding.unwrap().token, tokens[1]);
    assert!(environment.store.credential(&tokens[0]).await.unwrap().is_none());
}

#[tokio::test]
async fn a_device_that_is_not_bound_has_no_token_to_refresh() {
    let environment = TestEnvironment::start().await;
    let device = environment.stored_device(DEVICE).await.unwrap();
    environment.store.unbind_device(device, environment.now()).await.unwrap();
    let function = function(&environment);
    let answer = call(&function, by_project()).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (409, &json!("conflict")));
    assert_eq!(call(&function, event("refresh-device-token")).await.status, 401);
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("TransactWriteItems", capstan_emulators::Fault::LoseAnswer, 1);
    let answer = call(&function(&environment), event("refresh-device-token")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        environment.emulators.take_calls().iter().filter(|call| *call == "dynamodb:TransactWriteItems").count(),
        2
    );
}

fn keyed(key: &str) -> serde_json::Value {
    with_header(event("refresh-device-token"), "idempotency-key", key)
}

#[tokio::test]
async fn a_replaced_token_only_replays_its_refresh() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let first = call(&function, keyed("k1")).await;
    assert_eq!(first.status, 200);
    environment.advance(3600);
    let again = call(&function, keyed("k1")).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert!(environment.is_valid(first.body["device_token"].as_str().unwrap()).await);
    assert!(!environment.is_valid(DEVICE_TOKEN).await);
    // Twice, so that what the refusal left behind would be found.
    for _ in 0..2 {
        assert_eq!(call(&function, keyed("k2")).await.status, 401);
    }
    assert_eq!(call(&function, event("refresh-device-token")).await.status, 401);
}

#[tokio::test]
async fn a_repeated_refresh_returns_the_token_it_created() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    // The answer cannot be kept, and the device does not hear it.
    environment.emulators.faults().fail_after(1, "UpdateItem", capstan_emulators::Fault::Internal, 20);
    let unheard = call(&function, keyed("k1")).await;
    environment.emulators.faults().clear();
    environment.advance(60);
    let again = call(&function, keyed("k1")).await;
    assert_eq!((again.status, &again.body["device_token"]), (200, &unheard.body["device_token"]));
    assert!(environment.is_valid(again.body["device_token"].as_str().unwrap()).await);
}
