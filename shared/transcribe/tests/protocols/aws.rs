//! Amazon Transcribe: `StartTranscriptionJob`, `GetTranscriptionJob`, "Example diarization output (batch)".

use capstan_domain::{ContentType, ProviderName, TranscriptionErrorCode};
use capstan_transcribe::{Audio, AudioLocation, CallbackFailure, Failure, Polled, Provider, Started};
use http::HeaderMap;
use insta::assert_json_snapshot;

use crate::stage::{job, provider};
use capstan_emulators::peer::{Peer, Reply};

fn aws(url: &str) -> Provider {
    provider(ProviderName::Aws, url)
}

fn in_progress() -> Reply {
    Reply::json(
        200,
        r#"{"TranscriptionJob": {"TranscriptionJobName": "rec_01a.txn_01b", "TranscriptionJobStatus": "IN_PROGRESS", "CreationTime": 1763712000.1}}"#,
    )
}

fn refused(code: &str, message: &str) -> Reply {
    Reply::json(400, serde_json::json!({ "__type": code, "Message": message }).to_string())
}

pub(crate) fn completed(url: &str) -> String {
    serde_json::json!({ "TranscriptionJob": {
        "TranscriptionJobName": "rec_01a.txn_01b", "TranscriptionJobStatus": "COMPLETED", "LanguageCode": "en-US",
        "IdentifyLanguage": true, "IdentifiedLanguageScore": 0.98,
        "Transcript": { "TranscriptFileUri": format!("{url}/output.json?X-Amz-Signature=signature-that-nobody-may-see") },
    } })
    .to_string()
}

/// As the developer guide has it.
pub(crate) const OUTPUT: &str = r#"{
  "jobName": "my-first-transcription-job", "accountId": "111122223333", "status": "COMPLETED",
  "results": {
    "transcripts": [{"transcript": "I've been on hold. Sorry about that."}],
    "speaker_labels": {"channel_label": "ch_0", "speakers": 2, "segments": [
      {"start_time": "4.87", "speaker_label": "spk_1", "end_time": "6.88", "items": [
        {"start_time": "4.87", "speaker_label": "spk_1", "end_time": "5.02"},
        {"start_time": "5.02", "speaker_label": "spk_1", "end_time": "5.17"},
        {"start_time": "5.17", "speaker_label": "spk_1", "end_time": "5.29"},
        {"start_time": "6.26", "speaker_label": "spk_1", "end_time": "6.88"}]},
      {"start_time": "8.49", "speaker_label": "spk_0", "end_time": "9.24", "items": [
        {"start_time": "8.49", "speaker_label": "spk_0", "end_time": "8.88"},
        {"start_time": "8.88", "speaker_label": "spk_0", "end_time": "9.05"},
        {"start_time": "9.05", "speaker_label": "spk_0", "end_time": "9.24"}]}]},
    "items": [
      {"id": 0, "start_time": "4.87", "speaker_label": "spk_1", "end_time": "5.02", "alternatives": [{"confidence": "1.0", "content": "I've"}], "type": "pronunciation"},
      {"id": 1, "start_time": "5.02", "speaker_label": "spk_1", "end_time": "5.17", "alternatives": [{"confidence": "0.8", "content": "been"}], "type": "pronunciation"},
      {"id": 2, "start_time": "5.17", "speaker_label": "spk_1", "end_time": "5.29", "alternatives": [{"confidence": "1.0", "content": "on"}], "type": "pronunciation"},
      {"id": 3, "start_time": "6.26", "speaker_label": "spk_1", "end_time": "6.88", "alternatives": [{"confidence": "1.0", "content": "hold"}], "type": "pronunciation"},
      {"id": 4, "speaker_label": "spk_1", "alternatives": [{"confidence": "0.0", "content": "."}], "type": "punctuation"},
      {"id": 5, "start_time": "8.49", "speaker_label": "spk_0", "end_time": "8.88", "alternatives": [{"confidence": "0.99", "content": "Sorry"}], "type": "pronunciation"},
      {"id": 6, "start_time": "8.88", "speaker_label": "spk_0", "end_time": "9.05", "alternatives": [{"confidence": "1.0", "content": "about"}], "type": "pronunciation"},
      {"id": 7, "start_time": "9.05", "speaker_label": "spk_0", "end_time": "9.24", "alternatives": [{"confidence": "1.0", "content": "that"}], "type": "pronunciation"},
      {"id": 8, "speaker_label": "spk_0", "alternatives": [{"confidence": "0.0", "content": "."}], "type": "punctuation"}
    ],
    "audio_segments": []}}"#;

