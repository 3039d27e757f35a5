//! End users and devices from their first day to their last, over HTTP.

use http::Method;
use serde_json::{Value, json};

use super::world::World;

impl World {
    async fn made(&self, path: &str, body: Value) -> String {
        self.post(path, body).await.expect("201")["id"].as_str().unwrap().to_owned()
    }

    async fn device_post(&self, token: &str, path: &str) -> super::world::Answer {
        self.call_as(token, Method::POST, path, Some(&json!({}))).await
    }

    /// Binds and gives the token.
    async fn bind(&self, device: &str, end_user: &str) -> String {
        let body = json!({"end_user_id": end_user});
        let bound = self.post(&format!("/v1/devices/{device}/bind"), body).await.expect("200");
        bound["device_token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unbound_device_cannot_create_recordings() {
    let world = World::start().await;
    let ada = world.made("/v1/end-users", json!({"external_id": "ada"})).await;
    let bo = world.made("/v1/end-users", json!({"external_id": "bo"})).await;
    let device = world.made("/v1/devices", json!({"serial_number": "SN 1"})).await;

    let first = world.bind(&device, &ada).await;
    let recording = world.device_post(&first, "/v1/recordings").await.expect("201");
    assert_eq!((&recording["end_user_id"], &recording["device_id"]), (&json!(ada), &json!(device)));
    let seen = world.device_post(&first, "/v1/devices/me/heartbeat").await.expect("200");
    assert!(seen["last_seen_at"].is_string());

    let refreshed = world.device_post(&first, "/v1/devices/me/token/refresh").await.expect("200");
    let second = refreshed["device_token"].as_str().unwrap();
    world.device_post(&first, "/v1/recordings").await.expect("201");
    world.device_post(second, "/v1/recordings").await.expect("201");
    world.device_post(&first, "/v1/recordings").await.expect("401 unauthorized");

    world.post(&format!("/v1/devices/{device}/unbind"), json!({})).await.expect("200");
    world.device_post(second, "/v1/recordings").await.expect("401 unauthorized");
    let third = world.bind(&device, &bo).await;
    let recording = world.device_post(&third, "/v1/recordings").await.expect("201");
    assert_eq!(recording["end_user_id"], bo.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebound_device_does_not_reach_what_it_recorded_before() {
    let world = World::start().await;
    let ada = world.made("/v1/end-users", json!({"external_id": "ada"})).await;
    let bo = world.made("/v1/end-users", json!({"external_id": "bo"})).await;
    let device = world.made("/v1/devices", json!({"serial_number": "SN 1"})).await;
    let new = json!({"name": "n"});
    let mut token = world.bind(&device, &ada).await;
    let first = world.keyed(&token, "key", "/v1/recordings", &new).await.expect("201");
    let path = format!("/v1/recordings/{}", first["id"].as_str().unwrap());
    // To another end user, and back to the first.
    for end_user in [&bo, &ada] {
        world.post(&format!("/v1/devices/{device}/unbind"), json!({})).await.expect("200");
        token = world.bind(&device, end_user).await;
        for route in ["upload-url", "upload-complete"] {
            world.device_post(&token, &format!("{path}/{route}")).await.expect("404 not_found");
        }
        let other = world.keyed(&token, "key", "/v1/recordings", &new).await.expect("201");
        assert_ne!(other["id"], first["id"]);
        assert_eq!(other["end_user_id"], end_user.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_end_user_leaves_recordings_and_a_free_name_and_nothing_else() {
    let world = World::start().await;
    let ada = world.made("/v1/end-users", json!({"external_id": "ada"})).await;
    let device = world.made("/v1/devices", json!({"serial_number": "SN 1"})).await;
    let token = world.bind(&device, &ada).await;
    let recording = world.device_post(&token, "/v1/recordings").await.expect("201");

    world.call(Method::DELETE, &format!("/v1/end-users/{ada}"), None).await.expect("204");
    world.device_post(&token, "/v1/devices/me/heartbeat").await.expect("401 unauthorized");
    assert_eq!(world.get(&format!("/v1/devices/{device}")).await["status"], "unbound");
    let id = recording["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/recordings/{id}")).await["end_user_id"], ada.as_str());
    let listed = world.get(&format!("/v1/recordings?end_user_id={ada}")).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let refused = world.post("/v1/recordings", json!({"end_user_id": ada})).await.expect("400 invalid_request");
    assert_eq!(refused["error"]["param"], "end_user_id");

    assert_eq!(world.get("/v1/end-users?external_id=ada").await["data"], json!([]));
    let next = world.made("/v1/end-users", json!({"external_id": "ada"})).await;
    assert_eq!(world.get("/v1/end-users?external_id=ada").await["data"][0]["id"], next.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_binding_and_deletion_leave_no_orphan_token() {
    let world = World::start().await;
    for round in 0..8 {
        let end_user = world.made("/v1/end-users", json!({})).await;
        let path = format!("/v1/end-users/{end_user}");
        let mut binds = Vec::new();
        for number in 0..4 {
            let device = world.made("/v1/devices", json!({"serial_number": format!("{round} {number}")})).await;
            binds.push(format!("/v1/devices/{device}/bind"));
        }
        let body = json!({"end_user_id": end_user});
        let [a, b, c, d] = [&binds[0], &binds[1], &binds[2], &binds[3]].map(|path| world.post(path, body.clone()));
        let (a, b, deleted, c, d) = tokio::join!(a, b, world.call(Method::DELETE, &path, None), c, d);
        deleted.expect("204");
        for (bound, path) in [a, b, c, d].into_iter().zip(&binds) {
            match bound.outcome().as_str() {
                "200" => {
                    let token = bound.json()["device_token"].as_str().unwrap().to_owned();
                    world.device_post(&token, "/v1/devices/me/heartbeat").await.expect("401 unauthorized");
                }
                outcome => assert_eq!(outcome, "400 invalid_request"),
            }
            let device = world.get(path.trim_end_matches("/bind")).await;
            assert_eq!((&device["status"], &device["end_user_id"]), (&json!("unbound"), &json!(null)));
        }
    }
}
