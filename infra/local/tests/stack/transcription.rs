//! Transcription over the whole stack: HTTP in, providers that speak their protocols, events that come twice or never.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use capstan_emulators::peer::{Peer, Reply, Seen};
use capstan_local::demo::{self, Parties, Upload};
use capstan_test_environment::{SAID, listened, provider_variables, transcribing};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::POLLS;
use crate::world::{LATER, OPUS, World, YEAR, answer, put};

/// Forty seconds of speech.
const SPOKEN: &[u8] = include_bytes!("../../sample/spoken.ogg");

/// A stack that is deployed with this provider at that server.
async fn world(provider: &'static str, peer: &Peer, more: &[(&str, &str)]) -> World {
    let mut variables: BTreeMap<_, _> =
        provider_variables(provider, &peer.url).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    World::with(|options| options.variables = variables).await
}

async fn want_all(world: &World) {
    let body = json!({"transcription": {"automatic": true}});
    world.call(Method::PUT, "/v1/settings", Some(&body)).await.expect("200");
}

/// The newest transcription of a recording; null when there is none.
async fn transcription_of(world: &World, recording: &str) -> Value {
    match world.get(recording).await["transcription_id"].as_str() {
        Some(id) => world.get(&format!("/v1/transcriptions/{id}")).await,
        None => Value::Null,
    }
}

