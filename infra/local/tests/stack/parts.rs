//! Files that are sent in parts: in any order, cut off, resumed after a kill, expired, aborted.

use std::sync::Arc;

use bytes::Bytes;
use capstan_domain::Sha256;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::crashes::{CUTS, cut_at_every_call};
use super::process::Running;
use super::world::{Answer, OPUS, World, answer, raw};

const PART: usize = 5 * 1024 * 1024;

/// Some minutes of a quiet tone as WAV, 16 kHz, 16 bits, mono: two parts and a bit.
fn wav() -> Vec<u8> {
    let samples = (2 * PART + 1000) / 2;
    let length = u32::try_from(samples * 2).unwrap();
    let mut bytes = Vec::with_capacity(44 + samples * 2);
    bytes.extend(b"RIFF");
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    for (value, size) in [(16, 4), (1, 2), (1, 2), (16_000, 4), (32_000, 4), (2, 2), (16, 2)] {
        bytes.extend(&u32::to_le_bytes(value)[..size]);
    }
    bytes.extend(b"data");
    bytes.extend(length.to_le_bytes());
    for sample in 0..samples {
        bytes.extend(i16::try_from((sample * 37) % 2000).unwrap().to_le_bytes());
    }
    bytes
}

fn in_parts(content_type: &str, size: usize) -> Value {
    json!({"content_type": content_type, "file_size_bytes": size, "multipart": true})
}

/// The bytes of a part of the file.
fn slice<'a>(file: &'a [u8], part: &Value) -> &'a [u8] {
    let start = (usize::try_from(part["part_number"].as_u64().unwrap()).unwrap() - 1) * PART;
    &file[start..start + usize::try_from(part["size_bytes"].as_u64().unwrap()).unwrap()]
}

async fn put(url: &str, bytes: &[u8]) -> Answer {
    answer(Request::put(url).body(Full::new(Bytes::copy_from_slice(bytes))).unwrap()).await
}

/// Sends a part and gives S3's tag.
pub(crate) async fn send(file: &[u8], part: &Value) -> String {
    let sent = put(part["upload_url"].as_str().unwrap(), slice(file, part)).await;
    assert_eq!(sent.status, 200, "{}", String::from_utf8_lossy(&sent.bytes));
    sent.headers["etag"].to_str().unwrap().to_owned()
}

pub(crate) fn parts(signed: &Value) -> &[Value] {
    signed["parts"].as_array().unwrap()
}

/// The path of the upload in parts.
pub(crate) fn upload(path: &str, signed: &Value) -> String {
    format!("{path}/media/{}/upload", signed["media_id"].as_str().unwrap())
}

impl World {
    /// A recording whose one file is sent in parts, of which none is sent yet.
    pub(crate) async fn begun(&self, content_type: &str, size: usize) -> (String, Value) {
        let path = self.create().await;
        let signed = self.sign(&path, in_parts(content_type, size)).await;
        (path, signed)
    }

