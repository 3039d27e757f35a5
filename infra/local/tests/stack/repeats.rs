//! `Idempotency-Key` on every POST that the document lists: one effect and one answer, however often a request comes,
//! how many at once, and wherever the first one died.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_domain::{Grant, Timestamp};
use capstan_emulators::{Crash, Fault};
use capstan_http::{Access, Reply, Request};
use capstan_lambda::{Clock, http_function};
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::world::{Answer, OPUS, World, answer, put, unique};

/// Longer than an attempt may take.
const DEAD: i64 = 60;
const DAY: i64 = 24 * 3600;

/// A request that can be made.
#[derive(Clone)]
struct Prepared {
    path: String,
    body: Value,
}

impl World {
    pub(crate) async fn keyed(&self, credential: &str, key: &str, path: &str, body: &Value) -> Answer {
        let request = http::Request::post(format!("{}{path}", self.stack.url()))
            .header("authorization", format!("Bearer {credential}"))
            .header("idempotency-key", key);
        answer(request.body(body.to_string().into()).unwrap()).await
    }

    async fn keyed_post(&self, key: &str, prepared: &Prepared) -> Answer {
        self.keyed(&self.project.api_key, key, &prepared.path, &prepared.body).await
    }

    async fn device(&self) -> String {
        let body = json!({"serial_number": format!("SN-{}", unique())});
        let made = self.post("/v1/devices", body).await.expect("201");
        format!("/v1/devices/{}", made["id"].as_str().unwrap())
    }

    /// A first request to a route, with all that it needs in place.
    async fn prepared(&self, route: &str) -> Prepared {
        let binding = json!({"end_user_id": self.project.end_user_id.as_str()});
        let (path, body) = match route {
            "/v1/recordings" => (route.to_owned(), binding),
            "/v1/end-users" => (route.to_owned(), json!({"external_id": unique()})),
            "/v1/devices" => (route.to_owned(), json!({"serial_number": unique()})),
            "/v1/recordings/{id}/upload-url" => (self.create().await, json!({"content_type": "audio/ogg"})),
            "/v1/recordings/{id}/upload-token" => (self.create().await, json!({})),
            "/v1/recordings/{id}/media/{media_id}/upload/complete" => {
                let path = self.create().await;
                let wanted = json!({"content_type": "audio/ogg", "file_size_bytes": OPUS.len(), "multipart": true});
                let signed = self.sign(&path, wanted).await;
                let url = signed["parts"][0]["upload_url"].as_str().unwrap();
                let sent = answer(http::Request::put(url).body(bytes::Bytes::from_static(OPUS).into()).unwrap()).await;
                assert_eq!(sent.status, 200);
                let media_id = signed["media_id"].as_str().unwrap();
                return Prepared { path: format!("{path}/media/{media_id}/upload/complete"), body: json!({}) };
            }
            "/api/files/upload-s3/generate-presigned-urls" | "/open/partner/files/upload/generate-presigned-urls" => {
                (route.to_owned(), json!({"filesize": OPUS.len(), "filetype": "ogg"}))
            }
            "/api/files/upload-s3/complete-upload" | "/open/partner/files/upload/complete-upload" => {
                let (begun, parts) = self.sent_file("/api/files/upload-s3/generate-presigned-urls", OPUS, "ogg").await;
                let mut completion = self.completion(&begun, &parts);
                completion["filetype"] = json!("ogg");
                (route.to_owned(), completion)
            }
            "/api/v1/recording/processing" => {
                let key = self.meeting_in_media_bucket().await;
                let payload = json!({"socialRecordingId": unique(), "userId": unique(), "recordingId": key});
                (route.to_owned(), payload)
            }
            "/api/v1/transcription/save" => (route.to_owned(), json!({"socialTranscriptionId": unique()})),
            "/api/devices/bind" => (route.to_owned(), json!({"sn": unique(), "owner_id": unique()})),
            "/api/devices/unbind" => {
                let body = json!({"sn": unique(), "owner_id": unique()});
                self.post("/api/devices/bind", body.clone()).await.expect("200");
                (route.to_owned(), body)
            }
            "/v1/recordings/{id}/upload-complete" => (self.sent("audio/ogg", OPUS).await.0, json!({})),
            "/v1/recordings/{id}/download-url" => {
                let (path, signed) = self.sent("audio/ogg", OPUS).await;
                self.stack.bus().settle().await;
                (path, json!({"media_id": signed["media_id"]}))
            }
            "/v1/transcriptions" | "/v1/recordings/{id}/transcribe" => {
                let path = self.uploaded("audio/ogg", OPUS).await;
                self.stack.bus().settle().await;
                let recording_id = path.rsplit('/').next().unwrap().to_owned();
                let is_of_path = route.ends_with("/transcribe");
                let body = if is_of_path { json!({}) } else { json!({"recording_id": recording_id}) };
                (if is_of_path { path } else { route.to_owned() }, body)
            }
            "/v1/devices/{id}/bind" => (self.device().await, binding),
            "/v1/devices/{id}/unbind" | "/v1/devices/{id}/heartbeat" | "/v1/devices/{id}/token/refresh" => {
                let device = self.device().await;
                self.post(&format!("{device}/bind"), binding).await.expect("200");
                (device, json!({}))
            }
            other => panic!("say here how {other} is called"),
        };
        let action = route.split_once("{id}").map_or("", |(_, action)| action);
        Prepared { path: format!("{path}{action}"), body }
    }

