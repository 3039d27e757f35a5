//! AssemblyAI: "Transcribe audio", "Get transcript", "Upload a media file", "Webhooks for pre-recorded audio".

use capstan_domain::{ContentType, ProviderName, TranscriptionErrorCode};
use capstan_transcribe::{Audio, AudioLocation, Callback, CallbackFailure, Failure, Polled, Provider, Started};
use http::{HeaderMap, HeaderValue};
use insta::assert_json_snapshot;

use crate::stage::{job, provider};
use capstan_emulators::peer::{Peer, Reply};

pub(crate) const ID: &str = "9ea68fd3-f953-42c1-9742-976c447fb463";

fn assemblyai(url: &str) -> Provider {
    provider(ProviderName::AssemblyAi, url)
}

pub(crate) fn queued() -> Reply {
    Reply::json(
        200,
        format!(
            r#"{{"id": "{ID}", "audio_url": "https://assembly.ai/wildfires.mp3", "status": "queued", "text": null, "words": null, "utterances": null, "error": null}}"#
        ),
    )
}

/// As the reference has it.
pub(crate) const COMPLETED: &str = r#"{
  "id": "9ea68fd3-f953-42c1-9742-976c447fb463", "audio_url": "http://deleted_by_user", "status": "completed",
  "language_code": "en_uk", "language_confidence": 0.9959, "audio_duration": 281, "confidence": 0.9404,
  "text": "Smoke from hundreds. Good morning, professor.",
  "words": [{"confidence": 0.97465, "start": 250, "end": 650, "text": "Smoke", "channel": null, "speaker": "A"}],
  "utterances": [
    {"confidence": 0.93, "start": 250, "end": 1418, "speaker": "B", "channel": null, "text": "Smoke from hundreds.", "words": [
      {"confidence": 0.97465, "start": 250, "end": 650, "text": "Smoke", "speaker": "B"},
      {"confidence": 0.99999, "start": 730, "end": 1022, "text": "from", "speaker": "B"},
      {"confidence": 0.99844, "start": 1076, "end": 1418, "text": "hundreds.", "speaker": "B"}]},
    {"confidence": 0.91, "start": 28840, "end": 29950, "speaker": "A", "channel": null, "text": "Good morning, professor.", "words": [
      {"confidence": 0.91, "start": 28840, "end": 29000, "text": "Good", "speaker": "A"},
      {"confidence": 0.91, "start": 29000, "end": 29300, "text": "morning,", "speaker": "A"},
      {"confidence": 0.91, "start": 29300, "end": 29950, "text": "professor.", "speaker": "A"}]}
  ], "error": null, "speaker_labels": true, "webhook_status_code": null}"#;

