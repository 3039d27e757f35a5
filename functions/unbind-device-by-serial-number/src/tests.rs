use capstan_domain::EndUser;
use capstan_lambda::{Function, http_function};
use capstan_stage::{DEVICE, DEVICE_TOKEN, SERIAL_NUMBER, Stage, call, event, with_body};
use serde_json::{Value, json};

fn function(stage: &Stage) -> Function {
    http_function(stage.access(), stage.clock(), super::handle)
}

fn of(sn: &str, owner_id: &str) -> Value {
    with_body(event("unbind-device-by-serial-number"), json!({"sn": sn, "owner_id": owner_id}))
}

/// A device of the event's serial number, bound to the event's owner.
async fn bound(stage: &Stage) {
    let id = "eu_named".parse().unwrap();
    let named = EndUser::new(id, Stage::tenant(), stage.now());
    let external_id = Some("crm-4711".parse().unwrap());
    let named = stage.store.create_end_user(EndUser { external_id, ..named }).await.unwrap();
    let device = stage.stored_device(DEVICE).await.unwrap();
    let device = stage.store.unbind_device(device, stage.now()).await.unwrap();
    let token = capstan_domain::CredentialHash::of("dtok_other");
    stage.store.bind_device(device, named.id, token, stage.now()).await.unwrap();
    let _ = stage.emulators.take_calls();
}

#[tokio::test]
async fn answers_with_the_device_bound_to_nobody_and_its_token_is_dead() {
    let stage = Stage::set().await;
    bound(&stage).await;
    let answer = call(&function(&stage), of(SERIAL_NUMBER, "crm-4711")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!((&answer.body["id"], &answer.body["is_bind"]), (&json!(DEVICE), &json!(false)));
    assert_eq!(answer.body["owner_id"], Value::Null);
    assert!(!stage.is_valid("dtok_other").await);
    let again = call(&function(&stage), of(SERIAL_NUMBER, "crm-4711")).await;
    assert_eq!((again.status, again.body), (200, answer.body));
}

#[tokio::test]
async fn who_is_not_its_owner_unbinds_nothing() {
    let stage = Stage::set().await;
    for owner in ["crm-4711", "eu_someoneelse"] {
        let answer = call(&function(&stage), of(SERIAL_NUMBER, owner)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (409, &json!("device_already_bound")));
    }
    assert!(stage.is_valid(DEVICE_TOKEN).await);
}

#[tokio::test]
async fn an_unknown_serial_number_is_404() {
    let stage = Stage::set().await;
    assert_eq!(call(&function(&stage), event("unbind-device-by-serial-number")).await.status, 404);
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}
