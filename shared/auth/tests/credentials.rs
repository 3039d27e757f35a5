//! The cache of credentials, and the last use of API keys.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use capstan_domain::{Action, Credential, CredentialHash, Error, Grant, KeyId, Timestamp};
use capstan_emulators::Fault;
use capstan_http::{Access, Reply, Request};
use capstan_lambda::{Function, http_function};
use capstan_test_environment::{TestEnvironment, call, event, with_credential};

const KEY: &str = "sk_live_key";

/// Authenticates the caller.
async fn admit(access: Access, request: Request) -> Result<Reply, Error> {
    access.caller(&request, Action::ReadRecordings).await.map(|_| Reply::no_content())
}

fn sandbox(environment: &TestEnvironment) -> Function {
    http_function(environment.access(), environment.clock(), admit)
}

async fn status(sandbox: &Function) -> u64 {
    call(sandbox, with_credential(event("get-recording"), KEY)).await.status
}

fn key_id() -> KeyId {
    "key_1".parse().unwrap()
}

/// An environment with an unused key.
async fn environment() -> TestEnvironment {
    let environment = TestEnvironment::start().await;
    let key = Credential::new(TestEnvironment::tenant(), Grant::Secret, environment.now());
    let key = Credential { key_id: Some(key_id()), ..key };
    environment.store.create_key(&CredentialHash::of(KEY), &key).await.unwrap();
    let _ = environment.emulators.take_calls();
    environment
}

async fn last_used_at(environment: &TestEnvironment) -> Option<Timestamp> {
    let used = environment.store.key(&key_id()).await.unwrap().1.last_used_at;
    let _ = environment.emulators.take_calls();
    used
}

#[tokio::test]
async fn a_revoked_key_stops_working_within_five_seconds() {
    let environment = environment().await;
    let sandbox_1 = sandbox(&environment);
    assert_eq!(status(&sandbox_1).await, 204);
    environment.store.revoke_key(&key_id(), environment.now()).await.unwrap();
    assert_eq!(status(&sandbox(&environment)).await, 401);
    environment.advance(4);
    assert_eq!(status(&sandbox_1).await, 204, "it is cached");
    environment.advance(1);
    assert_eq!(status(&sandbox_1).await, 401);
}

#[tokio::test]
async fn a_rotated_key_works_until_its_overlap_ends() {
    let environment = environment().await;
    let (hash, old) = environment.store.key(&key_id()).await.unwrap();
    let new = old.successor("key_2".parse().unwrap(), environment.now()).unwrap();
    let end = environment.now().plus_seconds(60);
    let new_hash = CredentialHash::of("sk_live_new");
    assert_eq!(environment.store.replace_key((&hash, &old), (&new_hash, &new), end).await.unwrap(), end);
    let sandbox = sandbox(&environment);
    environment.advance(59);
    assert_eq!(status(&sandbox).await, 204);
    environment.advance(1);
    assert_eq!(status(&sandbox).await, 401, "the cache does not outlive the key");
    let by_new = with_credential(event("get-recording"), "sk_live_new");
    assert_eq!(call(&sandbox, by_new).await.status, 204);
}

#[tokio::test]
async fn rejects_a_concurrent_rotation_and_one_of_a_revoked_key() {
    let environment = environment().await;
    let (hash, old) = environment.store.key(&key_id()).await.unwrap();
    let end = environment.now().plus_seconds(60);
    let rotate = async |id: &str, old: &Credential| {
        let new = old.successor(id.parse().unwrap(), environment.now()).unwrap();
        environment.store.replace_key((&hash, old), (&CredentialHash::of(id), &new), end).await
    };
    let (first, second) = tokio::join!(rotate("key_2", &old), rotate("key_3", &old));
    assert!(first.is_ok() != second.is_ok());
    let rotated = environment.store.key(&key_id()).await.unwrap().1;
    environment.store.revoke_key(&key_id(), environment.now()).await.unwrap();
    assert!(matches!(rotate("key_4", &rotated).await, Err(Error::Conflict { .. })));
    assert_eq!(environment.store.list_keys(&TestEnvironment::tenant(), None, 100).await.unwrap().entities.len(), 2);
}

#[tokio::test]
async fn records_the_use_of_a_key_once_an_hour() {
    let environment = environment().await;
    let (sandbox_1, sandbox_2) = (sandbox(&environment), sandbox(&environment));
    status(&sandbox_1).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:UpdateItem"]);
    status(&sandbox_1).await;
    assert_eq!(environment.emulators.take_calls(), [""; 0]);
    status(&sandbox_2).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem"]);
    assert_eq!(last_used_at(&environment).await, Some(environment.now()));
    let first = environment.now();
    environment.advance(3599);
    status(&sandbox_1).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem"]);
    environment.advance(5);
    status(&sandbox_2).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:UpdateItem"]);
    assert_eq!(last_used_at(&environment).await, Some(first.plus_seconds(3604)));
}

#[tokio::test]
async fn serves_a_request_whose_use_cannot_be_recorded() {
    let environment = environment().await;
    let faults = environment.emulators.faults();
    for fault in [
        Fault::Throttle,
        Fault::Internal,
        Fault::Unavailable,
        Fault::DropConnection,
        Fault::Delay(Duration::from_secs(20)),
    ] {
        faults.fail_next("UpdateItem", fault, 1);
        assert_eq!(status(&sandbox(&environment)).await, 204, "{fault:?}");
        let calls = environment.emulators.take_calls();
        assert_eq!(calls, ["dynamodb:GetItem", "dynamodb:UpdateItem"], "{fault:?} is tried once");
        assert_eq!(last_used_at(&environment).await, None);
        faults.clear();
    }
    status(&sandbox(&environment)).await;
    assert_eq!(last_used_at(&environment).await, Some(environment.now()));
}

#[tokio::test]
async fn recording_a_use_creates_no_credential() {
    let environment = environment().await;
    let (hash, seen) = environment.store.key(&key_id()).await.unwrap();
    let dynamodb = environment.emulators.dynamodb();
    let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    let delete = dynamodb.delete_item().table_name(environment.table());
    delete.key("PK", text(format!("KEY#{hash}"))).key("SK", text("KEY".into())).send().await.unwrap();
    environment.store.record_use(&hash, &seen, environment.now()).await.unwrap();
    assert!(environment.store.credential(&hash).await.unwrap().is_none(), "a credential was created");
    assert_eq!(status(&sandbox(&environment)).await, 401);
}
