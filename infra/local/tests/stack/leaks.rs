//! No credential, no signed URL and no body gets into a log, a 5xx answer, the table or an event.
//!
//! Our own crates are listened to at TRACE, everything below them at `info`, the level that the template deploys. (At
//! TRACE the AWS SDK writes down what it signs, and at DEBUG the emulated S3 what it is asked: whoever turns them up that
//! far turns them up against this rule.)

use std::io::Write;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_domain::{Grant, Sha256};
use capstan_emulators::Fault;
use capstan_local::keys;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::EnvFilter;

use super::matrix::{Resource, served};
use super::world::{Answer, OPUS, World, answer, put};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The marks of what may be nowhere.
const BODY: &str = "what-only-the-body-says";

/// Everything that the stack gave away: logs, answers that were no success, items, events.
struct Given {
    log: String,
    server_errors: Vec<String>,
    refusals: Vec<String>,
    items: String,
    events: String,
    secrets: Vec<String>,
    operations: Vec<String>,
}

/// The signature of a signed URL.
fn signature(url: &str) -> Option<String> {
    Some(url.split_once("X-Amz-Signature=")?.1.split('&').next()?.to_owned())
}

/// Every token and every signature in an answer.
fn secrets_in(answer: &Value, secrets: &mut Vec<String>) {
    match answer {
        Value::String(text) if text.starts_with("dtok_") || text.starts_with("up_") => secrets.push(text.clone()),
        Value::String(text) => secrets.extend(signature(text)),
        Value::Array(values) => values.iter().for_each(|value| secrets_in(value, secrets)),
        Value::Object(fields) => fields.values().for_each(|value| secrets_in(value, secrets)),
        _ => {}
    }
}

/// Every operation there is, by everyone whom it lets in: first as it should go, then with services that fail. Gives the
/// operations.
async fn every_operation(world: &World, secrets: &mut Vec<String>, answers: &mut Vec<Answer>) -> Vec<String> {
    let (operations, mut failing) = (served(world).await, Vec::new());
    for operation in &operations {
        let takes = |scheme: &&str| operation.takes.contains_key(*scheme) || operation.is_public;
        for scheme in ["secretKey", "deviceToken", "uploadToken"].into_iter().filter(takes) {
            let mut request = async || {
                let resource = Box::pin(Resource::make(world, world.tenant(), operation.about)).await;
                secrets.extend(resource.tokens());
                let credential = match scheme {
                    "secretKey" => world.project.api_key.clone(),
                    "deviceToken" => resource.device_token.clone(),
                    _ => resource.upload_token.clone(),
                };
                let (path, body) = operation.request(&resource);
                (credential, operation.method.clone(), path, Some(body).filter(|body| !body.is_null()))
            };
            let (credential, method, path, body) = request().await;
            failing.push(request().await);
            let got = world.call_as(&credential, method, &path, body.as_ref()).await;
            assert_eq!(got.status / 100, 2, "{operation} with {scheme}: {}", got.outcome());
            secrets_in(&got.json(), secrets);
        }
    }
    // No key is remembered any more.
    world.advance(10);
    world.faults().fail_next("*", Fault::Throttle, u32::MAX);
    let failing = failing.iter().map(|(credential, method, path, body)| {
        Box::pin(world.call_as(credential, method.clone(), path, body.as_ref()))
    });
    answers.extend(join_all(failing).await.into_iter().filter(|answer| answer.status >= 400));
    world.faults().clear();
    operations.iter().map(ToString::to_string).collect()
}