fn published(world: &World, what: &str) -> usize {
    let events = world.stack.emulators().events();
    events.iter().filter(|event| event.event["detail-type"] == what).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automatic_transcription_is_created_once() {
    let peer = Peer::answering(transcribing).await;
    let world = world("whisper", &peer, &[]).await;
    let before = world.uploaded("audio/opus", OPUS).await;
    world.stack.bus().settle().await;
    assert_eq!(transcription_of(&world, &before).await, Value::Null, "nobody asked for it");
    want_all(&world).await;
    world.stack.bus().hold();
    let recording = world.uploaded("audio/opus", OPUS).await;
    for _ in 0..20 {
        world.stack.bus().settle().await;
        for delivery in world.stack.bus().take_held() {
            let (one, two) = tokio::join!(world.stack.bus().deliver(&delivery), world.stack.bus().deliver(&delivery));
            one.unwrap();
            two.unwrap();
        }
    }
    world.stack.bus().stop_holding();
    world.sweep().await;
    let transcription = transcription_of(&world, &recording).await;
    assert_eq!((&transcription["status"], &transcription["full_text"]), (&"completed".into(), &SAID.join(" ").into()));
    assert_eq!(peer.take_seen().len(), 1);
    assert_eq!([published(&world, "transcription.started"), published(&world, "transcription.completed")], [1, 1]);
    world.advance(YEAR);
    world.sweep().await;
    assert_eq!(world.due_within(0).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_events_cost_time_and_nothing_else() {
    let peer = Peer::answering(transcribing).await;
    let world = world("whisper", &peer, &[]).await;
    want_all(&world).await;
    world.stack.bus().hold();
    let recording = world.uploaded("audio/opus", OPUS).await;
    // Every event is lost except those that run-due-work publishes again.
    for _ in 0..6 {
        world.advance(LATER);
        world.stack.bus().settle().await;
        let _ = world.stack.bus().take_held();
        world.stack.bus().tick().await.unwrap();
        world.stack.bus().settle().await;
        for delivery in world.stack.bus().take_held() {
            let _ = world.stack.bus().deliver(&delivery).await;
        }
    }
    world.stack.bus().stop_holding();
    let transcription = transcription_of(&world, &recording).await;
    assert_eq!(transcription["status"], "completed");
    assert_eq!(peer.take_seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_audio_is_transcribed() {
    let peer = Peer::answering(transcribing).await;
    let world = world("whisper", &peer, &[]).await;
    want_all(&world).await;
    let recording = world.create().await;
    let audio = world.sign(&recording, json!({"content_type": "audio/opus"})).await;
    let picture = world.sign(&recording, json!({"content_type": "image/png"})).await;
    put(&picture, include_bytes!("../../../../shared/image/fixtures/photo.png")).await;
    world.complete(&recording).await.expect("200");
    world.stack.bus().settle().await;
    assert_eq!(world.get(&recording).await["status"], "completed");
    assert_eq!(transcription_of(&world, &recording).await, Value::Null, "a picture says nothing");
    put(&audio, OPUS).await;
    world.stack.bus().settle().await;
    assert_eq!(transcription_of(&world, &recording).await["status"], "completed");
}

/// The number of the chunk that a server was given, which is its answer too.
fn chunk_of(asked: &Seen) -> usize {
    asked.header("content-type").unwrap().rsplit('.').next().unwrap().parse().unwrap()
}

fn numbered(asked: &Seen) -> Reply {
    let number = chunk_of(asked);
    let segment = json!({"start": 0.5, "end": 1.5, "text": format!("chunk {number}")});
    Reply::json(200, json!({"text": format!("chunk {number}"), "language": "en", "segments": [segment]}).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_chunk_of_long_audio_affects_no_other() {
    let given = Arc::new(Mutex::new(Vec::new()));
    let chunks = Arc::clone(&given);
    let peer = Peer::answering(move |asked| {
        let number = chunk_of(asked);
        let mut given = chunks.lock().unwrap();
        given.push(number);
        match given.iter().filter(|known| **known == number).count() {
            1 if number == 2 => Reply::json(429, "{}").with("retry-after", "3600"),
            _ => Reply::After(Duration::from_millis(50), Box::new(numbered(asked))),
        }
    })
    .await;
    let world = world("whisper", &peer, &[("WHISPER_LONGEST_SECONDS", "10")]).await;
    let recording = world.uploaded("audio/ogg", SPOKEN).await;
    world.stack.bus().settle().await;
    let asked = world.post(&format!("{recording}/transcribe"), json!({})).await.expect("201");
    world.stack.bus().settle().await;
    let waiting = transcription_of(&world, &recording).await;
    assert_eq!((&waiting["id"], &waiting["status"]), (&asked["id"], &"processing".into()));
    assert!(peer.most_at_once() <= 4);
    world.advance(3700);
    world.sweep().await;
    let transcription = transcription_of(&world, &recording).await;
    assert_eq!(transcription["status"], "completed", "{transcription}");
    let mut given = given.lock().unwrap().clone();
    given.sort_unstable();
    let count = *given.last().unwrap() + 1;
    let mut once: Vec<_> = (0..count).chain([2]).collect();
    once.sort_unstable();
    assert_eq!(given, once, "each chunk once, and the one that failed twice");
    let segments = transcription["segments"].as_array().unwrap();
    let said: Vec<_> = segments.iter().map(|segment| segment["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(said, (0..count).map(|number| format!("chunk {number}")).collect::<Vec<_>>());
    let starts: Vec<_> = segments.iter().map(|segment| segment["start"].as_f64().unwrap()).collect();
    assert!(starts.is_sorted() && starts[0] == 0.5 && count > 3, "{starts:?}");
    let length = world.get(&recording).await["duration_ms"].as_u64().unwrap();
    assert!(transcription["duration_ms"].as_u64().unwrap().abs_diff(length) <= 1, "{transcription}");
    let kept = world.objects().await;
    assert!(!kept.iter().any(|key| key.contains("/transcriptions/")), "no chunk is left: {kept:?}");
}

/// Calls back, as a provider does.
pub(crate) async fn call_back(url: &str, said: &Value) -> u16 {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (credentials, rest) = rest.split_once('@').unwrap();
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials);
    let request = Request::post(format!("{scheme}://{rest}"))
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/json");
    answer(request.body(Full::from(Bytes::from(said.to_string()))).unwrap()).await.status
}

/// The callback URL that Deepgram was given.
pub(crate) fn callback_of(asked: &Seen) -> String {
    let query = asked.line.split_once("callback=").unwrap().1;
    let encoded = query.split('&').next().unwrap();
    percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_may_repeat_its_callback() {
    let peer = Peer::answering(transcribing).await;
    let world = world("deepgram", &peer, &[]).await;
    want_all(&world).await;
    let recording = world.uploaded("audio/opus", OPUS).await;
    world.stack.bus().settle().await;
    let asked = peer.take_seen();
    assert_eq!(asked.len(), 1);
    let url = callback_of(&asked[0]);
    assert_eq!(call_back(&url.replacen("capstan:", "capstan:0", 1), &listened()).await, 401);
    assert_eq!(transcription_of(&world, &recording).await["status"], "processing");
    let calls = futures_util::future::join_all((0..10).map(|_| async { call_back(&url, &listened()).await })).await;
    assert!(calls.iter().all(|status| *status == 204), "{calls:?}");
    world.stack.bus().settle().await;
    let transcription = transcription_of(&world, &recording).await;
    assert_eq!((&transcription["status"], &transcription["text"]), (&"completed".into(), &SAID.join(" ").into()));
    assert_eq!(transcription["segments"][1]["speaker"], "Speaker 2");
    assert_eq!(published(&world, "transcription.completed"), 1);
    world.call(Method::DELETE, &recording, None).await.expect("204");
    assert_eq!(call_back(&url, &listened()).await, 204, "no event is published for a deleted transcription");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_recording_takes_its_transcriptions_with_it() {
    let text = "all work and no play ".repeat(20_000);
    let said = json!({"text": text, "duration": 2.5}).to_string();
    let peer = Peer::answering(move |_| Reply::json(200, said.clone())).await;
    let world = world("whisper", &peer, &[]).await;
    want_all(&world).await;
    let recording = world.uploaded("audio/opus", OPUS).await;
    world.stack.bus().settle().await;
    let id = world.get(&recording).await["transcription_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/transcriptions/{id}");
    assert_eq!(world.get(&path).await["text"], text.trim());
    assert!(world.objects().await.iter().any(|key| key.ends_with(&format!("{id}.json"))));
    world.call(Method::DELETE, &recording, None).await.expect("204");
    world.call(Method::GET, &path, None).await.expect("404 not_found");
    assert_eq!(world.get("/v1/transcriptions").await["data"], json!([]));
    world.sweep().await;
    assert!(world.objects().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_job_delays_no_other() {
    let peer = Peer::answering(|asked| match asked.text().contains("\r\nxx\r\n") {
        true => Reply::Slow(Duration::from_secs(30)),
        false => transcribing(asked),
    })
    .await;
    let world = world("whisper", &peer, &[]).await;
    let mut recordings = Vec::new();
    for _ in 0..4 {
        recordings.push(world.uploaded("audio/opus", OPUS).await);
    }
    world.stack.bus().settle().await;
    // The test server never ends the job with this language.
    world.post(&format!("{}/transcribe", recordings[0]), json!({"language": "xx"})).await.expect("201");
    for recording in &recordings[1..] {
        world.post(&format!("{recording}/transcribe"), json!({})).await.expect("201");
    }
    for recording in &recordings[1..] {
        for _ in 0..POLLS {
            if transcription_of(&world, recording).await["status"] == "completed" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(transcription_of(&world, recording).await["status"], "completed");
    }
    assert_eq!(transcription_of(&world, &recordings[0]).await["status"], "processing");
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_shows_a_transcript_with_a_provider() {
    let peer = Peer::answering(transcribing).await;
    let transcribed = world("whisper", &peer, &[]).await;
    let silent = World::with(|_| ()).await;
    for (world, expected) in [(&transcribed, Some(SAID.join(" "))), (&silent, None)] {
        let parties = Parties {
            url: world.stack.url(),
            device_token: world.project.device_token.clone(),
            api_key: world.project.api_key.clone(),
        };
        let copies = tempfile::tempdir().unwrap();
        let outcome = demo::run(&parties, &Upload::of(None).await.unwrap(), copies.path()).await.unwrap();
        let text = outcome.transcription.map(|transcription| transcription["text"].as_str().unwrap().to_owned());
        assert_eq!(text, expected);
    }
}
