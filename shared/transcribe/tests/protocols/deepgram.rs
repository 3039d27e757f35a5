//! Deepgram: "Transcribe and analyze pre-recorded audio and video", "STT Callback", "Errors".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capstan_domain::{ContentType, Offset, ProviderName, TranscriptionErrorCode};
use capstan_transcribe::{Audio, AudioLocation, Callback, CallbackFailure, Failure, Job, Polled, Provider, Started};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use insta::assert_json_snapshot;

use crate::stage::{done, job, provider};
use capstan_emulators::peer::{Peer, Reply};

fn deepgram(url: &str) -> Provider {
    provider(ProviderName::Deepgram, url)
}

fn accepted() -> Reply {
    Reply::json(200, r#"{"request_id": "a847f427-4ad5-4d67-9b95-db801e58251c"}"#)
}

/// As the reference has it, with diarization and utterances.
pub(crate) const LISTENED: &str = r#"{
  "metadata": {"transaction_key": "deprecated", "request_id": "a847f427-4ad5-4d67-9b95-db801e58251c",
    "sha256": "154e291ecfa8be6ab8343560bcc109008fa7853eb5372533e8efdefc9b504c33", "created": "2024-05-12T18:57:13.426Z",
    "duration": 25.933313, "channels": 1, "models": ["30089e05-99d1-4376-b32e-c263170674af"],
    "model_info": {"30089e05-99d1-4376-b32e-c263170674af": {"name": "2-general-nova", "version": "2024-01-09.29447", "arch": "nova-2"}}},
  "results": {
    "channels": [{"alternatives": [{"transcript": "Hello. Thanks for calling. Hi.", "confidence": 0.99,
      "words": [{"word": "hello", "start": 0.08, "end": 0.32, "confidence": 0.9975977, "punctuated_word": "Hello."}]}],
      "detected_language": "en", "language_confidence": 0.97}],
    "utterances": [
      {"start": 0.08, "end": 1.6, "confidence": 0.98, "channel": 0, "transcript": "Hello. Thanks for calling.", "speaker": 0, "id": "1",
       "words": [
        {"word": "hello", "start": 0.08, "end": 0.32, "confidence": 0.9975977, "speaker": 0, "speaker_confidence": 0.58, "punctuated_word": "Hello."},
        {"word": "thanks", "start": 0.32, "end": 0.79999995, "confidence": 0.9921875, "speaker": 0, "speaker_confidence": 0.58, "punctuated_word": "Thanks"},
        {"word": "for", "start": 0.8, "end": 1.0, "confidence": 0.99, "speaker": 0, "speaker_confidence": 0.58, "punctuated_word": "for"},
        {"word": "calling", "start": 1.0, "end": 1.6, "confidence": 0.99, "speaker": 0, "speaker_confidence": 0.58, "punctuated_word": "calling."}]},
      {"start": 2.5, "end": 2.9, "confidence": 0.91, "channel": 0, "transcript": "Hi.", "speaker": 1, "id": "2",
       "words": [{"word": "hi", "start": 2.5, "end": 2.9, "confidence": 0.91, "speaker": 1, "speaker_confidence": 0.7, "punctuated_word": "Hi."}]}
    ]}}"#;