#[tokio::test]
async fn the_request_is_that_of_the_reference() {
    let server = Peer::replying([in_progress(), in_progress()]).await;
    let mut job = job(&server.url);
    let started = aws(&server.url).start(&job).await.unwrap();
    assert_eq!(started, Started::Awaiting("rec_01a.txn_01b".parse().unwrap()));
    job.language = Some("de".parse().unwrap());
    job.diarization = false;
    job.name.chunk = Some(3);
    aws(&server.url).start(&job).await.unwrap();

    let seen = server.take_seen();
    assert_eq!(seen[0].header("x-amz-target"), Some("Transcribe.StartTranscriptionJob"));
    assert_json_snapshot!(seen[0].json(), @r#"
    {
      "IdentifyLanguage": true,
      "Media": {
        "MediaFileUri": "s3://media/proj_1/rec_01a/med_1/audio.opus"
      },
      "MediaFormat": "ogg",
      "Settings": {
        "MaxSpeakerLabels": 30,
        "ShowSpeakerLabels": true
      },
      "TranscriptionJobName": "rec_01a.txn_01b"
    }
    "#);
    assert_json_snapshot!(seen[1].json(), @r#"
    {
      "LanguageCode": "de-DE",
      "Media": {
        "MediaFileUri": "s3://media/proj_1/rec_01a/med_1/audio.opus"
      },
      "MediaFormat": "ogg",
      "TranscriptionJobName": "rec_01a.txn_01b.3"
    }
    "#);
}

#[tokio::test]
async fn a_job_that_was_started_before_is_awaited() {
    let server = Peer::replying([refused("ConflictException", "The requested job name already exists.")]).await;
    let started = aws(&server.url).start(&job(&server.url)).await.unwrap();
    assert_eq!(started, Started::Awaiting("rec_01a.txn_01b".parse().unwrap()));
}

#[tokio::test]
async fn a_job_is_asked_for_until_its_output_can_be_fetched() {
    let output = Peer::replying([Reply::json(403, "<Error/>"), Reply::json(200, OUTPUT)]).await;
    let done = completed(&output.url);
    let server = Peer::replying([in_progress(), Reply::json(200, done.clone()), Reply::json(200, done)]).await;
    let aws = aws(&server.url);
    let id = "rec_01a.txn_01b".parse().unwrap();
    assert_eq!(aws.poll(&id).await, Ok(Polled::Running));
    // The URL had expired; the next answer signs another.
    assert!(matches!(aws.poll(&id).await, Err(Failure::Later { .. })));
    let Ok(Polled::Done(transcript)) = aws.poll(&id).await else { panic!() };
    let seen = server.take_seen();
    assert_eq!(seen[0].header("x-amz-target"), Some("Transcribe.GetTranscriptionJob"));
    assert_eq!(seen[0].json(), serde_json::json!({ "TranscriptionJobName": "rec_01a.txn_01b" }));
    assert_json_snapshot!(transcript, @r#"
    {
      "language": "en-US",
      "duration": 9.24,
      "segments": [
        {
          "text": "I've been on hold.",
          "speaker": "Speaker 1",
          "start": 4.87,
          "end": 6.88,
          "confidence": 0.95
        },
        {
          "text": "Sorry about that.",
          "speaker": "Speaker 2",
          "start": 8.49,
          "end": 9.24,
          "confidence": 0.9967
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn reads_speaker_labels_beside_the_items() {
    let mut old: serde_json::Value = serde_json::from_str(OUTPUT).unwrap();
    for item in old["results"]["items"].as_array_mut().unwrap() {
        item.as_object_mut().unwrap().remove("speaker_label");
    }
    let output = Peer::replying([Reply::json(200, old.to_string()), Reply::json(200, OUTPUT)]).await;
    let server = Peer::answering({
        let done = completed(&output.url);
        move |_| Reply::json(200, done.clone())
    })
    .await;
    let id = "rec_01a.txn_01b".parse().unwrap();
    let aws = aws(&server.url);
    assert_eq!(aws.poll(&id).await, aws.poll(&id).await);
}

#[tokio::test]
async fn a_job_that_failed_says_why() {
    for (words, code) in [
        ("Unsupported media format", TranscriptionErrorCode::UnsupportedFormat),
        (
            "The media format provided does not match the detected media format.",
            TranscriptionErrorCode::UnsupportedFormat,
        ),
        ("Invalid file size: file size too large", TranscriptionErrorCode::UnsupportedFormat),
        ("Your audio file must have a speech segment long enough in duration", TranscriptionErrorCode::AudioTooShort),
        ("Internal failure", TranscriptionErrorCode::ProcessingError),
    ] {
        let body =
            serde_json::json!({ "TranscriptionJob": { "TranscriptionJobStatus": "FAILED", "FailureReason": words } });
        let server = Peer::replying([Reply::json(200, body.to_string())]).await;
        let failure = aws(&server.url).poll(&"rec_01a.txn_01b".parse().unwrap()).await.unwrap_err();
        let Failure::Refused(error) = failure else { panic!("{failure}") };
        assert_eq!((error.code, error.message.as_str()), (code, words));
    }
}

#[tokio::test]
async fn each_of_its_errors_is_for_now_or_for_good() {
    for (error, code) in [
        ("LimitExceededException", None),
        ("ThrottlingException", None),
        ("InternalFailureException", None),
        ("BadRequestException", Some(TranscriptionErrorCode::ProcessingError)),
        ("AccessDeniedException", Some(TranscriptionErrorCode::ProviderNotConfigured)),
    ] {
        let server = Peer::replying([refused(error, "no")]).await;
        match aws(&server.url).start(&job(&server.url)).await.unwrap_err() {
            Failure::Later { .. } => assert_eq!(code, None, "{error}"),
            Failure::Refused(refusal) => assert_eq!(code, Some(refusal.code), "{error}"),
            Failure::Nonsense { reason } => panic!("{error}: {reason}"),
        }
    }
}

#[tokio::test]
async fn a_hosted_provider_cannot_reach_the_local_stack() {
    let aws = aws("http://127.0.0.1:9");
    let mut job = job("http://127.0.0.1:9");
    job.audio = Audio {
        content_type: ContentType::AudioFlac,
        size_bytes: 1,
        location: AudioLocation::File("chunk-0.flac".into()),
    };
    assert!(matches!(aws.start(&job).await, Err(Failure::Refused(_))));
    assert_eq!(aws.callback(&job.name, &HeaderMap::new(), b"{}"), Err(CallbackFailure::NotAuthentic));
}