/// The main flow and a good many failures.
async fn flow(filter: &str) -> Given {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // A second listener makes `tracing` ask both about every event. With one alone it asks whatever thread meets an event
    // first, and those of other tests listen to nothing.
    let _second = Dispatch::new(NoSubscriber::default());
    // Of this thread only, which is also the runtime's: other tests run beside.
    let guard = tracing::subscriber::set_default(subscriber);
    let world = Box::pin(World::start()).await;
    let (key, token) = (world.project.api_key.clone(), world.project.device_token.clone());
    let (mut answers, mut secrets) = (Vec::new(), Vec::new());
    let operations = Box::pin(every_operation(&world, &mut secrets, &mut answers)).await;
    let made = keys::create(&world.store, world.tenant(), Grant::Secret, Some("leaks".to_owned())).await.unwrap();
    world.call_as(&made.text, Method::GET, "/v1/recordings", None).await.expect("200");
    let rotated = keys::rotate(&world.store, &made.id, 0).await.unwrap();
    world.store.revoke_key(&rotated.new.id, world.now()).await.unwrap();
    secrets.extend([made.text, rotated.new.text]);

    let made = world.call_as(&token, Method::POST, "/v1/recordings", Some(&json!({"name": BODY}))).await.expect("201");
    let path = format!("/v1/recordings/{}", made["id"].as_str().unwrap());
    let sha256 = Sha256::of(OPUS).to_string();
    let wanted = json!({"content_type": "audio/ogg", "file_size_bytes": OPUS.len(), "content_sha256": sha256});
    let signed = world.call_as(&token, Method::POST, &format!("{path}/upload-url"), Some(&wanted)).await.expect("200");
    assert_eq!(put(&signed, b"other bytes").await / 100, 4);
    assert_eq!(put(&signed, OPUS).await, 200);
    let done = world.call_as(&token, Method::POST, &format!("{path}/upload-complete"), Some(&json!({}))).await;
    done.expect("200");
    world.stack.bus().settle().await;
    let recording = world.get(&path).await;
    assert_eq!(recording["status"], "completed");
    world.get("/v1/recordings?limit=5").await;
    world.call(Method::PATCH, &path, Some(&json!({"metadata": {"a": BODY}}))).await.expect("200");
    let mut urls =
        vec![signed["upload_url"].clone(), world.get(&format!("{path}/download-url")).await["download_url"].clone()];
    for wanted in [
        json!({"media_id": recording["media"][0]["id"], "download_filename": BODY}),
        json!({"rendition_id": recording["media"][0]["renditions"][0]["id"]}),
    ] {
        let signed = world.post(&format!("{path}/download-url"), wanted).await.expect("200");
        let url = signed["download_url"].clone();
        assert_eq!(
            answer(http::Request::get(url.as_str().unwrap()).body(Default::default()).unwrap()).await.status,
            200
        );
        urls.push(url);
    }

    // Clients that put their credential where it does not belong.
    for (method, path, body) in [
        (Method::GET, format!("/v1/recordings/{key}"), None),
        (Method::GET, format!("/{key}"), None),
        (Method::GET, format!("/v1/recordings?cursor={key}"), None),
        (Method::GET, format!("/v1/recordings?access_token={key}"), None),
        (Method::POST, "/v1/recordings".to_owned(), Some(json!({"end_user_id": key}))),
        (Method::POST, format!("{path}/upload-url"), Some(json!({"type": key, "content_type": BODY}))),
        (Method::POST, format!("{path}/upload-complete"), Some(json!({"content_sha256": key}))),
        (Method::DELETE, format!("/v1/recordings/{}", urls[0].as_str().unwrap()), None),
    ] {
        answers.push(world.call(method, &path, body.as_ref()).await);
    }
    answers.push(world.call_as(&format!("{key}x"), Method::GET, &path, None).await);
    answers.push(world.call_as(&token, Method::GET, &path, None).await);

    // Services that fail under every kind of call.
    for fault in [Fault::Throttle, Fault::Internal, Fault::Unavailable, Fault::DropConnection] {
        world.advance(10);
        let (other, _) = world.sent("audio/ogg", OPUS).await;
        world.faults().fail_next("*", fault, 60);
        answers.push(world.call(Method::GET, &path, None).await);
        answers.push(world.post("/v1/recordings", json!({"end_user_id": "eu_1", "name": BODY})).await);
        answers.push(world.post(&format!("{other}/upload-url"), json!({"content_type": "audio/ogg"})).await);
        answers.push(world.post(&format!("{other}/upload-complete"), json!({"content_sha256": sha256})).await);
        let _ = world.stack.bus().tick().await;
        world.stack.bus().settle().await;
        world.faults().clear();
        world.faults().fail_next("PutObject", fault, 3);
        world.faults().fail_next("GetObject", fault, 3);
        world.complete(&other).await;
        world.stack.bus().settle().await;
        world.faults().clear();
    }
    assert_eq!(world.call(Method::DELETE, &path, None).await.status, 204);
    world.sweep().await;

    let table = world.stack.template().tables[0].name();
    let scan = world.stack.emulators().dynamodb().scan().table_name(table).into_paginator().items().send();
    let items = scan.collect::<Result<Vec<_>, _>>().await.unwrap();
    assert!(items.iter().any(|item| matches!(&item["PK"], AttributeValue::S(key) if key.starts_with("KEY#"))));
    let events = world.stack.emulators().events();
    assert!(!events.is_empty());
    drop(guard);

    // The key comes first: what a client puts where it does not belong, its own refusal may quote.
    secrets.splice(0..0, [key, token, capstan_emulators::SECRET_ACCESS_KEY.to_owned()]);
    secrets.extend(urls.iter().map(|url| signature(url.as_str().unwrap()).unwrap()));
    let text = |answer: &Answer| String::from_utf8(answer.bytes.to_vec()).unwrap();
    let (server_errors, refusals): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status >= 500);
    assert!(server_errors.len() >= 12 && refusals.len() >= 10, "{} and {}", server_errors.len(), refusals.len());
    let log = log.0.lock().unwrap().clone();
    Given {
        log: String::from_utf8(log).unwrap(),
        server_errors: server_errors.into_iter().map(text).collect(),
        refusals: refusals.into_iter().map(text).collect(),
        items: format!("{items:?}"),
        events: Value::from_iter(events.into_iter().map(|put| put.event)).to_string(),
        secrets,
        operations,
    }
}

