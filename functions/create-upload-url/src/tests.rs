use capstan_domain::{ContentType, MediaStatus, Status};
use capstan_lambda::{Function, http_function};
use capstan_stage::{DEVICE_TOKEN, RECORDING, Stage, call, event, with_body, with_credential, with_id};
use serde_json::{Value, json};

fn function(stage: &Stage) -> Function {
    http_function((stage.access(), stage.objects.clone()), stage.clock(), super::handle)
}

async fn ask(function: &Function, body: Value) -> capstan_stage::Answer {
    call(function, with_body(event("create-upload-url"), body)).await
}

#[tokio::test]
async fn answers_with_the_url_and_every_header_to_send() {
    let stage = Stage::set().await;
    stage.recording().pending().await;
    let body = json!({"content_type": "audio/wav", "file_size_bytes": 5, "content_sha256": "0".repeat(64)});
    let answer = ask(&function(&stage), body).await;
    assert_eq!(answer.status, 200);
    let url = answer.body["upload_url"].as_str().unwrap();
    let media_id = answer.body["media_id"].as_str().unwrap();
    let key = format!("/{}/{RECORDING}/{media_id}/audio.wav?", capstan_stage::PROJECT);
    assert!(url.contains(&key), "{url}");
    assert!(url.contains("X-Amz-Expires=3600"), "{url}");
    insta::assert_json_snapshot!(answer.body, {".upload_url" => "[url]", ".media_id" => "[id]"}, @r#"
    {
      "content_type": "audio/wav",
      "expires_at": "2024-11-20T10:00:00Z",
      "expires_in": 3600,
      "headers": {
        "Content-Type": "audio/wav",
        "x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
      },
      "media_id": "[id]",
      "method": "PUT",
      "upload_url": "[url]"
    }
    "#);
}

#[tokio::test]
async fn reads_the_credential_and_then_writes_once_and_signs_without_a_call() {
    let stage = Stage::set().await;
    stage.recording().pending().await;
    assert_eq!(call(&function(&stage), event("create-upload-url")).await.status, 200);
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:UpdateItem"]);
}

#[tokio::test]
async fn the_type_defaults_from_the_kind() {
    let stage = Stage::set().await;
    stage.recording().pending().await;
    let function = function(&stage);
    for (body, content_type) in [
        (json!({}), "audio/opus"),
        (json!({"type": "image"}), "image/jpeg"),
        (json!({"type": "video"}), "video/mp4"),
        (json!({"content_type": "image/png"}), "image/png"),
    ] {
        assert_eq!(ask(&function, body).await.body["content_type"], content_type);
    }
    assert_eq!(stage.stored(RECORDING).await.unwrap().media.len(), 4);
}

#[tokio::test]
async fn a_device_signs_for_its_own_recordings_only() {
    let stage = Stage::set().await;
    stage.recording().pending().await;
    stage.recording().id("rec_other").with(|recording| recording.device_id = None).pending().await;
    let function = function(&stage);
    let as_device = |id| with_id(with_credential(event("create-upload-url"), DEVICE_TOKEN), id);
    assert_eq!(call(&function, as_device(RECORDING)).await.status, 200);
    assert_eq!(call(&function, as_device("rec_other")).await.status, 404);
    assert!(stage.stored("rec_other").await.unwrap().media.is_empty());
}

#[tokio::test]
async fn only_a_pending_recording_takes_files() {
    let stage = Stage::set().await;
    let holding = || stage.recording().holding(ContentType::AudioOpus, "x");
    holding().id("rec_1").uploaded().await;
    holding().id("rec_2").processing().await;
    holding().id("rec_3").completed().await;
    let function = function(&stage);
    for (id, status) in [("rec_1", "uploaded"), ("rec_2", "processing"), ("rec_3", "completed")] {
        let answer = call(&function, with_id(event("create-upload-url"), id)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("recording_not_pending")));
        assert_eq!(answer.body["error"]["details"]["status"], status);
    }
    assert_eq!(stage.stored("rec_1").await.unwrap().status, Status::Uploaded);
}

