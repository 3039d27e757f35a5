//! Upload URLs in hostile hands: S3 takes what was signed, and nothing else comes of it.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use capstan_domain::Sha256;
use capstan_local::bus::Delivery;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::{OPUS, World, YEAR, answer, put, put_with, raw};

fn url(signed: &Value) -> &str {
    signed["upload_url"].as_str().unwrap()
}

fn with_query(url: &str, name: &str, value: &str) -> String {
    let (path, query) = url.split_once('?').unwrap();
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| if pair.split('=').next() == Some(name) { format!("{name}={value}") } else { pair.to_owned() })
        .collect();
    assert_ne!(pairs.join("&"), query, "{name} is not in the URL");
    format!("{path}?{}", pairs.join("&"))
}

/// A PUT's head as text, for bodies that no decent client sends. It asks the server to close.
fn head(signed: &Value, more: &str) -> (String, String) {
    let (address, target) = url(signed).trim_start_matches("http://").split_once('/').unwrap();
    let mut head = format!("PUT /{target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{more}");
    for (name, value) in signed["headers"].as_object().unwrap() {
        head += &format!("{name}: {}\r\n", value.as_str().unwrap());
    }
    (address.to_owned(), head + "\r\n")
}

async fn fully_signed(world: &World, path: &str) -> Value {
    let sha256 = Sha256::of(OPUS).to_string();
    let wanted = json!({"content_type": "audio/ogg", "file_size_bytes": OPUS.len(), "content_sha256": sha256});
    world.sign(path, wanted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_url_is_bound_to_type_size_key_time_and_bytes() {
    let world = World::start().await;
    let path = world.create().await;
    let signed = fully_signed(&world, &path).await;
    let url = url(&signed);
    let other_recording = world.create().await;
    let other = url.replace(path.rsplit('/').next().unwrap(), other_recording.rsplit('/').next().unwrap());
    assert_ne!(other, url);
    let mut wrong = OPUS.to_vec();
    wrong[100] ^= 1;
    let wrong_sum = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let longer = [OPUS, b"x"].concat();
    for (what, url, headers, bytes) in [
        ("another type", url.to_owned(), vec![("content-type", "audio/wav")], OPUS),
        ("no type", url.to_owned(), vec![("content-type", "")], OPUS),
        ("longer", url.to_owned(), vec![], &longer),
        ("shorter", url.to_owned(), vec![], &OPUS[1..]),
        ("empty", url.to_owned(), vec![], b""),
        ("another recording's key", other, vec![], OPUS),
        ("another extension", url.replace("audio.ogg", "audio.wav"), vec![], OPUS),
        ("a key above", url.replace("audio.ogg", "../audio.ogg"), vec![], OPUS),
        ("a later end", with_query(url, "X-Amz-Expires", "604800"), vec![], OPUS),
        ("another time", with_query(url, "X-Amz-Date", "20300101T000000Z"), vec![], OPUS),
        ("fewer signed headers", with_query(url, "X-Amz-SignedHeaders", "host"), vec![], OPUS),
        ("no signature", url.split('?').next().unwrap().to_owned(), vec![], OPUS),
        ("wrong bytes", url.to_owned(), vec![], &wrong),
        ("no checksum", url.to_owned(), vec![("x-amz-checksum-sha256", "")], OPUS),
        ("another checksum", url.to_owned(), vec![("x-amz-checksum-sha256", wrong_sum)], OPUS),
    ] {
        let status = put_with(&signed, &url, &headers, bytes).await;
        assert!((400..500).contains(&status), "{what}: {status}");
        assert!(world.objects().await.is_empty(), "{what}");
    }
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let request = http::Request::builder().method(method.clone()).uri(url).body(Default::default()).unwrap();
        assert!((400..500).contains(&answer(request).await.status), "{method}");
    }
    world.stack.bus().settle().await;
    world.complete(&path).await.expect("400 media_not_uploaded");
    assert_eq!(put(&signed, OPUS).await, 200);
    world.complete(&path).await.expect("200");
    world.stack.bus().settle().await;
    let settled = world.get(&path).await;
    assert_eq!(
        (&settled["status"], &settled["content_sha256"]),
        (&"completed".into(), &Sha256::of(OPUS).to_string().into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_or_that_breaks_off_leaves_nothing() {
    let world = World::start().await;
    let path = world.create().await;
    let signed = fully_signed(&world, &path).await;
    let (address, chunked) = head(&signed, "transfer-encoding: chunked\r\n");
    let mut body = format!("{:x}\r\n", OPUS.len()).into_bytes();
    body.extend_from_slice(OPUS);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    let status = raw(&address, chunked.as_bytes(), &body).await.status;
    assert!((400..500).contains(&status), "{status}");

    let (_, cut) = head(&signed, &format!("content-length: {}\r\n", OPUS.len()));
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(cut.as_bytes()).await.unwrap();
    stream.write_all(&OPUS[..OPUS.len() / 2]).await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    assert!(world.objects().await.is_empty());
    world.complete(&path).await.expect("400 media_not_uploaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn completion_is_refused_until_the_upload_ends() {
    let world = World::start().await;
    let path = world.create().await;
    world.complete(&path).await.expect("400 media_not_uploaded");
    let signed = fully_signed(&world, &path).await;
    world.complete(&path).await.expect("400 media_not_uploaded");
    let (address, head) = head(&signed, &format!("content-length: {}\r\n", OPUS.len()));
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let (first, rest) = OPUS.split_at(OPUS.len() / 2);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(first).await.unwrap();
    world.complete(&path).await.expect("400 media_not_uploaded");
    stream.write_all(rest).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
    world.complete(&path).await.expect("200");
    world.stack.bus().settle().await;
    assert_eq!(world.get(&path).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_twice_are_one_upload() {
    let world = World::start().await;
    let (path, signed) = world.sent("audio/ogg", OPUS).await;
    assert_eq!(put(&signed, OPUS).await, 200);
    world.complete(&path).await.expect("200");
    assert_eq!(put(&signed, OPUS).await, 200, "a retry that comes after the completion");
    world.stack.bus().settle().await;
    assert_eq!(put(&signed, OPUS).await, 200, "or after the processing");
    world.stack.bus().settle().await;
    let recording = world.get(&path).await;
    assert_eq!(recording["status"], "completed");
    assert_eq!(recording["media"].as_array().unwrap().len(), 1);
    assert_eq!(recording["content_sha256"], Sha256::of(OPUS).to_string());
    assert_eq!((world.published(&path, "recording.completed"), world.renditions_stored(&path)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_recording_is_open_the_last_bytes_count() {
    let world = World::start().await;
    let path = world.create().await;
    let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
    assert_eq!(put(&signed, b"first").await, 200);
    world.stack.bus().settle().await;
    assert_eq!(put(&signed, OPUS).await, 200);
    world.stack.bus().settle().await;
    let completed = world.complete(&path).await.expect("200");
    assert_eq!(completed["content_sha256"], Sha256::of(OPUS).to_string());
    world.stack.bus().settle().await;
    assert_eq!(world.get(&path).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_after_completion_change_nothing_that_was_learned() {
    let world = World::start().await;
    let path = world.create().await;
    let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
    assert_eq!(put(&signed, OPUS).await, 200);
    world.stack.bus().settle().await;
    world.complete(&path).await.expect("200");
    world.stack.bus().settle().await;
    let before = world.get(&path).await;
    assert_eq!(before["status"], "completed");
    assert_eq!(put(&signed, b"other bytes").await, 200);
    world.stack.bus().settle().await;
    for _ in 0..3 {
        world.advance(YEAR);
        world.sweep().await;
    }
    assert_eq!(world.get(&path).await, before);
    assert_eq!(world.published(&path, "recording.completed"), 1);
    assert_eq!(world.due_within(YEAR).await, 0);
}

/// A completed recording whose bytes were replaced before anyone read them, and the deliveries that this led to: the
/// completion's and the replacement's.
async fn replaced(world: &World, bytes: &[u8]) -> (String, Vec<Delivery>) {
    let path = world.create().await;
    let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
    assert_eq!(put(&signed, OPUS).await, 200);
    world.stack.bus().settle().await;
    world.stack.bus().hold();
    world.complete(&path).await.expect("200");
    assert_eq!(put(&signed, bytes).await, 200);
    world.stack.bus().settle().await;
    let mut deliveries = world.stack.bus().stop_holding();
    deliveries.sort_by_key(|delivery| delivery.function == "on-object-created");
    assert_eq!(deliveries.len(), 2);
    (path, deliveries)
}

/// Beyond the longest wait for another attempt.
const NEXT_ATTEMPT: i64 = 6 * 3600;

#[tokio::test(flavor = "multi_thread")]
async fn replaced_bytes_are_processed_in_any_order_of_events() {
    const OTHER: &[u8] = include_bytes!("../../../../shared/audio/fixtures/silence.ogg");
    for order in [[0, 1], [1, 0]] {
        let world = World::start().await;
        let (path, deliveries) = replaced(&world, OTHER).await;
        for index in order {
            // Whoever reads bytes that were replaced meanwhile fails, and is begun again.
            let _ = world.stack.bus().deliver(&deliveries[index]).await;
        }
        for _ in 0..2 {
            world.advance(NEXT_ATTEMPT);
            world.sweep().await;
        }
        let recording = world.get(&path).await;
        assert_eq!((&recording["status"], &recording["duration_ms"]), (&json!("completed"), &json!(2000)), "{order:?}");
        assert_eq!(recording["content_sha256"], Sha256::of(OTHER).to_string(), "{order:?}");
        assert_eq!((world.published(&path, "recording.completed"), world.due_within(YEAR).await), (1, 0), "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreported_replacement_is_processed_by_the_next_attempt() {
    const OTHER: &[u8] = include_bytes!("../../../../shared/audio/fixtures/silence.ogg");
    let world = World::start().await;
    let (path, deliveries) = replaced(&world, OTHER).await;
    assert!(world.stack.bus().deliver(&deliveries[0]).await.is_err());
    world.advance(NEXT_ATTEMPT);
    world.sweep().await;
    let recording = world.get(&path).await;
    assert_eq!((&recording["status"], &recording["duration_ms"]), (&json!("completed"), &json!(2000)));
    assert_eq!((world.published(&path, "recording.completed"), world.left_after_urls().await), (1, 0));
    assert_eq!(world.get(&path).await["content_sha256"], Sha256::of(OTHER).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_uploaded_after_the_deletion_are_deleted() {
    let world = World::start().await;
    let (path, signed) = world.sent("audio/ogg", OPUS).await;
    world.stack.bus().settle().await;
    assert_eq!(world.call(Method::DELETE, &path, None).await.status, 204);
    world.sweep().await;
    assert!(world.objects().await.is_empty());
    assert_eq!(put(&signed, OPUS).await, 200, "the URL lives for its hour");
    world.stack.bus().settle().await;
    assert!(world.objects().await.is_empty(), "its notification removes it");

    // The same with a notification that never comes, and once more when the recording is forgotten.
    world.stack.bus().hold();
    assert_eq!(put(&signed, OPUS).await, 200);
    world.stack.bus().settle().await;
    world.stack.bus().stop_holding();
    assert_eq!(world.objects().await.len(), 1);
    world.advance(7300);
    world.sweep().await;
    assert!(world.objects().await.is_empty());
    assert_eq!(put(&signed, OPUS).await, 200);
    world.stack.bus().settle().await;
    assert!(world.objects().await.is_empty());
    assert_eq!(world.due_within(YEAR).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_presigned_url_is_refused() {
    let world = World::start().await;
    let (path, signed) = (world.create().await, json!({"headers": {"content-type": "audio/ogg"}}));
    let bucket = &world.stack.template().buckets[0].name;
    let key = format!("{}/{}/med_1/audio.ogg", world.project.project_id, path.rsplit('/').next().unwrap());
    let sign = |ago: u64| {
        let config = PresigningConfig::builder()
            .start_time(SystemTime::now() - Duration::from_secs(ago))
            .expires_in(Duration::from_secs(3600));
        let s3 = world.stack.emulators().s3();
        let request = s3.put_object().bucket(bucket).key(&key).content_type("audio/ogg");
        async move { request.presigned(config.build().unwrap()).await.unwrap().uri().to_owned() }
    };
    assert_eq!(put_with(&signed, &sign(3605).await, &[], OPUS).await, 403);
    assert!(world.objects().await.is_empty());
    assert_eq!(put_with(&signed, &sign(3500).await, &[], OPUS).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_the_101st_media_file() {
    let world = World::start().await;
    let path = world.create().await;
    for _ in 0..100 {
        world.sign(&path, json!({})).await;
    }
    world.post(&format!("{path}/upload-url"), json!({})).await.expect("400 too_many_media");
    let media = world.get(&path).await["media"].as_array().unwrap().clone();
    assert_eq!(media.len(), 100);
    let again = world.sign(&path, json!({"media_id": media[99]["id"], "content_type": "audio/opus"})).await;
    assert_eq!(put(&again, OPUS).await, 200);
    let completed = world.complete(&path).await.expect("200");
    assert_eq!(completed["media"][99]["status"], "uploaded");
    world.stack.bus().settle().await;
    assert_eq!(world.get(&path).await["status"], "completed");
}