#[tokio::test]
async fn a_request_with_a_callback_is_that_of_the_reference() {
    let server = Peer::replying([accepted()]).await;
    let started = deepgram(&server.url).start(&job(&server.url)).await.unwrap();
    assert_eq!(started, Started::Awaiting("a847f427-4ad5-4d67-9b95-db801e58251c".parse().unwrap()));

    let seen = server.take_seen().remove(0);
    assert_eq!(seen.header("authorization"), Some("Token key-that-nobody-may-see"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    let line = percent_encoding::percent_decode_str(&seen.line).decode_utf8().unwrap().replace('&', "\n");
    let token = line.split_once("capstan:").unwrap().1.split_once('@').unwrap().0;
    assert_eq!(token.len(), 64);
    insta::assert_snapshot!(line.replace(token, "(token)"), @r"
    POST /v1/listen?model=nova-3
    punctuate=true
    smart_format=true
    utterances=true
    diarize=true
    detect_language=true
    callback=https://capstan:(token)@api.example.com/v1/transcription-callbacks/deepgram
    ");
    let url = format!("{}/audio.opus?X-Amz-Signature=signature-that-nobody-may-see", server.url);
    assert_eq!(seen.json(), serde_json::json!({ "url": url }));
}

#[tokio::test]
async fn without_a_callback_the_answer_is_the_transcript() {
    let server = Peer::replying([Reply::json(200, LISTENED)]).await;
    let mut job = job(&server.url);
    job.callback_url = None;
    job.language = Some("pt-BR".parse().unwrap());
    job.diarization = false;
    let transcript = done(deepgram(&server.url).start(&job).await);
    let line = server.take_seen().remove(0).line;
    assert!(
        line.contains("language=pt%2DBR") && line.contains("diarize=false") && !line.contains("callback"),
        "{line}"
    );
    assert_json_snapshot!(transcript, @r#"
    {
      "language": "en",
      "duration": 25.933,
      "segments": [
        {
          "text": "Hello. Thanks for calling.",
          "speaker": "Speaker 1",
          "start": 0.08,
          "end": 1.6,
          "confidence": 0.9924
        },
        {
          "text": "Hi.",
          "speaker": "Speaker 2",
          "start": 2.5,
          "end": 2.9,
          "confidence": 0.91
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn long_audio_is_polled_instead_of_called_back() {
    let server = Peer::replying([Reply::json(200, LISTENED)]).await;
    let mut job = job(&server.url);
    job.duration = Offset::from_milliseconds(3_600_001);
    done(deepgram(&server.url).start(&job).await);
    assert!(!server.take_seen()[0].line.contains("callback"));
}

#[tokio::test]
async fn a_chunk_is_sent_unchanged() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("chunk-0.flac");
    std::fs::write(&path, b"fLaC....").unwrap();
    let server = Peer::replying([accepted()]).await;
    let mut job = job(&server.url);
    job.audio = Audio { content_type: ContentType::AudioFlac, size_bytes: 8, location: AudioLocation::File(path) };
    deepgram(&server.url).start(&job).await.unwrap();
    let seen = server.take_seen().remove(0);
    assert_eq!((seen.header("content-type"), seen.header("content-length")), (Some("audio/flac"), Some("8")));
    assert_eq!(seen.text(), "fLaC....");
}

/// The headers of Deepgram's callback, as the request asked for them.
async fn callback_headers(server: &Peer, deepgram: &Provider, job: &Job) -> HeaderMap {
    deepgram.start(job).await.unwrap();
    let line = server.take_seen().remove(0).line;
    let url = percent_encoding::percent_decode_str(line.split("callback=").nth(1).unwrap())
        .decode_utf8()
        .unwrap()
        .into_owned();
    let credentials = url.strip_prefix("https://").unwrap().split_once('@').unwrap().0;
    let value = format!("Basic {}", STANDARD.encode(credentials));
    [(AUTHORIZATION, HeaderValue::from_str(&value).unwrap())].into_iter().collect()
}

#[tokio::test]
async fn a_repeated_callback_of_the_job_is_accepted() {
    let server = Peer::answering(|_| accepted()).await;
    let deepgram = deepgram(&server.url);
    let mine = job(&server.url);
    let mut others = mine.clone();
    others.name = "rec_01a.txn_01c".parse().unwrap();
    let headers = callback_headers(&server, &deepgram, &mine).await;

    let read = |headers: &HeaderMap| deepgram.callback(&mine.name, headers, LISTENED.as_bytes());
    let Ok(Callback::Done(transcript)) = read(&headers) else { panic!() };
    assert_eq!(transcript.full_text(), "Hello. Thanks for calling. Hi.");
    assert_eq!(read(&headers), Ok(Callback::Done(transcript)));
    // A second attempt at the job has the same token, so that a late callback of the first is welcome.
    assert_eq!(callback_headers(&server, &deepgram, &mine).await, headers);

    let foreign = callback_headers(&server, &deepgram, &others).await;
    for headers in [foreign, HeaderMap::new()] {
        assert_eq!(read(&headers), Err(CallbackFailure::NotAuthentic));
    }
}

#[tokio::test]
async fn a_callback_can_tell_of_a_failure_or_make_no_sense() {
    let server = Peer::answering(|_| accepted()).await;
    let deepgram = deepgram(&server.url);
    let job = job(&server.url);
    let headers = callback_headers(&server, &deepgram, &job).await;
    let read = |body: &str| deepgram.callback(&job.name, &headers, body.as_bytes()).unwrap_err();
    let said = r#"{"err_code": "Bad Request", "err_msg": "Bad Request: failed to process audio: corrupt or unsupported data", "request_id": "1"}"#;
    let CallbackFailure::Failed(Failure::Refused(error)) = read(said) else { panic!() };
    assert_eq!(error.code, TranscriptionErrorCode::AudioCorrupt);
    for nonsense in ["", "<html>", "{}", "[]", &LISTENED[..LISTENED.len() - 1], &LISTENED.replace("0.08", "-1")] {
        assert!(matches!(read(nonsense), CallbackFailure::Failed(Failure::Nonsense { .. })), "{nonsense}");
    }
}

#[tokio::test]
async fn polling_is_not_supported() {
    let polled = deepgram("http://127.0.0.1:9").poll(&"1".parse().unwrap()).await;
    assert_eq!(polled, Ok(Polled::OnlyByCallback));
}

#[tokio::test]
async fn a_refusal_has_deepgrams_message() {
    for (body, code, words) in [
        (
            r#"{"err_code": "Bad Request", "err_msg": "Bad Request: failed to process audio: corrupt or unsupported data", "request_id": "1"}"#,
            TranscriptionErrorCode::AudioCorrupt,
            "Bad Request: failed to process audio: corrupt or unsupported data",
        ),
        (
            r#"{"category": "INVALID_JSON", "message": "Invalid JSON submitted.", "details": "Json deserialize error: missing field", "request_id": "1"}"#,
            TranscriptionErrorCode::ProcessingError,
            "Json deserialize error: missing field",
        ),
    ] {
        let server = Peer::replying([Reply::json(400, body)]).await;
        let failure = deepgram(&server.url).start(&job(&server.url)).await.unwrap_err();
        let Failure::Refused(error) = failure else { panic!("{failure}") };
        assert_eq!((error.code, error.message.as_str()), (code, words));
    }
}
