//! Every state of a recording and everything that can be asked of it.

use capstan_domain::{LeaseId, PENDING_SECONDS};
use http::Method;
use serde_json::{Value, json};

use super::world::{Answer, OPUS, World, put};

/// What can be asked, in an order in which no question spoils the next.
const OPERATIONS: [&str; 9] =
    ["get", "list", "patch", "sign", "sign again", "fetch POST", "fetch GET", "complete", "delete"];

/// `lapsed`: never completed in time; `expired`: and the clock has been there since. `-`: not in the list. A code stands
/// for its status too, 400 unless it is `not_found`.
const TABLE: &str = "
state      | get | list | patch | sign                  | sign again            | fetch POST         | fetch GET          | complete              | delete
pending    | 200 | 200  | 200   | 200                   | 200                   | media_not_uploaded | media_not_uploaded | media_not_uploaded    | 204
sent       | 200 | 200  | 200   | 200                   | invalid_request       | 200                | 200                | 200                   | 204
lapsed     | 200 | 200  | 200   | upload_expired        | upload_expired        | media_not_uploaded | media_not_uploaded | media_not_uploaded    | 204
uploaded   | 200 | 200  | 200   | recording_not_pending | recording_not_pending | 200                | 200                | recording_not_pending | 204
processing | 200 | 200  | 200   | recording_not_pending | recording_not_pending | 200                | 200                | recording_not_pending | 204
completed  | 200 | 200  | 200   | recording_not_pending | recording_not_pending | 200                | 200                | recording_not_pending | 204
failed     | 200 | 200  | 200   | recording_not_pending | recording_not_pending | 200                | 200                | recording_not_pending | 204
deleted    | not_found | - | not_found | not_found | not_found | not_found | not_found | not_found | not_found
expired    | not_found | - | not_found | not_found | not_found | not_found | not_found | not_found | not_found
";

async fn ask(world: &World, credential: &str, path: &str, media_id: &Value, operation: &str) -> Answer {
    let call = |method: Method, suffix: &str, body: Option<Value>| {
        let path = format!("{path}{suffix}");
        async move { world.call_as(credential, method, &path, body.as_ref()).await }
    };
    match operation {
        "get" => call(Method::GET, "", None).await,
        "list" => world.call_as(credential, Method::GET, "/v1/recordings?limit=100", None).await,
        "patch" => call(Method::PATCH, "", Some(json!({"name": "x"}))).await,
        "sign" => call(Method::POST, "/upload-url", Some(json!({"content_type": "image/png"}))).await,
        "sign again" => call(Method::POST, "/upload-url", Some(json!({"media_id": media_id}))).await,
        "fetch POST" => call(Method::POST, "/download-url", Some(json!({"media_id": media_id}))).await,
        "fetch GET" => call(Method::GET, "/download-url", None).await,
        "complete" => call(Method::POST, "/upload-complete", Some(json!({}))).await,
        "delete" => call(Method::DELETE, "", None).await,
        other => panic!("{other}"),
    }
}

/// A recording in a state, reached as a client and the cloud visibility it: its path and its one media file.
async fn reached(world: &World, state: &str) -> (String, Value) {
    let path = world.create().await;
    let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
    let media = signed["media_id"].clone();
    if state == "lapsed" || state == "expired" {
        world.advance(PENDING_SECONDS + 60);
    }
    if state == "expired" {
        world.sweep().await;
    }
    if matches!(state, "pending" | "lapsed" | "expired") {
        return (path, media);
    }
    let bytes = if state == "failed" { b"no audio at all".as_slice() } else { OPUS };
    assert_eq!(put(&signed, bytes).await, 200);
    world.stack.bus().settle().await;
    match state {
        "sent" => return (path, media),
        "uploaded" | "processing" => world.stack.bus().hold(),
        _ => {}
    }
    world.complete(&path).await.expect("200");
    world.stack.bus().settle().await;
    if state == "processing" {
        let id = path.rsplit('/').next().unwrap().parse().unwrap();
        assert!(world.store.claim(&id, &LeaseId::new(world.now(), 1), world.now()).await.unwrap().is_some());
    }
    world.stack.bus().stop_holding();
    if state == "deleted" {
        assert_eq!(world.call(Method::DELETE, &path, None).await.status, 204);
    } else {
        assert_eq!(world.get(&path).await["status"], state);
    }
    (path, media)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_answers_every_question_as_the_table_says() {
    let mut rows = TABLE.trim().lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap()[1..], OPERATIONS);
    let mut seen = 0;
    for row in rows {
        let (world, state) = (World::start().await, row[0]);
        let (path, media) = reached(&world, state).await;
        let id = path.rsplit('/').next().unwrap();
        // What an answer sets going must not change the state before the next question.
        world.stack.bus().hold();
        for (operation, expected) in OPERATIONS.iter().zip(&row[1..]) {
            let got = ask(&world, &world.project.api_key, &path, &media, operation).await;
            let what = format!("{state}, {operation}");
            match (*operation, *expected) {
                ("list", expected) => {
                    let body = got.expect("200");
                    let listed = body["data"].as_array().unwrap().iter().any(|recording| recording["id"] == id);
                    assert_eq!(listed, expected == "200", "{what}");
                }
                (_, "not_found") => assert_eq!(got.outcome(), "404 not_found", "{what}"),
                (_, status @ ("200" | "204")) => assert_eq!(got.outcome(), status, "{what}"),
                (_, code) => assert_eq!(got.outcome(), format!("400 {code}"), "{what}"),
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 81);
}
