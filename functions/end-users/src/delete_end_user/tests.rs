use capstan_domain::{Caller, CredentialHash, DeviceId, EndUser, Grant};
use capstan_lambda::Function;
use capstan_test_environment::{
    DEVICE, DEVICE_TOKEN, END_USER, RECORDING, TestEnvironment, call, event, with_credential, with_id,
};
use serde_json::Value;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn answers_204_once_and_then_404() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let answer = call(&function, event("delete-end-user")).await;
    assert_eq!((answer.status, answer.body), (204, Value::Null));
    assert!(environment.stored_end_user(END_USER).await.is_none());
    assert_eq!(call(&function, event("delete-end-user")).await.status, 404);
}

#[tokio::test]
async fn reads_once_writes_once_and_fetches_devices_if_any() {
    let environment = TestEnvironment::start().await;
    environment.end_user(&TestEnvironment::tenant(), &"eu_alone".parse().unwrap()).await;
    let function = function(&environment);
    let _ = environment.emulators.take_calls();
    call(&function, with_id(event("delete-end-user"), "eu_alone")).await;
    let calls = ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:TransactWriteItems"];
    assert_eq!(environment.emulators.take_calls(), calls);
    call(&function, event("delete-end-user")).await;
    let calls = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:TransactWriteItems"];
    assert_eq!(environment.emulators.take_calls(), calls);
}

#[tokio::test]
async fn unbinds_the_devices_and_revokes_their_tokens() {
    let environment = TestEnvironment::start().await;
    let tenant = TestEnvironment::tenant();
    environment.bound_device(&tenant, &"dev_2".parse().unwrap(), &TestEnvironment::end_user_id(), "dtok_2").await;
    let other = "eu_other".parse().unwrap();
    environment.end_user(&tenant, &other).await;
    environment.bound_device(&tenant, &"dev_3".parse().unwrap(), &other, "dtok_3").await;
    environment.advance(1);
    assert_eq!(call(&function(&environment), event("delete-end-user")).await.status, 204);
    for (device, token, bound) in [(DEVICE, DEVICE_TOKEN, false), ("dev_2", "dtok_2", false), ("dev_3", "dtok_3", true)]
    {
        let stored = environment.stored_device(device).await.unwrap();
        assert_eq!((stored.binding.is_some(), environment.is_valid(token).await), (bound, bound), "{device}");
        assert_eq!(stored.updated_at == environment.now(), !bound);
    }
}

#[tokio::test]
async fn more_devices_than_one_transaction_takes_are_unbound_too() {
    let environment = TestEnvironment::start().await;
    for number in 0..60 {
        let id: DeviceId = format!("dev_{number}").parse().unwrap();
        environment
            .bound_device(&TestEnvironment::tenant(), &id, &TestEnvironment::end_user_id(), &format!("dtok_{number}"))
            .await;
    }
    assert_eq!(call(&function(&environment), event("delete-end-user")).await.status, 204);
    assert!(environment.stored_end_user(END_USER).await.is_none());
    for number in 0..60 {
        assert!(environment.stored_device(&format!("dev_{number}")).await.unwrap().binding.is_none());
        assert!(!environment.is_valid(&format!("dtok_{number}")).await);
    }
}

#[tokio::test]
async fn devices_with_several_tokens_each_are_unbound_too() {
    let environment = TestEnvironment::start().await;
    let tenant = TestEnvironment::tenant();
    let key = Caller { tenant: tenant.clone(), grant: Grant::Secret, credential: CredentialHash::of("key") };
    for number in 0..40 {
        let id: DeviceId = format!("dev_{number}").parse().unwrap();
        let end_user_id = TestEnvironment::end_user_id();
        let mut device = environment.bound_device(&tenant, &id, &end_user_id, &format!("dtok_{number}_0")).await;
        for refresh in 1..4 {
            let token = CredentialHash::of(&format!("dtok_{number}_{refresh}"));
            let now = environment.now();
            device = environment.store.replace_device_token(device, &key, token, false, now).await.unwrap();
        }
    }
    assert_eq!(call(&function(&environment), event("delete-end-user")).await.status, 204);
    for number in 0..40 {
        for refresh in 0..4 {
            assert!(!environment.is_valid(&format!("dtok_{number}_{refresh}")).await);
        }
    }
}

#[tokio::test]
async fn a_device_that_is_anothers_meanwhile_stays_bound() {
    let environment = TestEnvironment::start().await;
    let tenant = TestEnvironment::tenant();
    for number in 0..60 {
        let id: DeviceId = format!("dev_{number}").parse().unwrap();
        environment.bound_device(&tenant, &id, &TestEnvironment::end_user_id(), &format!("dtok_{number}")).await;
    }
    let as_read = environment.stored_end_user(END_USER).await.unwrap();
    let (moved, other) = (environment.stored_device("dev_0").await.unwrap(), "eu_other".parse().unwrap());
    environment.end_user(&tenant, &other).await;
    environment.store.unbind_device(moved, environment.now()).await.unwrap();
    environment.bound_device(&tenant, &"dev_0".parse().unwrap(), &other, "dtok_other").await;
    environment.store.delete_end_user(as_read, environment.now()).await.unwrap();
    assert!(environment.stored_end_user(END_USER).await.is_none());
    let binding = environment.stored_device("dev_0").await.unwrap().binding;
    assert_eq!(binding.map(|binding| binding.end_user_id), Some(other));
    assert!(environment.is_valid("dtok_other").await);
}

#[tokio::test]
async fn a_device_that_is_bound_meanwhile_is_unbound_too() {
    let environment = TestEnvironment::start().await;
    let as_read = environment.stored_end_user(END_USER).await.unwrap();
    environment
        .bound_device(
            &TestEnvironment::tenant(),
            &"dev_late".parse().unwrap(),
            &TestEnvironment::end_user_id(),
            "dtok_late",
        )
        .await;
    environment.store.delete_end_user(as_read, environment.now()).await.unwrap();
    assert!(environment.stored_device("dev_late").await.unwrap().binding.is_none());
    assert!(!environment.is_valid("dtok_late").await);
}

#[tokio::test]
async fn their_recordings_stay() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    call(&function(&environment), event("delete-end-user")).await;
    let recording = environment.stored(RECORDING).await.unwrap();
    assert_eq!((recording.origin.end_user_id, recording.deleted_at), (Some(TestEnvironment::end_user_id()), None));
}

#[tokio::test]
async fn frees_the_external_id() {
    let environment = TestEnvironment::start().await;
    let called_crm_1 = |id: &str| {
        let new = EndUser::new(id.parse().unwrap(), TestEnvironment::tenant(), environment.now());
        EndUser { external_id: Some("crm-1".parse().unwrap()), ..new }
    };
    environment.store.create_end_user(called_crm_1("eu_1")).await.unwrap();
    assert!(environment.store.create_end_user(called_crm_1("eu_2")).await.is_err());
    assert_eq!(call(&function(&environment), with_id(event("delete-end-user"), "eu_1")).await.status, 204);
    environment.store.create_end_user(called_crm_1("eu_2")).await.unwrap();
}

#[tokio::test]
async fn an_unknown_credential_is_401_before_validation() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for id in ["eu_unknown", "nonsense"] {
        let event = with_id(with_credential(event("delete-end-user"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("TransactWriteItems", capstan_emulators::Fault::LoseAnswer, 1);
    let answer = call(&function(&environment), event("delete-end-user")).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(
        environment.emulators.take_calls().iter().filter(|call| *call == "dynamodb:TransactWriteItems").count(),
        2
    );
}
