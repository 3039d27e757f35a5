use capstan_domain::{AudioFacts, Facts, Findings, ProcessedMedia, Rendition, RenditionKind};
use capstan_domain::{ContentType, LeaseId};
use capstan_lambda::Function;
use capstan_test_environment::{DEVICE_TOKEN, TestEnvironment, call, event, with_body, with_credential, with_query};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

async fn post(function: &Function, body: Value) -> capstan_test_environment::Answer {
    call(function, with_body(event("create-download-url"), body)).await
}

async fn get(function: &Function, query: &[(&str, &str)]) -> capstan_test_environment::Answer {
    let mut event = with_query(event("create-download-url"), query);
    event["requestContext"]["http"]["method"] = json!("GET");
    call(function, event).await
}

#[tokio::test]
async fn answers_with_a_url_to_the_file() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    let answer = post(&function(&environment), json!({"media_id": "med_1"})).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body["download_url"].as_str().unwrap().contains("/med_1/audio.opus?"));
    insta::assert_json_snapshot!(answer.body, {".download_url" => "[url]"}, @r#"
    {
      "content_type": "audio/opus",
      "download_url": "[url]",
      "expires_at": "2024-11-20T10:00:00Z",
      "expires_in": 3600,
      "file_size_bytes": 5,
      "media_id": "med_1"
    }
    "#);
}

#[tokio::test]
async fn reads_the_credential_beside_the_recording_and_signs_without_a_call() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    post(&function(&environment), json!({"media_id": "med_1"})).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}

#[tokio::test]
async fn returns_the_first_audio_or_the_first_file() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let recording = environment.recording().holding(ContentType::ImagePng, "png").awaiting(ContentType::AudioWav);
    recording.holding(ContentType::AudioOpus, "opus").pending().await;
    assert_eq!(get(&function, &[]).await.body["media_id"], "med_3");
    assert_eq!(get(&function, &[("media_id", "med_1")]).await.body["media_id"], "med_1");
    environment.recording().id("rec_1").holding(ContentType::ImagePng, "png").pending().await;
    let mut event = capstan_test_environment::with_id(event("create-download-url"), "rec_1");
    event["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(call(&function, event).await.body["media_id"], "med_1");
}

#[tokio::test]
async fn a_rendition_is_fetched_by_its_id() {
    let environment = TestEnvironment::start().await;
    let (claimed, lease): (_, LeaseId) = environment.recording().holding(ContentType::AudioWav, "x").processing().await;
    let media_id = TestEnvironment::media_id("med_1");
    let facts = AudioFacts {
        duration_ms: 1000,
        codec: "opus".into(),
        sample_rate_hz: 16_000,
        channels: 1,
        loudness_lufs: None,
    };
    let peaks = Rendition::new(&media_id, RenditionKind::Peaks, 9);
    let findings = Findings { facts: Facts::Audio(facts), renditions: vec![peaks], captured_at: None };
    let etag = claimed.media[&media_id].last_object().unwrap().etag.clone();
    let outcome = ProcessedMedia { media_id, etag, outcome: Ok(findings) };
    environment.store.finish(&claimed, &lease, Some(&outcome), environment.now()).await.unwrap();
    let answer = post(&function(&environment), json!({"rendition_id": "ren_1peaks"})).await;
    assert_eq!((answer.status, &answer.body["content_type"]), (200, &json!("application/json")));
    assert_eq!(answer.body["rendition_id"], "ren_1peaks");
    assert!(answer.body["download_url"].as_str().unwrap().contains("/med_1/renditions/peaks.json?"));
}

#[tokio::test]
async fn a_filename_becomes_the_content_disposition() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    let answer =
        post(&function(&environment), json!({"media_id": "med_1", "download_filename": "Gespräch.opus"})).await;
    let url = answer.body["download_url"].as_str().unwrap().to_owned();
    assert!(url.contains("response-content-disposition=attachment"), "{url}");
    let long = json!({"media_id": "med_1", "download_filename": "x".repeat(256)});
    assert_eq!(post(&function(&environment), long).await.body["error"]["param"], "download_filename");
}

#[tokio::test]
async fn a_pending_or_unknown_media_file_is_refused() {
    let environment = TestEnvironment::start().await;
    environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let function = function(&environment);
    for (body, status, code) in [
        (json!({"media_id": "med_1"}), 400, "media_not_uploaded"),
        (json!({"media_id": "med_2"}), 404, "not_found"),
        (json!({"rendition_id": "ren_2"}), 404, "not_found"),
        (json!({}), 400, "invalid_request"),
        (json!({"media_id": "../x"}), 400, "invalid_request"),
    ] {
        let answer = post(&function, body.clone()).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &json!(code)), "{body}");
    }
    assert_eq!(get(&function, &[]).await.body["error"]["code"], "media_not_uploaded");
    assert_eq!(call(&function, with_credential(event("create-download-url"), DEVICE_TOKEN)).await.status, 403);
}