    /// Every route of the document that takes a POST.
    async fn posts(&self) -> Vec<String> {
        let document = self.get("/openapi.json").await;
        let paths = document["paths"].as_object().unwrap().iter();
        let posts: Vec<String> =
            paths.filter(|(_, item)| item["post"].is_object()).map(|(path, _)| path.clone()).collect();
        assert!(posts.len() >= 10, "{posts:?}");
        posts
    }

    /// What every item holds, but for the first calls themselves.
    async fn items(&self) -> BTreeMap<String, String> {
        self.stack.bus().settle().await;
        let table = self.stack.template().tables[0].name();
        let mut items = BTreeMap::new();
        let client = self.stack.emulators().dynamodb();
        let mut pages = client.scan().table_name(table).into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = item.unwrap();
            let key = item["PK"].as_s().unwrap().clone();
            if !key.starts_with("IDEM#") {
                flatten(key, &AttributeValue::M(item), &mut items);
            }
        }
        items
    }
}

/// Every value by its path.
fn flatten(path: String, value: &AttributeValue, into: &mut BTreeMap<String, String>) {
    match value {
        AttributeValue::M(fields) => {
            for (name, value) in fields {
                flatten(format!("{path} {name}"), value, into);
            }
        }
        AttributeValue::L(values) => {
            for (place, value) in values.iter().enumerate() {
                flatten(format!("{path} {place}"), value, into);
            }
        }
        scalar => {
            into.insert(path, format!("{scalar:?}"));
        }
    }
}

/// How many items there are.
fn count(values: &BTreeMap<String, String>) -> usize {
    values.keys().filter(|path| path.ends_with(" PK")).count()
}

fn assert_same(now: &BTreeMap<String, String>, before: &BTreeMap<String, String>, what: &str) {
    let changed: Vec<_> = now.iter().filter(|(key, item)| before.get(*key) != Some(item)).collect();
    assert!(changed.is_empty() && now.len() == before.len(), "{what}: {changed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_any_post_changes_nothing_and_gets_the_response() {
    let world = World::start().await;
    for route in world.posts().await {
        let prepared = world.prepared(&route).await;
        let first = world.keyed_post("a", &prepared).await;
        assert_eq!(first.status / 100, 2, "{route}: {}", first.outcome());
        let items = world.items().await;
        world.advance(7);
        let again = world.keyed_post("a", &prepared).await;
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes), "{route}");
        assert_ne!(again.headers["x-request-id"], first.headers["x-request-id"], "{route}");
        assert_same(&world.items().await, &items, &route);

        let other = Prepared { body: json!({"other": true}), ..prepared };
        assert_eq!(world.keyed_post("a", &other).await.outcome(), "409 idempotency_key_reused", "{route}");
        assert_same(&world.items().await, &items, &route);
    }
}

