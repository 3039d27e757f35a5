//! Keys as their operator sees them, beside the stack that lets their users in.

use std::path::Path;

use capstan_domain::{CredentialHash, CredentialStatus, Grant};
use capstan_local::keys;
use http::Method;
use serde_json::json;

use super::process::{Running, capstan, output};
use super::world::World;

impl World {
    /// What each of several functions, sandboxes of their own, answers to a key.
    async fn statuses(&self, key: &str) -> Vec<u16> {
        let mut statuses = Vec::new();
        for path in ["/v1/recordings", "/v1/recordings/rec_1", "/v1/devices", "/v1/end-users", "/v1/end-users/eu_1"] {
            statuses.push(self.call_as(key, Method::GET, path, None).await.status);
        }
        statuses.push(self.call_as(key, Method::POST, "/v1/end-users", Some(&json!({}))).await.status);
        statuses
    }
}

const SERVED: [u16; 6] = [200, 404, 200, 200, 404, 201];
const UNKNOWN: [u16; 6] = [401; 6];

#[tokio::test(flavor = "multi_thread")]
async fn every_function_refuses_a_revoked_key_after_5_seconds() {
    let world = World::start().await;
    let key = keys::create(&world.store, world.tenant(), Grant::Secret, None).await.unwrap();
    assert_eq!(world.statuses(&key.text).await, SERVED);
    let revoked = world.store.revoke_key(&key.id, world.now()).await.unwrap();
    world.advance(5);
    assert_eq!(world.statuses(&key.text).await, UNKNOWN);
    let again = world.store.revoke_key(&key.id, world.now()).await.unwrap();
    assert_eq!(again.revoked_at, revoked.revoked_at);
    assert_eq!(world.statuses(&world.project.api_key).await, SERVED);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_keys_are_valid_during_the_overlap() {
    let world = World::start().await;
    let old = keys::create(&world.store, world.tenant(), Grant::Secret, Some("server".to_owned())).await.unwrap();
    let first = keys::rotate(&world.store, &old.id, 24).await.unwrap();
    let second = keys::rotate(&world.store, &old.id, 48).await.unwrap();
    assert_eq!(first.old_ends_at, second.old_ends_at);
    for key in [&old, &first.new, &second.new] {
        assert_eq!(world.statuses(&key.text).await, SERVED);
    }
    world.advance(24 * 3600);
    assert_eq!(world.statuses(&old.text).await, UNKNOWN);
    for key in [&first.new, &second.new] {
        assert_eq!(world.statuses(&key.text).await, SERVED);
    }
    let leaked = keys::rotate(&world.store, &first.new.id, 0).await.unwrap();
    world.advance(5);
    assert_eq!(world.statuses(&first.new.text).await, UNKNOWN);
    assert_eq!(world.statuses(&leaked.new.text).await, SERVED);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_keys_of_one_project_without_secrets() {
    let world = World::start().await;
    let project = &world.project.project_id;
    let stranger = capstan_domain::Tenant { project_id: "proj_stranger".parse().unwrap(), ..world.tenant() };
    keys::create(&world.store, stranger, Grant::Secret, None).await.unwrap();
    let mut made = Vec::new();
    for number in 0..3 {
        made.push(keys::create(&world.store, world.tenant(), Grant::Secret, Some(number.to_string())).await.unwrap());
    }
    assert_eq!(world.statuses(&made[1].text).await, SERVED);
    world.store.revoke_key(&made[2].id, world.now()).await.unwrap();
    let listed = keys::list(&world.store, project).await.unwrap();
    // The first project's own is the oldest.
    assert_eq!(listed.len(), 4);
    for key in &made {
        assert!(listed.iter().any(|listed| listed.key_id.as_ref() == Some(&key.id)));
    }
    let find = |number: usize| listed.iter().find(|listed| listed.key_id.as_ref() == Some(&made[number].id)).unwrap();
    assert!(find(0).last_used_at.is_none() && find(1).last_used_at.is_some());
    assert!(matches!(find(2).status(world.now()), CredentialStatus::Revoked(_)));
    let table = keys::table(&listed, world.now());
    for key in &made {
        assert!(table.contains(key.id.as_str()));
        assert!(!table.contains(&key.text[8..]) && !table.contains(&CredentialHash::of(&key.text).to_string()));
    }
}

fn run(data: &Path, arguments: &[&str]) -> (bool, String, String) {
    output(capstan(data).arg("keys").args(arguments))
}

#[tokio::test]
async fn an_operator_lists_rotates_and_revokes_on_the_command_line() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let running = Running::start(&data);
    let project = running.get("CAPSTAN_PROJECT_ID").to_owned();
    let list = async |key: &str| running.client().call(Method::GET, "/v1/devices", key, None).await;

    let (made, key, printed) =
        run(&data, &["create", "--project", &project, "--scopes", "devices:read", "--name", "dashboard"]);
    let (key, id) = (key.trim().to_owned(), printed.split(' ').next().unwrap().to_owned());
    assert!(made && key.starts_with("rk_test_") && id.starts_with("key_"), "{printed}");
    assert!(list(&key).await.is_ok());

    let (listed, table, _) = run(&data, &["list"]);
    let line = table.lines().find(|line| line.starts_with(&id)).unwrap();
    assert!(listed && table.starts_with("KEY "), "{table}");
    for expected in ["test", "devices:read", "good", "dashboard"] {
        assert!(line.contains(expected), "{line}");
    }
    assert!(!line.contains("never") && !table.contains(&key[8..]), "{table}");

    let (rotated, new, printed) = run(&data, &["rotate", &id, "--overlap", "0"]);
    assert!(rotated && printed.contains(&format!("{id} ended ")), "{printed}");
    assert!(list(new.trim()).await.is_ok());
    let new_id = printed.split(' ').next().unwrap();
    for _ in 0..2 {
        let (revoked, said, _) = run(&data, &["revoke", new_id]);
        assert!(revoked && said.starts_with(&format!("{new_id} revoked ")), "{said}");
    }

    for (arguments, reason) in [
        (vec!["revoke", "key_unknown"], "there is no key key_unknown"),
        (vec!["rotate", "key_unknown"], "there is no key key_unknown"),
        (vec!["rotate", &id], "the key ended at"),
        (vec!["rotate", new_id], "the key was revoked at"),
        (vec!["revoke", "sk_test_x"], "must be `key_`"),
    ] {
        let (done, said, printed) = run(&data, &arguments);
        assert!(!done && said.is_empty() && printed.contains(reason), "{arguments:?}: {said}{printed}");
    }
}
