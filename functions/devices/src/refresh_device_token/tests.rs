use capstan_domain::{Caller, CredentialHash, Error, Grant};
use capstan_lambda::Function;
use capstan_test_environment::{
    DEVICE, DEVICE_TOKEN, SECRET_KEY, TestEnvironment, call, event, with_body, with_credential, with_header, with_id,
};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

fn by_project() -> Value {
    with_credential(with_id(event("refresh-device-token"), DEVICE), SECRET_KEY)
}

#[tokio::test]
async fn returns_a_new_token_and_keeps_the_old_one() {
    let environment = TestEnvironment::start().await;
    environment.advance(1);
    let answer = call(&function(&environment), event("refresh-device-token")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, {".device_token" => "[token]"}, @r#"
    {
      "binding_generation": 1,
      "created_at": "2024-11-20T09:00:00Z",
      "device_token": "[token]",
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
      "updated_at": "2024-11-20T09:00:01Z"
    }
    "#);
    let token = answer.body["device_token"].as_str().unwrap();
    assert!(environment.is_accepted(DEVICE_TOKEN).await && environment.is_accepted(token).await);
    assert!(!environment.is_accepted(DEVICE_TOKEN).await);
    assert_eq!(environment.stored_device(DEVICE).await.unwrap().binding.unwrap().token, CredentialHash::of(token));
}

fn revoking() -> Value {
    with_body(event("refresh-device-token"), json!({"revoke_now": true}))
}

async fn refreshed(function: &Function, event: Value) -> String {
    let answer = call(function, event).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["device_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_use_of_the_new_token_ends_the_old_ones() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let lost = refreshed(&function, event("refresh-device-token")).await;
    let new = refreshed(&function, event("refresh-device-token")).await;
    assert!(environment.is_accepted(DEVICE_TOKEN).await);
    let newest = refreshed(&function, with_credential(event("refresh-device-token"), &new)).await;
    assert!(!environment.is_accepted(DEVICE_TOKEN).await && !environment.is_accepted(&lost).await);
    assert!(environment.is_accepted(&new).await && environment.is_accepted(&newest).await);
    assert!(!environment.is_accepted(&new).await);
    assert_eq!(call(&function, event("refresh-device-token")).await.status, 401);
}

#[tokio::test]
async fn the_old_token_ends_after_a_day_if_the_new_one_is_not_used() {
    let environment = TestEnvironment::start().await;
    refreshed(&function(&environment), event("refresh-device-token")).await;
    environment.advance(24 * 3600 - 1);
    assert!(environment.is_accepted(DEVICE_TOKEN).await);
    environment.advance(1);
    assert!(!environment.is_accepted(DEVICE_TOKEN).await);
}

#[tokio::test]
async fn a_failure_to_revoke_the_old_token_is_made_good_by_the_next_use() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let new = refreshed(&function, event("refresh-device-token")).await;
    environment.emulators.faults().fail_next("UpdateItem", capstan_emulators::Fault::Internal, 20);
    refreshed(&function, with_credential(event("refresh-device-token"), &new)).await;
    environment.emulators.faults().clear();
    assert!(environment.is_accepted(DEVICE_TOKEN).await);
    refreshed(&function, with_credential(event("refresh-device-token"), &new)).await;
    assert!(!environment.is_accepted(DEVICE_TOKEN).await);
}

#[tokio::test]
async fn at_most_four_tokens_are_valid_and_unbinding_ends_them_all() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let mut tokens = vec![DEVICE_TOKEN.to_owned()];
    for _ in 0..5 {
        tokens.push(refreshed(&function, by_project()).await);
    }
    for (place, token) in tokens.iter().enumerate() {
        assert_eq!(environment.is_valid(token).await, place >= 2, "{place}");
    }
    let device = environment.stored_device(DEVICE).await.unwrap();
    environment.store.unbind_device(device, environment.now()).await.unwrap();
    for token in &tokens {
        assert!(!environment.is_valid(token).await);
    }
}

#[tokio::test]
async fn the_old_token_ends_at_once_on_request() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let first = refreshed(&function, event("refresh-device-token")).await;
    let new = refreshed(&function, revoking()).await;
    assert!(!environment.is_accepted(DEVICE_TOKEN).await && !environment.is_accepted(&first).await);
    assert_eq!(call(&function, event("refresh-device-token")).await.status, 401);
    refreshed(&function, with_credential(event("refresh-device-token"), &new)).await;
}

#[tokio::test]
async fn reads_the_credential_then_the_device_and_then_writes_once() {
    let environment = TestEnvironment::start().await;
    call(&function(&environment), event("refresh-device-token")).await;
    let calls = ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:TransactWriteItems"];
    assert_eq!(environment.emulators.take_calls(), calls);
}

#[tokio::test]
async fn concurrent_refreshes_leave_only_valid_tokens() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let refresh = || call(&function, event("refresh-device-token"));
    let (first, second) = tokio::join!(refresh(), refresh());
    for answer in [first, second] {
        assert_eq!(answer.status, 200);
        assert!(environment.is_valid(answer.body["device_token"].as_str().unwrap()).await);
    }
}

#[tokio::test]
async fn of_two_concurrent_revoking_refreshes_one_token_is_valid() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let refresh = || call(&function, with_body(by_project(), json!({"revoke_now": true})));
    let (first, second) = tokio::join!(refresh(), refresh());
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
        |caller, token| environment.store.replace_device_token(as_read.clone(), caller, token, true, environment.now());
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

fn keyed(key: &str) -> Value {
    with_header(revoking(), "idempotency-key", key)
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
