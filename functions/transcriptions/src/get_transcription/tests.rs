use capstan_domain::{
    Offset, Segment, Speaker, Transcript, TranscriptionError, TranscriptionErrorCode, TranscriptionOptions,
};
use capstan_lambda::Function;
use capstan_test_environment::{TestEnvironment, call, event, with_credential, with_id};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn answers_with_the_transcription_and_its_text() {
    let environment = TestEnvironment::start().await;
    environment.transcription().completed(&TestEnvironment::transcript(1)).await;
    let answer = call(&function(&environment), event("get-transcription")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "completed_at": "2024-11-20T09:00:00Z",
      "created_at": "2024-11-20T09:00:00Z",
      "diarization": true,
      "duration_ms": 2500,
      "error": null,
      "full_text": "Shall we begin? Yes, let us begin.",
      "id": "txn_01jd4fh7m0e5b8r2v9c6k3w1qz",
      "language": "en",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "provider": "whisper",
      "recording_id": "rec_01jd4dny168n1mks12y199e68y",
      "segments": [
        {
          "confidence": 0.97,
          "end": 1.24,
          "speaker": "Speaker 1",
          "start": 0.0,
          "text": "Shall we begin?"
        },
        {
          "confidence": 0.97,
          "end": 2.49,
          "speaker": "Speaker 2",
          "start": 1.25,
          "text": "Yes, let us begin."
        }
      ],
      "started_at": "2024-11-20T09:00:00Z",
      "status": "completed",
      "text": "Shall we begin? Yes, let us begin.",
      "updated_at": "2024-11-20T09:00:00Z",
      "word_count": 7
    }
    "#);
}

#[tokio::test]
async fn text_is_null_until_completed_and_failures_have_an_error() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let options = TranscriptionOptions { language: Some("pt-BR".parse().unwrap()), ..TranscriptionOptions::default() };
    let (claimed, _) = environment.transcription().asking(options).processing().await;
    environment.advance(60);
    let answer = call(&function, event("get-transcription")).await;
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "completed_at": null,
      "created_at": "2024-11-20T09:00:00Z",
      "diarization": true,
      "duration_ms": null,
      "error": null,
      "full_text": null,
      "id": "txn_01jd4fh7m0e5b8r2v9c6k3w1qz",
      "language": "pt-BR",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "provider": null,
      "recording_id": "rec_01jd4dny168n1mks12y199e68y",
      "segments": null,
      "started_at": "2024-11-20T09:00:00Z",
      "status": "processing",
      "text": null,
      "updated_at": "2024-11-20T09:00:00Z",
      "word_count": null
    }
    "#);
    let error = TranscriptionError::new(TranscriptionErrorCode::AudioTooShort, "Less than a second was said.");
    environment.store.fail_transcription(&claimed.id, &error, environment.now()).await.unwrap();
    let failed = call(&function, event("get-transcription")).await.body;
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["error"], json!({"code": "audio_too_short", "message": "Less than a second was said."}));
    assert_eq!(failed["completed_at"], "2024-11-20T09:01:00Z");
}

#[tokio::test]
async fn reads_the_credential_and_the_transcription_once_each_and_a_long_text_from_s3() {
    let environment = TestEnvironment::start().await;
    environment.transcription().completed(&TestEnvironment::transcript(10)).await;
    let function = function(&environment);
    call(&function, event("get-transcription")).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
    let long = TestEnvironment::transcript(3_000);
    environment.transcription().id("txn_long").completed(&long).await;
    environment.advance(10);
    let answer = call(&function, with_id(event("get-transcription"), "txn_long")).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem", "s3:GetObject"]);
    assert!(answer.body.to_string().len() > 300_000);
    assert_eq!(answer.body["segments"], serde_json::to_value(long.segments()).unwrap());
    assert_eq!(answer.body["text"], json!(long.full_text()));
}

/// Sound of which every minute has so many words.
fn speech(minutes: u64, words: usize) -> Transcript {
    let segment = |minute: u64| Segment {
        text: vec!["spoken"; words].join(" "),
        speaker: Some(Speaker::from_index(0)),
        start: Offset::from_milliseconds(minute * 60_000),
        end: Offset::from_milliseconds(minute * 60_000 + 59_000),
        confidence: None,
    };
    Transcript::new(None, Offset::from_milliseconds(minutes * 60_000), (0..minutes).map(segment).collect())
}

#[tokio::test]
async fn a_large_response_omits_segments_first() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let known = |body: &Value| ["segments", "full_text", "text"].map(|field| !body[field].is_null());
    for (id, words, expected) in
        [("txn_1", 100, [true, true, true]), ("txn_2", 150, [false, true, true]), ("txn_3", 300, [false, false, false])]
    {
        environment.transcription().id(id).completed(&speech(2_000, words)).await;
        let answer = call(&function, with_id(event("get-transcription"), id)).await;
        assert_eq!(known(&answer.body), expected, "{words}");
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")));
        assert_eq!(answer.body["word_count"], 2_000 * words);
        assert!(answer.body.to_string().len() <= 5_000_000);
    }
}

#[tokio::test]
async fn foreign_and_unknown_transcriptions_are_404() {
    let environment = TestEnvironment::start().await;
    environment.transcription().pending().await;
    let function = function(&environment);
    for credential in environment.other_tenants().await {
        let answer = call(&function, with_credential(event("get-transcription"), &credential)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &json!("not_found")));
    }
    for id in ["txn_unknown", "rec_1", "nonsense"] {
        assert_eq!(call(&function, with_id(event("get-transcription"), id)).await.status, 404, "{id}");
        let event = with_id(with_credential(event("get-transcription"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}