/// How many items a call makes at most: an end user or a device and its name, or a binding and its token, or all of them.
fn items_of(route: &str) -> usize {
    match route {
        "/api/devices/bind" => 5,
        "/api/v1/recording/processing" => 4,
        _ => 2,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_have_one_effect_and_one_response() {
    let world = World::start().await;
    for route in world.posts().await {
        let prepared = world.prepared(&route).await;
        let before = count(&world.items().await);
        let answers = join_all((0..100).map(|_| world.keyed_post("a", &prepared))).await;
        let done: Vec<_> = answers.iter().filter(|answer| answer.status / 100 == 2).collect();
        assert!(done.iter().all(|answer| answer.bytes == done[0].bytes), "{route}");
        for waiting in answers.iter().filter(|answer| answer.status / 100 != 2) {
            assert_eq!(waiting.outcome(), "409 conflict", "{route}");
            assert_eq!(waiting.headers["retry-after"], "1", "{route}");
        }
        let after = count(&world.items().await);
        assert!(after <= before + items_of(&route), "{route}: {before} items became {after}");
        assert_eq!(world.keyed_post("a", &prepared).await.bytes, done[0].bytes, "{route}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_killed_at_any_call_has_one_effect_when_retried() {
    let posts = World::start().await.posts().await;
    for route in &posts {
        for crash in [Crash::Before, Crash::After] {
            for passes in 0.. {
                let world = World::start().await;
                let prepared = world.prepared(route).await;
                // The sandbox remembers no credential after this.
                world.advance(10);
                let before = count(&world.items().await);
                world.faults().crash_after(passes, crash);
                let cut = world.keyed_post("a", &prepared).await;
                world.stack.bus().settle().await;
                let crashed = world.faults().has_crashed();
                world.faults().clear();
                let what = format!("{route}: {crash:?} call {}", passes + 1);
                assert!(cut.status == 503 || cut.status / 100 == 2, "{what}: {}", cut.outcome());
                world.advance(DEAD);
                let done = world.keyed_post("a", &prepared).await;
                assert_eq!(done.status / 100, 2, "{what}: {}", done.outcome());
                if cut.status / 100 == 2 {
                    assert_eq!(ids(&done), ids(&cut), "{what}");
                }
                let after = count(&world.items().await);
                assert!(after <= before + items_of(route), "{what}: {before} items became {after}");
                assert_eq!(world.keyed_post("a", &prepared).await.bytes, done.bytes, "{what}");
                if !crashed {
                    break;
                }
            }
        }
    }
}

/// What an answer names.
fn ids(answer: &Answer) -> [Value; 2] {
    ["id", "media_id"].map(|name| answer.json()[name].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_attempt_hours_later_signs_for_the_same_file() {
    let world = World::start().await;
    let prepared = world.prepared("/v1/recordings/{id}/upload-url").await;
    world.advance(10);
    // The credential, the first call and the media file.
    world.faults().crash_after(2, Crash::After);
    assert_eq!(world.keyed_post("a", &prepared).await.outcome(), "503 temporarily_unavailable");
    world.faults().clear();
    world.advance(2 * 3600);
    let signed = world.keyed_post("a", &prepared).await.expect("200");
    let expires_at: Timestamp = signed["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(expires_at > world.now().plus_seconds(3500), "{expires_at}");
    let recording = world.get(prepared.path.trim_end_matches("/upload-url")).await;
    assert_eq!(recording["media"].as_array().unwrap().len(), 1);
    assert_eq!(recording["media"][0]["id"], signed["media_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_a_possible_effect_keeps_the_key() {
    let world = World::start().await;
    let create = world.prepared("/v1/recordings").await;
    world.advance(10);
    // The credential, the first call, the end user and the recording.
    world.faults().crash_after(3, Crash::After);
    assert_eq!(world.keyed_post("a", &create).await.outcome(), "503 temporarily_unavailable");
    world.faults().clear();
    let end_user = format!("/v1/end-users/{}", world.project.end_user_id);
    world.call(Method::DELETE, &end_user, None).await.expect("204");
    world.advance(DEAD);
    assert_eq!(world.keyed_post("a", &create).await.outcome(), "400 invalid_request");
    let other = Prepared { body: json!({}), ..create };
    assert_eq!(world.keyed_post("a", &other).await.outcome(), "409 idempotency_key_reused");
    assert_eq!(world.get("/v1/recordings").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_frees_the_key_and_a_failure_keeps_it() {
    let world = World::start().await;
    let path = format!("{}/upload-complete", world.create().await);
    let complete = Prepared { path, body: json!({}) };
    assert_eq!(world.keyed_post("a", &complete).await.outcome(), "400 media_not_uploaded");
    let other = Prepared { body: json!({"file_size_bytes": 1}), ..complete.clone() };
    assert_eq!(world.keyed_post("a", &other).await.outcome(), "400 media_not_uploaded");

    let signed = world.sign(complete.path.trim_end_matches("/upload-complete"), json!({})).await;
    assert_eq!(put(&signed, OPUS).await, 200);
    assert_eq!(world.keyed_post("a", &complete).await.status, 200);

    let create = Prepared {
        path: "/v1/recordings".to_owned(),
        body: json!({"end_user_id": world.project.end_user_id.as_str()}),
    };
    world.faults().fail_next("PutItem", Fault::Throttle, 100);
    assert_eq!(world.keyed_post("b", &create).await.outcome(), "503 temporarily_unavailable");
    world.faults().clear();
    let other = Prepared { body: json!({}), ..create.clone() };
    assert_eq!(world.keyed_post("b", &other).await.outcome(), "409 idempotency_key_reused");
    assert_eq!(world.keyed_post("b", &create).await.status, 201, "at once, not when the first would have died");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_a_callers_own_and_last_a_day() {
    let world = World::start().await;
    let body = json!({"end_user_id": world.project.end_user_id.as_str()});
    let create = Prepared { path: "/v1/recordings".to_owned(), body: body.clone() };
    let id = |answer: Answer| answer.expect("201")["id"].as_str().unwrap().to_owned();

    let first = id(world.keyed_post("a", &create).await);
    let of_device = id(world.keyed(&world.project.device_token, "a", "/v1/recordings", &body).await);
    assert_ne!(first, of_device, "a device's keys are not its project's");

    // Another key of the same project cannot open the answer, and makes nothing twice.
    let other_key = world.credential(world.tenant(), Grant::Secret).await;
    assert_eq!(id(world.keyed(&other_key, "a", "/v1/recordings", &body).await), first);
    assert_eq!(world.keyed("sk_test_unknown", "a", "/v1/recordings", &body).await.outcome(), "401 unauthorized");

    world.advance(DAY - DEAD);
    assert_eq!(id(world.keyed_post("a", &create).await), first);
    world.advance(2 * DEAD);
    assert_ne!(id(world.keyed_post("a", &create).await), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_costs_two_calls() {
    let world = World::start().await;
    let create = world.prepared("/v1/recordings").await;
    let operations = || world.stack.emulators().take_calls();
    let _ = operations();
    world.keyed_post("a", &create).await.expect("201");
    let _ = operations();
    world.advance(10);
    world.keyed_post("b", &create).await.expect("201");
    assert_eq!(
        operations(),
        ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    );
    world.keyed_post("b", &create).await.expect("201");
    assert_eq!(operations(), ["dynamodb:UpdateItem"]);
    world.post(&create.path, create.body.clone()).await.expect("201");
    assert_eq!(operations(), ["dynamodb:GetItem", "dynamodb:PutItem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_responses_hold_no_usable_credential() {
    let world = World::start().await;
    let mut secrets = vec![world.project.api_key.clone()];
    for route in world.posts().await {
        let prepared = world.prepared(&route).await;
        let first = world.keyed_post("a", &prepared).await.json();
        for name in ["device_token", "upload_token", "upload_url", "download_url", "presigned_url", "DownloadUrl"] {
            let secret = first[name].as_str().map(|text| text.rsplit("Signature=").next().unwrap().to_owned());
            secrets.extend(secret);
        }
    }
    assert!(secrets.len() >= 5, "{} secrets", secrets.len());
    let table = world.stack.template().tables[0].name();
    let mut pages = world.stack.emulators().dynamodb().scan().table_name(table).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        let item = format!("{:?}", item.unwrap());
        assert!(!secrets.iter().any(|secret| item.contains(secret.as_str())), "{item}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_response_is_recomputed_on_replay() {
    let world = World::start().await;
    let long = |_: Access, request: Request| async move {
        Reply::ok(
            &json!({"at": request.now().to_string(), "drawn": request.entropy().to_string(), "long": "x".repeat(400_000)}),
        )
    };
    let now = world.now();
    let clock = {
        let seconds = Arc::new(std::sync::atomic::AtomicI64::new(0));
        Clock::telling(move || now.plus_seconds(seconds.fetch_add(1, std::sync::atomic::Ordering::SeqCst)))
    };
    let function = http_function(Access::new(world.store.clone()), clock, long);
    let event = |body: &str| {
        json!({
            "version": "2.0", "routeKey": "POST /v1/long", "rawPath": "/v1/long", "rawQueryString": "",
            "headers": {"authorization": format!("Bearer {}", world.project.api_key), "idempotency-key": "a"},
            "requestContext": {"http": {"method": "POST", "path": "/v1/long"}, "requestId": "r", "stage": "$default"},
            "body": body, "isBase64Encoded": false,
        })
    };
    let first = function.invoke(event("{}")).await.unwrap();
    let again = function.invoke(event("{}")).await.unwrap();
    assert_eq!((&first["statusCode"], &first["body"]), (&json!(200), &again["body"]));
    assert_eq!(function.invoke(event("{ }")).await.unwrap()["statusCode"], 409);
    assert_eq!(world.call(Method::GET, "/v1/recordings", None).await.status, 200);
}