#[tokio::test]
async fn the_order_is_that_of_the_reference() {
    let server = Peer::replying([queued(), queued()]).await;
    let mut job = job(&server.url);
    let started = assemblyai(&server.url).start(&job).await.unwrap();
    assert_eq!(started, Started::Awaiting(ID.parse().unwrap()));
    job.language = Some("en-GB".parse().unwrap());
    job.callback_url = None;
    job.diarization = false;
    assemblyai(&server.url).start(&job).await.unwrap();

    let seen = server.take_seen();
    assert_eq!(seen[0].line, "POST /v2/transcript");
    assert_eq!(seen[0].header("authorization"), Some("key-that-nobody-may-see"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    let mut order = seen[0].json();
    assert_eq!(order["webhook_auth_header_value"].as_str().unwrap().len(), 64);
    order["webhook_auth_header_value"] = "(token)".into();
    order["audio_url"] = order["audio_url"].as_str().unwrap().replace(&server.url, "https://s3").into();
    assert_json_snapshot!(order, @r#"
    {
      "audio_url": "https://s3/audio.opus?X-Amz-Signature=signature-that-nobody-may-see",
      "language_detection": true,
      "speaker_labels": true,
      "webhook_auth_header_name": "x-capstan-callback-token",
      "webhook_auth_header_value": "(token)",
      "webhook_url": "https://api.example.com/v1/transcription-callbacks/deepgram"
    }
    "#);
    let mut order = seen[1].json();
    order["audio_url"] = "(URL)".into();
    assert_json_snapshot!(order, @r#"
    {
      "audio_url": "(URL)",
      "language_code": "en_uk",
      "speaker_labels": false
    }
    "#);
}

#[tokio::test]
async fn a_piece_is_uploaded_before() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("chunk-0.flac");
    std::fs::write(&path, b"fLaC....").unwrap();
    let uploaded = r#"{"upload_url": "https://cdn.assemblyai.com/upload/f756988d-47e2-4ca3-96ce-04bb168f8f2a"}"#;
    let server = Peer::replying([Reply::json(200, uploaded), queued()]).await;
    let mut job = job(&server.url);
    job.audio = Audio { content_type: ContentType::AudioFlac, size_bytes: 8, location: AudioLocation::File(path) };
    assemblyai(&server.url).start(&job).await.unwrap();
    let seen = server.take_seen();
    assert_eq!((seen[0].line.as_str(), seen[0].text().as_str()), ("POST /v2/upload", "fLaC...."));
    assert_eq!(seen[1].json()["audio_url"], "https://cdn.assemblyai.com/upload/f756988d-47e2-4ca3-96ce-04bb168f8f2a");
}

#[tokio::test]
async fn polls_a_job_until_it_ends() {
    let server = Peer::replying([
        queued(),
        Reply::json(200, COMPLETED.replace("\"completed\"", "\"processing\"")),
        Reply::json(200, COMPLETED),
    ])
    .await;
    let assemblyai = assemblyai(&server.url);
    let id = ID.parse().unwrap();
    assert_eq!(assemblyai.poll(&id).await, Ok(Polled::Running));
    assert_eq!(assemblyai.poll(&id).await, Ok(Polled::Running));
    let Ok(Polled::Done(transcript)) = assemblyai.poll(&id).await else { panic!() };
    assert_eq!(server.take_seen()[2].line, format!("GET /v2/transcript/{ID}"));
    assert_json_snapshot!(transcript, @r#"
    {
      "language": "en-GB",
      "duration": 281.0,
      "segments": [
        {
          "text": "Smoke from hundreds.",
          "speaker": "Speaker 1",
          "start": 0.25,
          "end": 1.418,
          "confidence": 0.991
        },
        {
          "text": "Good morning, professor.",
          "speaker": "Speaker 2",
          "start": 28.84,
          "end": 29.95,
          "confidence": 0.91
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn without_diarization_the_words_are_joined_to_sentences() {
    let mut body: serde_json::Value = serde_json::from_str(COMPLETED).unwrap();
    body["utterances"] = serde_json::Value::Null;
    body["words"][0]["speaker"] = serde_json::Value::Null;
    let server = Peer::replying([Reply::json(200, body.to_string())]).await;
    let Ok(Polled::Done(transcript)) = assemblyai(&server.url).poll(&ID.parse().unwrap()).await else { panic!() };
    assert_eq!((transcript.full_text().as_str(), transcript.segments()[0].speaker), ("Smoke", None));
}

#[tokio::test]
async fn a_job_that_failed_says_why_and_shows_no_url() {
    for (words, code, message) in [
        ("Audio duration is too short.", TranscriptionErrorCode::AudioTooShort, "Audio duration is too short."),
        (
            "Download error, unable to download https://b.s3.amazonaws.com/k?X-Amz-Signature=signature-that-nobody-may-see. Please make sure the file exists.",
            TranscriptionErrorCode::ProcessingError,
            "Download error, unable to download (URL) Please make sure the file exists.",
        ),
    ] {
        let body = serde_json::json!({ "id": ID, "status": "error", "error": words });
        let server = Peer::replying([Reply::json(200, body.to_string())]).await;
        let failure = assemblyai(&server.url).poll(&ID.parse().unwrap()).await.unwrap_err();
        let Failure::Refused(error) = failure else { panic!("{failure}") };
        assert_eq!((error.code, error.message.as_str()), (code, message));
    }
}

#[tokio::test]
async fn a_callback_with_the_token_names_the_job_to_poll() {
    let server = Peer::answering(|_| queued()).await;
    let assemblyai = assemblyai(&server.url);
    let job = job(&server.url);
    assemblyai.start(&job).await.unwrap();
    let order = server.take_seen().remove(0).json();
    let token = HeaderValue::from_str(order["webhook_auth_header_value"].as_str().unwrap()).unwrap();
    let headers: HeaderMap =
        [(order["webhook_auth_header_name"].as_str().unwrap().parse().unwrap(), token)].into_iter().collect();

    for status in ["completed", "error"] {
        let body = serde_json::json!({ "transcript_id": ID, "status": status }).to_string();
        let read = || assemblyai.callback(&job.name, &headers, body.as_bytes());
        assert_eq!(read(), Ok(Callback::Ended(ID.parse().unwrap())));
        assert_eq!(read(), read());
        let unsigned = assemblyai.callback(&job.name, &HeaderMap::new(), body.as_bytes());
        assert_eq!(unsigned, Err(CallbackFailure::NotAuthentic));
    }
    for nonsense in ["", "{}", r#"{"transcript_id": "../../v2/account", "status": "completed"}"#] {
        let failure = assemblyai.callback(&job.name, &headers, nonsense.as_bytes()).unwrap_err();
        assert!(matches!(failure, CallbackFailure::Failed(Failure::Nonsense { .. })), "{nonsense}");
    }
}
