use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capstan_domain::{Transcript, TranscriptionError, TranscriptionErrorCode};
use capstan_lambda::Function;
use capstan_objects::ObjectKey;
use capstan_test_environment::{TRANSCRIPTION, TestEnvironment, call, event, with_credential, with_id, with_query};
use serde_json::{Value, json};

use super::ExportFormat;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

async fn export(environment: &TestEnvironment, id: &str, format: &str) -> Value {
    let event = with_query(with_id(event("export-transcription"), id), &[("format", format)]);
    function(environment).invoke(event).await.unwrap()
}

/// The file as API Gateway hands it on.
fn file(answer: &Value) -> String {
    let body = answer["body"].as_str().unwrap_or_default();
    if answer["isBase64Encoded"] == true {
        return String::from_utf8(STANDARD.decode(body).unwrap()).unwrap();
    }
    body.to_owned()
}

#[tokio::test]
async fn answers_with_a_file_of_each_format_to_be_saved() {
    let environment = TestEnvironment::start().await;
    environment.transcription().completed(&TestEnvironment::transcript(1)).await;
    let answer = function(&environment).invoke(event("export-transcription")).await.unwrap();
    assert_eq!(answer["statusCode"], 200);
    insta::assert_snapshot!(file(&answer), @r"
    1
    00:00:00,000 --> 00:00:01,240
    Speaker 1: Shall we begin?

    2
    00:00:01,250 --> 00:00:02,490
    Speaker 2: Yes, let us begin.
    ");
    for (format, mime_type) in [
        ("", "text/plain; charset=utf-8"),
        ("txt", "text/plain; charset=utf-8"),
        ("srt", "application/x-subrip; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("json", "application/json"),
    ] {
        let answer = export(&environment, TRANSCRIPTION, format).await;
        let format: ExportFormat = format.parse().unwrap_or(ExportFormat::Txt);
        let name = format!("attachment; filename=\"{TRANSCRIPTION}.{}\"", format.as_str());
        assert_eq!(answer["headers"]["content-type"], mime_type);
        assert_eq!(answer["headers"]["content-disposition"], json!(name));
        assert_eq!(file(&answer), format.write(&TestEnvironment::transcript(1)));
    }
}

#[tokio::test]
async fn reads_the_credential_and_the_transcription_once_each_and_a_long_text_from_s3() {
    let environment = TestEnvironment::start().await;
    environment.transcription().completed(&TestEnvironment::transcript(1)).await;
    export(&environment, TRANSCRIPTION, "srt").await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
    let long = TestEnvironment::transcript(3_000);
    environment.transcription().id("txn_long").completed(&long).await;
    let answer = export(&environment, "txn_long", "vtt").await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem", "s3:GetObject"]);
    assert_eq!(file(&answer), ExportFormat::Vtt.write(&long));
}

#[tokio::test]
async fn a_large_export_is_downloaded_from_s3() {
    let environment = TestEnvironment::start().await;
    let long = TestEnvironment::transcript(40_000);
    let transcription = environment.transcription().completed(&long).await;
    assert_eq!(export(&environment, TRANSCRIPTION, "txt").await["statusCode"], 200);
    let _ = environment.emulators.take_calls();
    let answer = export(&environment, TRANSCRIPTION, "srt").await;
    assert_eq!(
        environment.emulators.take_calls(),
        ["dynamodb:GetItem", "dynamodb:GetItem", "s3:GetObject", "s3:PutObject"]
    );
    assert_eq!((&answer["statusCode"], file(&answer)), (&json!(302), String::new()));
    let url = answer["headers"]["location"].as_str().unwrap();
    let saved_as = format!("attachment%3B%20filename%3D%22{TRANSCRIPTION}.srt%22");
    assert!(url.contains("X-Amz-Expires=3600") && url.contains(&saved_as), "{url}");

    let key = ObjectKey::export(&transcription, ExportFormat::Srt);
    assert!(url.contains(key.as_str()));
    let get =
        environment.emulators.s3().get_object().bucket(environment.bucket()).key(key.as_str()).send().await.unwrap();
    let text = get.body.collect().await.unwrap().into_bytes();
    assert!(text.len() > 5_000_000 && text == ExportFormat::Srt.write(&long).as_bytes());
    let project = &transcription.tenant.project_id;
    environment.objects.delete_recording(project, transcription.recording_id.as_ref().unwrap()).await.unwrap();
    assert_eq!(environment.object_keys().await, [""; 0]);
}

#[tokio::test]
async fn an_unfinished_transcription_cannot_be_exported() {
    let environment = TestEnvironment::start().await;
    let pending = environment.transcription().pending().await;
    let function = function(&environment);
    let answer = call(&function, event("export-transcription")).await;
    assert_eq!(answer.status, 409);
    insta::assert_json_snapshot!(answer.body["error"], {".request_id" => "[id]"}, @r#"
    {
      "code": "conflict",
      "message": "the transcription is pending; only a completed one has a transcript",
      "request_id": "[id]"
    }
    "#);
    let error = TranscriptionError::new(TranscriptionErrorCode::ProcessingError, "x");
    environment.store.fail_transcription(&pending.id, &error, environment.now()).await.unwrap();
    let answer = call(&function, event("export-transcription")).await;
    assert_eq!(answer.body["error"]["message"], "the transcription is failed; only a completed one has a transcript");
}

#[tokio::test]
async fn a_transcription_of_a_deleted_recording_is_404() {
    let environment = TestEnvironment::start().await;
    let transcription = environment.transcription().completed(&TestEnvironment::transcript(3_000)).await;
    environment.objects.delete(&ObjectKey::transcript(&transcription)).await.unwrap();
    assert_eq!(call(&function(&environment), event("export-transcription")).await.status, 404);
}

#[tokio::test]
async fn silence_is_an_empty_file() {
    let environment = TestEnvironment::start().await;
    let silence = Transcript::new(None, capstan_domain::Offset::from_milliseconds(2_500), Vec::new());
    environment.transcription().completed(&silence).await;
    let answer = export(&environment, TRANSCRIPTION, "txt").await;
    assert_eq!((&answer["statusCode"], file(&answer)), (&json!(200), String::new()));
}

#[tokio::test]
async fn foreign_and_unknown_transcriptions_are_404() {
    let environment = TestEnvironment::start().await;
    environment.transcription().completed(&TestEnvironment::transcript(1)).await;
    let function = function(&environment);
    for credential in environment.other_tenants().await {
        assert_eq!(call(&function, with_credential(event("export-transcription"), &credential)).await.status, 404);
    }
    assert_eq!(call(&function, with_id(event("export-transcription"), "txn_unknown")).await.status, 404);
}

#[tokio::test]
async fn names_the_rule_of_the_format() {
    let environment = TestEnvironment::start().await;
    environment.transcription().completed(&TestEnvironment::transcript(1)).await;
    let answer = call(&function(&environment), with_query(event("export-transcription"), &[("format", "docx")])).await;
    assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!("format")));
    assert_eq!(answer.body["error"]["message"], "format: must be one of txt, srt, vtt, json");
}