fn assert_absent(needles: &[String], text: &str, what: &str) {
    for needle in needles {
        if let Some(at) = text.find(needle.as_str()) {
            let line = text[..at].rfind('\n').map_or(0, |line| line + 1);
            panic!("{what} holds `{needle}`: {}", text[line..].lines().next().unwrap_or_default());
        }
    }
}

#[tokio::test]
async fn no_credential_signature_or_body_gets_into_logs_5xx_answers_items_or_events() {
    let functions = capstan_emulators::template::Template::of_this_project().unwrap().functions;
    for function in &functions {
        assert_eq!(function.environment["RUST_LOG"], "info", "{}: the level of this test", function.name);
    }
    let ours: Vec<String> =
        functions.iter().map(|function| format!("{}=trace", function.name.replace('-', "_"))).collect();
    let given = flow(&format!("info,capstan=trace,{}", ours.join(","))).await;

    let mut marks = given.secrets.clone();
    marks.extend(
        ["X-Amz-Signature", "X-Amz-Credential", "AWS4-HMAC-SHA256", "Bearer sk_", "Bearer dtok_", "Bearer up_"]
            .map(str::to_owned),
    );
    assert_absent(&marks, &given.items, "the table");
    assert_absent(&marks, &given.events, "the bus");
    for refusal in &given.refusals {
        assert_absent(&marks[1..], refusal, "a refusal");
    }
    marks.push(BODY.to_owned());
    assert_absent(&marks, &given.log, "the log");
    for error in &given.server_errors {
        assert_absent(&marks, error, "a 5xx answer");
        assert!(error.contains("temporarily_unavailable") && !error.contains("injected"), "{error}");
    }
    assert_absent(&[BODY.to_owned()], &given.events, "the bus");

    // The log was listened to: a line for each request and each failure, and why, which no client receives.
    assert!(given.log.lines().filter(|line| line.contains("POST /v1/recordings/{id}/upload-url")).count() >= 5);
    for operation in &given.operations {
        assert!(given.log.contains(operation), "{operation} left no line");
    }
    for function in ["on-object-created", "process-recording", "run-due-work"] {
        let prefix = format!("event function=\"{function}\"");
        let is_access_line = |line: &str| line.contains(&prefix) && line.contains("duration_ms=");
        assert!(given.log.lines().any(is_access_line), "{function} left no line of its events");
    }
    assert!(given.log.contains("injected"), "the cause of a failure is logged");
    assert!(given.log.contains("ERROR"));
}
