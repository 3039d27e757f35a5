//! OpenAI: "Create transcription", and those who do as OpenAI does.

use std::sync::Arc;
use std::time::Duration;

use capstan_domain::{ContentType, ProviderName, TranscriptionErrorCode};
use capstan_transcribe::{Audio, AudioLocation, Failure, Http, Provider, Providers};
use insta::assert_json_snapshot;
use tokio::sync::Notify;

use crate::stage::{AUDIO, aws, done, job, provider};
use capstan_emulators::peer::{Peer, Reply};

fn whisper(url: &str) -> Provider {
    provider(ProviderName::Whisper, url)
}

fn text_only() -> Reply {
    Reply::json(200, r#"{"text": "Hello."}"#)
}

#[tokio::test]
async fn the_form_is_that_of_the_reference() {
    let server = Peer::replying([Reply::bytes(AUDIO), text_only()]).await;
    let mut job = job(&server.url);
    job.language = Some("en-GB".parse().unwrap());
    done(whisper(&server.url).start(&job).await);

    let seen = server.take_seen();
    assert_eq!(seen[1].line, "POST /v1/audio/transcriptions");
    assert_eq!(seen[1].header("authorization"), Some("Bearer key-that-nobody-may-see"));
    assert_eq!(seen[1].header("content-type"), Some("multipart/form-data; boundary=capstan.rec_01a.txn_01b"));
    assert_eq!(seen[1].header("content-length"), Some(seen[1].body.len().to_string().as_str()));
    assert_eq!(seen[1].header("transfer-encoding"), None);
    insta::assert_snapshot!(seen[1].text().replace("\r\n", "\n").replace('\0', "."), @r#"
    --capstan.rec_01a.txn_01b
    Content-Disposition: form-data; name="model"

    whisper-1
    --capstan.rec_01a.txn_01b
    Content-Disposition: form-data; name="language"

    en
    --capstan.rec_01a.txn_01b
    Content-Disposition: form-data; name="response_format"

    verbose_json
    --capstan.rec_01a.txn_01b
    Content-Disposition: form-data; name="timestamp_granularities[]"

    segment
    --capstan.rec_01a.txn_01b
    Content-Disposition: form-data; name="file"; filename="audio.ogg"
    Content-Type: audio/opus

    OggS..hello
    --capstan.rec_01a.txn_01b--
    "#);
}

/// As OpenAI's reference has it.
const OPENAI: &str = r#"{
  "task": "transcribe", "language": "english", "duration": 8.470000267028809,
  "text": "The beach was a popular spot on a hot summer day. People were swimming in the ocean.",
  "segments": [
    {"id": 0, "seek": 0, "start": 0.0, "end": 3.319999933242798,
     "text": " The beach was a popular spot on a hot summer day.",
     "tokens": [50364, 440, 7534], "temperature": 0.0, "avg_logprob": -0.2860786020755768,
     "compression_ratio": 1.2363636493682861, "no_speech_prob": 0.00985979475080967},
    {"id": 1, "seek": 0, "start": 3.319999933242798, "end": 8.470000267028809, "text": " People were swimming in the ocean.",
     "tokens": [50530], "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.2, "no_speech_prob": 0.009}
  ],
  "usage": {"type": "duration", "seconds": 9}
}"#;

#[tokio::test]
async fn the_segments_of_openai_are_understood() {
    let server = Peer::replying([Reply::bytes(AUDIO), Reply::json(200, OPENAI)]).await;
    let transcript = done(whisper(&server.url).start(&job(&server.url)).await);
    assert_json_snapshot!(transcript, @r#"
    {
      "language": "en",
      "duration": 8.47,
      "segments": [
        {
          "text": "The beach was a popular spot on a hot summer day.",
          "speaker": null,
          "start": 0.0,
          "end": 3.32,
          "confidence": 0.7512
        },
        {
          "text": "People were swimming in the ocean.",
          "speaker": null,
          "start": 3.32,
          "end": 8.47,
          "confidence": 0.9048
        }
      ]
    }
    "#);
}

/// As the server of whisper.cpp writes it.
const WHISPER_CPP: &str = r#"{"task":"transcribe","language":"german","duration":2.5,"text":" Guten Tag.\n",
 "segments":[{"id":0,"text":" Guten Tag.","start":0.0,"end":2.5,"tokens":[12],
   "words":[{"word":" Guten","start":0.0,"end":1.0,"t_dtw":-1,"probability":0.9}],"temperature":0.0,"avg_logprob":null}]}"#;

#[tokio::test]
async fn the_segments_of_whisper_cpp_are_understood() {
    let server = Peer::replying([Reply::bytes(AUDIO), Reply::json(200, WHISPER_CPP)]).await;
    let transcript = done(whisper(&server.url).start(&job(&server.url)).await);
    assert_eq!(transcript.language.as_ref().unwrap().as_str(), "de");
    assert_eq!(transcript.full_text(), "Guten Tag.");
    assert_eq!(transcript.segments()[0].confidence, None);
}

#[tokio::test]
async fn a_text_without_times_is_one_segment_of_the_whole_length() {
    let server = Peer::replying([Reply::bytes(AUDIO), text_only()]).await;
    let transcript = done(whisper(&server.url).start(&job(&server.url)).await);
    assert_json_snapshot!(transcript.segments(), @r#"
    [
      {
        "text": "Hello.",
        "speaker": null,
        "start": 0.0,
        "end": 9.0,
        "confidence": null
      }
    ]
    "#);
}

const NO_VERBOSE: &str = r#"{"error": {
  "message": "response_format 'verbose_json' is not compatible with model 'gpt-4o-transcribe-api-ev3'. Use 'json' or 'text' instead.",
  "type": "invalid_request_error", "param": "response_format", "code": "unsupported_value"}}"#;

#[tokio::test]
async fn a_server_that_knows_no_verbose_json_is_asked_for_json_and_remembered() {
    let server = Peer::replying([
        Reply::bytes(AUDIO),
        Reply::json(400, NO_VERBOSE),
        Reply::bytes(AUDIO),
        text_only(),
        Reply::bytes(AUDIO),
        text_only(),
    ])
    .await;
    let whisper = whisper(&server.url);
    for _ in 0..2 {
        assert_eq!(done(whisper.start(&job(&server.url)).await).full_text(), "Hello.");
    }
    let asked: Vec<_> = server
        .take_seen()
        .iter()
        .filter(|seen| seen.line.starts_with("POST"))
        .map(|seen| seen.text().contains("verbose_json"))
        .collect();
    assert_eq!(asked, [true, false, false]);
}

#[tokio::test]
async fn an_error_with_a_200_is_an_error() {
    let server =
        Peer::replying([Reply::bytes(AUDIO), Reply::json(200, r#"{"error":"failed to read audio data"}"#)]).await;
    let failure = whisper(&server.url).start(&job(&server.url)).await.unwrap_err();
    let Failure::Refused(error) = failure else { panic!("{failure}") };
    assert_eq!(
        (error.code, error.message.as_str()),
        (TranscriptionErrorCode::AudioCorrupt, "failed to read audio data")
    );
}

#[tokio::test]
async fn a_self_hosted_server_needs_no_key() {
    let server = Peer::replying([Reply::bytes(AUDIO), text_only()]).await;
    let base = format!("{}/v1/", server.url);
    let variables = |name: &str| match name {
        "TRANSCRIPTION_PROVIDERS" => Some("whisper".to_owned()),
        "WHISPER_URL" => Some(base.clone()),
        "WHISPER_MODEL" => Some("Systran/faster-whisper-small".to_owned()),
        _ => None,
    };
    let http = Http::new(Duration::from_secs(20));
    let providers = Providers::from_variables(&variables, &http, &aws(&server.url)).unwrap();
    done(providers.get(None).unwrap().start(&job(&server.url)).await);
    let seen = server.take_seen();
    assert_eq!((seen[1].line.as_str(), seen[1].header("authorization")), ("POST /v1/audio/transcriptions", None));
    assert!(seen[1].text().contains("Systran/faster-whisper-small"));
}

#[tokio::test]
async fn a_piece_is_sent_from_its_file() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("chunk-0.flac");
    let flac: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
    std::fs::write(&path, &flac).unwrap();
    let server = Peer::replying([text_only()]).await;
    let mut job = job(&server.url);
    job.audio = Audio {
        content_type: ContentType::AudioFlac,
        size_bytes: flac.len() as u64,
        location: AudioLocation::File(path),
    };
    done(whisper(&server.url).start(&job).await);
    let body = server.take_seen().remove(0).body;
    assert!(body.windows(flac.len()).any(|window| window == flac), "the file is in the form");
    assert!(body.windows(21).any(|window| window == b"filename=\"audio.flac\""));
}

#[tokio::test]
async fn a_large_file_passes_through_without_being_held() {
    const SIZE: u64 = 64 * 1024 * 1024;
    let read = Arc::new(Notify::new());
    let storage = Peer::answering(|_| Reply::Huge { size: SIZE, declares_length: true }).await;
    let server = Peer::replying([Reply::Unread(Arc::clone(&read), Box::new(text_only()))]).await;
    let mut job = job(&storage.url);
    job.audio.size_bytes = SIZE;
    let whisper = whisper(&server.url);
    let sending = tokio::spawn(async move { whisper.start(&job).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    // What the connections themselves hold.
    assert!(storage.sent() < 24 * 1024 * 1024, "{} bytes were fetched and not sent", storage.sent());
    read.notify_one();
    assert_eq!(done(sending.await.unwrap()).full_text(), "Hello.");
    assert!(server.take_seen()[0].body.len() as u64 > SIZE);
}

#[tokio::test]
async fn audio_that_cannot_be_fetched_is_retried() {
    for reply in [
        Reply::json(403, "<Error><Code>AccessDenied</Code></Error>"),
        Reply::bytes(&b"not eleven bytes"[..]),
        Reply::Drop,
    ] {
        let server = Peer::replying([reply]).await;
        let failure = whisper(&server.url).start(&job(&server.url)).await.unwrap_err();
        assert!(matches!(failure, Failure::Later { .. }), "{failure}");
        assert!(server.take_seen().iter().all(|seen| seen.line.starts_with("GET")));
    }
}