    pub(crate) async fn complete_parts(&self, path: &str, signed: &Value, body: Value) -> Answer {
        self.post(&format!("{}/complete", upload(path, signed)), body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_uploaded_in_parallel_become_one_file() {
    let world = World::start().await;
    let file = wav();
    let (path, signed) = world.begun("audio/wav", file.len()).await;
    let [first, second, third] = parts(&signed) else { panic!("{signed}") };
    let (c, a, b) = tokio::join!(send(&file, third), send(&file, first), send(&file, second));
    let claim = json!({"parts": [
        {"part_number": 3, "etag": c}, {"part_number": 1, "etag": a}, {"part_number": 2, "etag": b},
    ]});
    let (one, other) =
        tokio::join!(world.complete_parts(&path, &signed, claim.clone()), world.complete_parts(&path, &signed, claim));
    assert_eq!(one.expect("200")["status"], "uploaded");
    assert_eq!(other.expect("200")["status"], "uploaded");
    let claim = json!({"content_sha256": Sha256::of(&file).to_string(), "file_size_bytes": file.len()});
    world.post(&format!("{path}/upload-complete"), claim).await.expect("200");
    world.recover().await;
    let recording = world.get(&path).await;
    assert_eq!(
        (&recording["status"], &recording["duration_ms"]),
        (&json!("completed"), &json!(327_711)),
        "{recording}"
    );
    assert_eq!(recording["content_sha256"], Sha256::of(&file).to_string());
    assert_eq!(world.published(&path, "recording.completed"), 1);
    world.assert_nothing_is_left(&path, "whole").await;
}

#[tokio::test]
async fn s3_refuses_a_part_of_another_size_or_under_another_number() {
    let world = World::start().await;
    let file = vec![7; PART + 3];
    let (_, signed) = world.begun("audio/wav", file.len()).await;
    let last = parts(&signed)[1]["upload_url"].as_str().unwrap();
    for length in [0, 2, 4] {
        assert_eq!(put(last, &file[..length]).await.status, 403, "{length} bytes");
    }
    assert_eq!(put(&last.replace("partNumber=2", "partNumber=3"), &file[..3]).await.status, 403);
    assert_eq!(put(last, &file[..3]).await.status, 200);
}

#[tokio::test]
async fn a_part_that_was_cut_off_is_missing_and_sent_again() {
    let world = World::start().await;
    let (path, signed) = world.begun("audio/ogg", OPUS.len()).await;
    let url = parts(&signed)[0]["upload_url"].as_str().unwrap();
    let (host, target) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let head = format!("PUT /{target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n", OPUS.len());
    let cut =
        tokio::time::timeout(std::time::Duration::from_millis(200), raw(host, head.as_bytes(), &OPUS[..4000])).await;
    assert!(cut.is_err(), "nothing is answered to half a part");
    let resumed = world.get(&upload(&path, &signed)).await;
    assert_eq!((&resumed["parts_received"], parts(&resumed).len()), (&json!([]), 1));
    world.complete_parts(&path, &signed, json!({})).await.expect("400 parts_missing");
    send(OPUS, &parts(&resumed)[0]).await;
    world.complete_parts(&path, &signed, json!({})).await.expect("200");
}

#[tokio::test]
async fn an_expired_multipart_upload_restarts() {
    let world = World::start().await;
    let (path, signed) = world.begun("audio/ogg", OPUS.len()).await;
    send(OPUS, &parts(&signed)[0]).await;
    let bucket = &world.stack.template().buckets[0].name;
    for (id, key) in world.open_uploads().await {
        let s3 = world.stack.emulators().s3();
        s3.abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send().await.unwrap();
    }
    world.call(Method::GET, &upload(&path, &signed), None).await.expect("400 upload_expired");
    let refused = world.complete_parts(&path, &signed, json!({})).await.expect("400 upload_expired");
    let mut again = in_parts("audio/ogg", OPUS.len());
    again["media_id"] = refused["error"]["details"]["media_id"].clone();
    let anew = world.sign(&path, again).await;
    assert_eq!(anew["media_id"], signed["media_id"]);
    send(OPUS, &parts(&anew)[0]).await;
    world.complete_parts(&path, &anew, json!({})).await.expect("200");
    world.complete(&path).await.expect("200");
    world.recover().await;
    assert_eq!(world.get(&path).await["status"], "completed");
}

#[tokio::test]
async fn a_recording_is_completed_without_the_parts_and_takes_their_file_later() {
    let world = World::start().await;
    let (path, _) = world.sent("audio/ogg", OPUS).await;
    let signed = world.sign(&path, in_parts("audio/ogg", OPUS.len())).await;
    let completed = world.complete(&path).await.expect("200");
    assert_eq!(
        (&completed["media"][0]["status"], &completed["media"][1]["status"]),
        (&json!("uploaded"), &json!("pending"))
    );
    world.recover().await;
    let resumed = world.get(&upload(&path, &signed)).await;
    send(OPUS, &parts(&resumed)[0]).await;
    world.complete_parts(&path, &signed, json!({})).await.expect("200");
    world.recover().await;
    let recording = world.get(&path).await;
    assert_eq!(
        (&recording["status"], &recording["media"][1]["codec"]),
        (&json!("completed"), &json!("opus")),
        "{recording}"
    );
    world.assert_nothing_is_left(&path, "late").await;
}

#[tokio::test]
async fn an_expired_recording_aborts_its_multipart_upload() {
    let world = World::start().await;
    let (path, signed) = world.begun("audio/ogg", OPUS.len()).await;
    send(OPUS, &parts(&signed)[0]).await;
    world.call(Method::DELETE, &upload(&path, &signed), None).await.expect("204");
    world.call(Method::DELETE, &upload(&path, &signed), None).await.expect("404 not_found");
    assert_eq!(put(parts(&signed)[0]["upload_url"].as_str().unwrap(), OPUS).await.status, 404);
    let again = world.sign(&path, in_parts("audio/ogg", OPUS.len())).await;
    send(OPUS, &parts(&again)[0]).await;
    world.advance(8 * 24 * 3600);
    world.sweep().await;
    world.call(Method::GET, &path, None).await.expect("404 not_found");
    world.advance(7300);
    world.sweep().await;
    assert_eq!((world.objects().await.len(), world.open_uploads().await.len()), (0, 0));
    assert_eq!(world.recordings_kept().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_uploads_survive_a_crash_at_every_call() {
    let begun = || async {
        let world = World::start().await;
        let (path, signed) = world.begun("audio/ogg", OPUS.len()).await;
        send(OPUS, &parts(&signed)[0]).await;
        (world, (path, signed))
    };
    let cuts = cut_at_every_call(
        CUTS,
        || async {
            let world = World::start().await;
            let path = world.create().await;
            (world, path)
        },
        |world, path| async move {
            Some(world.post(&format!("{path}/upload-url"), in_parts("audio/ogg", OPUS.len())).await)
        },
        |world, path, _, what| async move {
            let signed = world.sign(&path, in_parts("audio/ogg", OPUS.len())).await;
            send(OPUS, &parts(&signed)[0]).await;
            world.complete_parts(&path, &signed, json!({})).await.expect("200");
            world.complete(&path).await.expect("200");
            world.recover().await;
            assert_eq!(world.get(&path).await["status"], "completed", "{what}");
            world.assert_nothing_is_left(&path, &what).await;
        },
    )
    .await;
    assert_eq!(cuts, 6, "begin");

    let cuts = cut_at_every_call(
        CUTS,
        begun,
        |world: Arc<World>, (path, signed)| async move { Some(world.complete_parts(&path, &signed, json!({})).await) },
        |world, (path, signed), _, what| async move {
            world.complete_parts(&path, &signed, json!({})).await.expect("200");
            world.complete(&path).await.expect("200");
            world.recover().await;
            assert_eq!(world.get(&path).await["status"], "completed", "{what}");
            world.assert_nothing_is_left(&path, &what).await;
        },
    )
    .await;
    assert!(cuts >= 10, "complete: {cuts}, with what the notification comes to");

    let cuts = cut_at_every_call(
        CUTS,
        begun,
        |world: Arc<World>, (path, signed)| async move {
            Some(world.call(Method::DELETE, &upload(&path, &signed), None).await)
        },
        |world, (path, signed), _, what| async move {
            let repeat = world.call(Method::DELETE, &upload(&path, &signed), None).await;
            assert!([204, 404].contains(&repeat.status), "{what}");
            assert_eq!((world.objects().await.len(), world.open_uploads().await.len()), (0, 0), "{what}");
            assert_eq!(world.get(&path).await["media"], json!([]), "{what}");
            world.assert_nothing_is_left(&path, &what).await;
        },
    )
    .await;
    assert_eq!(cuts, 8, "abort");
}

#[tokio::test]
async fn a_multipart_upload_resumes_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let file = wav();
    let stack = Running::start(&data);
    let call = async |stack: &Running, method: Method, path: &str, body: Option<Value>| {
        let token = stack.get("CAPSTAN_DEVICE_TOKEN");
        stack.client().call(method, path, token, body.as_ref()).await.unwrap()
    };
    let made = call(&stack, Method::POST, "/v1/recordings", Some(json!({}))).await;
    let path = format!("/v1/recordings/{}", made["id"].as_str().unwrap());
    let wanted = Some(in_parts("audio/wav", file.len()));
    let signed = call(&stack, Method::POST, &format!("{path}/upload-url"), wanted).await;
    let tag = send(&file, &parts(&signed)[1]).await;
    // Cut while the bytes are on their way.
    let cut = send(&file, &parts(&signed)[0]);
    let _ = tokio::time::timeout(std::time::Duration::from_millis(1), cut).await;
    stack.kill();

    let stack = Running::start(&data);
    let resumed = call(&stack, Method::GET, &upload(&path, &signed), None).await;
    assert_eq!(resumed["upload_id"], signed["upload_id"]);
    let received = resumed["parts_received"].as_array().unwrap();
    assert_eq!((&received[0]["part_number"], &received[0]["etag"]), (&json!(2), &json!(tag.trim_matches('"'))));
    for part in parts(&resumed) {
        send(&file, part).await;
    }
    let complete = format!("{}/complete", upload(&path, &signed));
    call(&stack, Method::POST, &complete, Some(json!({}))).await;
    stack.kill();

    let stack = Running::start(&data);
    call(&stack, Method::POST, &complete, Some(json!({}))).await;
    let claim = json!({"content_sha256": Sha256::of(&file).to_string()});
    let uploaded = call(&stack, Method::POST, &format!("{path}/upload-complete"), Some(claim)).await;
    assert_eq!(uploaded["content_sha256"], Sha256::of(&file).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_file_of_which_no_notification_came_is_read_when_its_hash_is_asked_for() {
    let world = World::start().await;
    world.stack.bus().hold();
    let file = wav();
    let (path, signed) = world.begun("audio/wav", file.len()).await;
    for part in parts(&signed) {
        send(&file, part).await;
    }
    world.complete_parts(&path, &signed, json!({})).await.expect("200");
    let id = path.rsplit('/').next().unwrap().parse().unwrap();
    let recording = world.store.recording(&id).await.unwrap().unwrap();
    assert!(recording.primary().unwrap().last_object().unwrap().sha256.is_none());
    world.store.request_verification(&recording, world.now()).await.unwrap();
    world.stack.bus().tick().await.unwrap();
    let recording = world.store.recording(&id).await.unwrap().unwrap();
    let stored = recording.primary().unwrap().last_object().cloned().unwrap();
    assert_eq!((stored.sha256, stored.md5.is_some()), (Some(Sha256::of(&file)), true));
}
