use capstan_domain::{CredentialHash, Device, Grant};
use capstan_lambda::Function;
use capstan_test_environment::{
    DEVICE, DEVICE_TOKEN, END_USER, TestEnvironment, call, event, with_body, with_credential, with_id,
};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

/// An environment with an unbound device.
async fn unbound() -> (TestEnvironment, Device) {
    let environment = TestEnvironment::start().await;
    let device = environment.stored_device(DEVICE).await.unwrap();
    let device = environment.store.unbind_device(device, environment.now()).await.unwrap();
    let _ = environment.emulators.take_calls();
    (environment, device)
}

#[tokio::test]
async fn returns_the_device_with_a_valid_token() {
    let (environment, _) = unbound().await;
    environment.advance(1);
    let answer = call(&function(&environment), event("bind-device")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, {".device_token" => "[token]"}, @r#"
    {
      "binding_generation": 2,
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
    assert_eq!((token.len(), &token[..5]), (48, "dtok_"));
    let credential = environment.store.credential(&CredentialHash::of(token)).await.unwrap().unwrap();
    assert_eq!(
        credential.grant,
        Grant::Device(capstan_domain::BoundDevice {
            device_id: TestEnvironment::device_id(),
            end_user_id: TestEnvironment::end_user_id(),
            generation: 2,
        })
    );
    assert_eq!(credential.tenant, TestEnvironment::tenant());
    let stored = environment.stored_device(DEVICE).await.unwrap();
    assert_eq!(stored.binding.unwrap().token, CredentialHash::of(token));
    assert!(environment.stored_end_user(END_USER).await.unwrap().devices.contains(&TestEnvironment::device_id()));
}

#[tokio::test]
async fn every_token_is_another() {
    let (environment, device) = unbound().await;
    let function = function(&environment);
    let first = call(&function, event("bind-device")).await;
    let device = environment.stored_device(device.id.as_str()).await.unwrap();
    environment.store.unbind_device(device, environment.now()).await.unwrap();
    let second = call(&function, event("bind-device")).await;
    assert_ne!(first.body["device_token"], second.body["device_token"]);
    assert!(!environment.is_valid(first.body["device_token"].as_str().unwrap()).await);
    assert!(environment.is_valid(second.body["device_token"].as_str().unwrap()).await);
}

#[tokio::test]
async fn reads_the_credential_and_the_device_and_then_writes_once() {
    let (environment, _) = unbound().await;
    call(&function(&environment), event("bind-device")).await;
    let calls = ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:TransactWriteItems"];
    assert_eq!(environment.emulators.take_calls(), calls);
}

#[tokio::test]
async fn a_device_bound_to_another_end_user_stays_as_it_is() {
    let environment = TestEnvironment::start().await;
    environment.end_user(&TestEnvironment::tenant(), &"eu_2".parse().unwrap()).await;
    let body = json!({"end_user_id": "eu_2"});
    let answer = call(&function(&environment), with_body(event("bind-device"), body)).await;
    assert_eq!(answer.status, 409);
    insta::assert_json_snapshot!(answer.body["error"], {".request_id" => "[id]"}, @r#"
    {
      "code": "device_already_bound",
      "details": {
        "end_user_id": "eu_01jcz695t07xwvpyt3bc2k45jh"
      },
      "message": "The device is bound already. Unbind it first.",
      "request_id": "[id]"
    }
    "#);
    assert!(environment.is_valid(DEVICE_TOKEN).await);
}

#[tokio::test]
async fn binding_again_to_the_same_end_user_returns_a_fresh_token() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("bind-device")).await;
    assert_eq!((answer.status, &answer.body["end_user_id"]), (200, &json!(END_USER)));
    let token = answer.body["device_token"].as_str().unwrap();
    assert!(environment.is_valid(token).await && environment.is_valid(DEVICE_TOKEN).await);
    assert_eq!(environment.stored_device(DEVICE).await.unwrap().binding_generation, 1);
}

#[tokio::test]
async fn a_device_that_was_rebound_meanwhile_is_not_bound() {
    let (environment, as_read) = unbound().await;
    let [first, second] = ["dtok_1", "dtok_2"].map(CredentialHash::of);
    let end_user_id = TestEnvironment::end_user_id();
    let bind = |token| environment.store.bind_device(as_read.clone(), end_user_id.clone(), token, environment.now());
    let bound = bind(first).await.unwrap();
    environment.store.unbind_device(bound, environment.now()).await.unwrap();
    assert!(matches!(bind(second).await, Err(capstan_domain::Error::Conflict { .. })));
    assert!(!environment.is_valid("dtok_2").await);
}

#[tokio::test]
async fn one_of_several_concurrent_bindings_succeeds() {
    let (environment, _) = unbound().await;
    for id in ["eu_2", "eu_3"] {
        environment.end_user(&TestEnvironment::tenant(), &id.parse().unwrap()).await;
    }
    let function = function(&environment);
    let bind = |end_user: &str| call(&function, with_body(event("bind-device"), json!({"end_user_id": end_user})));
    let (first, second, third) = tokio::join!(bind(END_USER), bind("eu_2"), bind("eu_3"));
    let answers = [first, second, third];
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!((won.len(), answers.iter().filter(|answer| answer.status == 409).count()), (1, 2));
    let binding = environment.stored_device(DEVICE).await.unwrap().binding.unwrap();
    assert_eq!(won[0].body["end_user_id"], binding.end_user_id.as_str());
    assert_eq!(CredentialHash::of(won[0].body["device_token"].as_str().unwrap()), binding.token);
}

#[tokio::test]
async fn names_the_invalid_field_and_its_rule() {
    let (environment, _) = unbound().await;
    let function = function(&environment);
    environment.end_user(&TestEnvironment::test_data(), &"eu_test".parse().unwrap()).await;
    environment.end_user(&TestEnvironment::other_project(), &"eu_other".parse().unwrap()).await;
    for (end_user_id, rule) in [
        (Value::Null, "is required"),
        (json!("dev_1"), "must be `eu_`"),
        (json!("eu_unknown"), "must be an end user of this project"),
        (json!("eu_test"), "must be an end user of this project"),
        (json!("eu_other"), "must be an end user of this project"),
    ] {
        let body = json!({"end_user_id": end_user_id});
        let answer = call(&function, with_body(event("bind-device"), body)).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["code"]), (400, &json!("invalid_request")));
        assert_eq!(error["param"], "end_user_id");
        assert!(error["message"].as_str().unwrap().contains(rule), "{error}");
    }
    assert!(environment.stored_device(DEVICE).await.unwrap().binding.is_none());
    assert!(environment.stored_end_user("eu_unknown").await.is_none(), "binding makes no end user");
}

#[tokio::test]
async fn an_unknown_credential_is_401_before_validation() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for id in ["dev_unknown", "nonsense"] {
        let event = with_id(with_credential(event("bind-device"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}
