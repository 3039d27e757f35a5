use capstan_domain::EndUser;
use capstan_lambda::Function;
use capstan_test_environment::{DEVICE, DEVICE_TOKEN, SERIAL_NUMBER, TestEnvironment, call, event, with_body};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

fn of(sn: &str, owner_id: &str) -> Value {
    with_body(event("unbind-device-by-serial-number"), json!({"sn": sn, "owner_id": owner_id}))
}

/// A device of the event's serial number, bound to the event's owner.
async fn bound(environment: &TestEnvironment) {
    let id = "eu_named".parse().unwrap();
    let named = EndUser::new(id, TestEnvironment::tenant(), environment.now());
    let external_id = Some("crm-4711".parse().unwrap());
    let named = environment.store.create_end_user(EndUser { external_id, ..named }).await.unwrap();
    let device = environment.stored_device(DEVICE).await.unwrap();
    let device = environment.store.unbind_device(device, environment.now()).await.unwrap();
    let token = capstan_domain::CredentialHash::of("dtok_other");
    environment.store.bind_device(device, named.id, token, environment.now()).await.unwrap();
    let _ = environment.emulators.take_calls();
}

#[tokio::test]
async fn returns_the_unbound_device_and_revokes_its_token() {
    let environment = TestEnvironment::start().await;
    bound(&environment).await;
    let answer = call(&function(&environment), of(SERIAL_NUMBER, "crm-4711")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!((&answer.body["id"], &answer.body["is_bind"]), (&json!(DEVICE), &json!(false)));
    assert_eq!(answer.body["owner_id"], Value::Null);
    assert!(!environment.is_valid("dtok_other").await);
    let again = call(&function(&environment), of(SERIAL_NUMBER, "crm-4711")).await;
    assert_eq!((again.status, again.body), (200, answer.body));
}

#[tokio::test]
async fn only_the_owner_unbinds() {
    let environment = TestEnvironment::start().await;
    for owner in ["crm-4711", "eu_someoneelse"] {
        let answer = call(&function(&environment), of(SERIAL_NUMBER, owner)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (409, &json!("device_already_bound")));
    }
    assert!(environment.is_valid(DEVICE_TOKEN).await);
}

#[tokio::test]
async fn an_unknown_serial_number_is_404() {
    let environment = TestEnvironment::start().await;
    assert_eq!(call(&function(&environment), event("unbind-device-by-serial-number")).await.status, 404);
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}