#[tokio::test]
async fn an_expired_recording_takes_no_more_files() {
    let stage = Stage::set().await;
    stage.recording().pending().await;
    stage.advance(7 * 24 * 3600);
    assert_eq!(ask(&function(&stage), json!({})).await.body["error"]["code"], "upload_expired");
}

#[tokio::test]
async fn a_recording_holds_100_media_however_many_are_asked_for_at_once() {
    let stage = Stage::set().await;
    let full = (0..98).fold(stage.recording(), |recording, _| recording.awaiting(ContentType::ImagePng));
    full.pending().await;
    let function = function(&stage);
    let (a, b, c, d) = tokio::join!(
        ask(&function, json!({})),
        ask(&function, json!({})),
        ask(&function, json!({})),
        ask(&function, json!({}))
    );
    let codes: Vec<_> = [a, b, c, d].into_iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(codes.len(), 2);
    assert!(codes.iter().all(|answer| answer.body["error"]["code"] == "too_many_media"));
    assert_eq!(stage.stored(RECORDING).await.unwrap().media.len(), 100);
}

#[tokio::test]
async fn signs_again_for_a_pending_medium_instead_of_adding_one() {
    let stage = Stage::set().await;
    stage.recording().awaiting(ContentType::AudioFlac).holding(ContentType::AudioOpus, "x").pending().await;
    stage.advance(1800);
    let function = function(&stage);
    let answer = ask(&function, json!({"media_id": "med_1", "file_size_bytes": 7})).await;
    assert_eq!((answer.status, &answer.body["content_type"]), (200, &json!("audio/flac")));
    assert_eq!(answer.body["expires_at"], "2024-11-20T10:30:00Z");
    let stored = stage.stored(RECORDING).await.unwrap();
    let media = &stored.media[&Stage::media_id("med_1")];
    assert_eq!((stored.media.len(), media.status, media.size_bytes()), (2, MediaStatus::Pending, Some(7)));

    for (body, code, param) in [
        (json!({"media_id": "med_2"}), "invalid_request", "media_id"),
        (json!({"media_id": "med_3"}), "invalid_request", "media_id"),
        (json!({"media_id": "med_1", "content_type": "audio/wav"}), "file_type_invalid", "content_type"),
    ] {
        let error = ask(&function, body).await.body["error"].clone();
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)));
    }
}

#[tokio::test]
async fn names_the_field_and_the_rule_that_it_breaks() {
    let stage = Stage::set().await;
    stage.recording().pending().await;
    let function = function(&stage);
    for (body, code, param) in [
        (json!({"type": "smell"}), "invalid_request", "type"),
        (json!({"type": "image", "content_type": "audio/wav"}), "file_type_invalid", "content_type"),
        (json!({"content_type": "audio/midi"}), "file_type_invalid", "content_type"),
        (json!({"file_size_bytes": 0}), "file_size_invalid", "file_size_bytes"),
        (json!({"file_size_bytes": -1}), "file_size_invalid", "file_size_bytes"),
        (json!({"file_size_bytes": 5_368_709_121_u64}), "file_size_invalid", "file_size_bytes"),
        (json!({"file_size_bytes": 1.5}), "file_size_invalid", "file_size_bytes"),
        (json!({"file_size_bytes": "5"}), "invalid_request", "file_size_bytes"),
        (json!({"content_sha256": "abc"}), "invalid_request", "content_sha256"),
        (json!({"captured_at": "noon"}), "invalid_request", "captured_at"),
        (json!({"media_id": "rec_1"}), "invalid_request", "media_id"),
    ] {
        let answer = ask(&function, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        let error = &answer.body["error"];
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)), "{body}");
    }
    assert!(stage.stored(RECORDING).await.unwrap().media.is_empty());
}
