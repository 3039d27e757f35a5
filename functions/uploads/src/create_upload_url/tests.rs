use capstan_domain::{ContentType, MediaStatus, Status};
use capstan_lambda::{Function, http_function};
use capstan_test_environment::{
    DEVICE_TOKEN, RECORDING, TestEnvironment, call, event, with_body, with_credential, with_header, with_id,
};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

async fn ask(function: &Function, body: Value) -> capstan_test_environment::Answer {
    call(function, with_body(event("create-upload-url"), body)).await
}

#[tokio::test]
async fn answers_with_the_url_and_every_header_to_send() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let body = json!({"content_type": "audio/wav", "file_size_bytes": 5, "content_sha256": "0".repeat(64)});
    let answer = ask(&function(&environment), body).await;
    assert_eq!(answer.status, 200);
    let url = answer.body["upload_url"].as_str().unwrap();
    let media_id = answer.body["media_id"].as_str().unwrap();
    let key = format!("/{}/{RECORDING}/{media_id}/audio.wav?", capstan_test_environment::PROJECT);
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
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    assert_eq!(call(&function(&environment), event("create-upload-url")).await.status, 200);
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:UpdateItem"]);
}

#[tokio::test]
async fn the_type_defaults_from_the_kind() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let function = function(&environment);
    for (body, content_type) in [
        (json!({}), "audio/opus"),
        (json!({"type": "image"}), "image/jpeg"),
        (json!({"type": "video"}), "video/mp4"),
        (json!({"content_type": "image/png"}), "image/png"),
    ] {
        assert_eq!(ask(&function, body).await.body["content_type"], content_type);
    }
    assert_eq!(environment.stored(RECORDING).await.unwrap().media.len(), 4);
}

#[tokio::test]
async fn a_device_signs_for_its_own_recordings_only() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    environment.recording().id("rec_other").with(|recording| recording.origin.device_id = None).pending().await;
    let function = function(&environment);
    let as_device = |id| with_id(with_credential(event("create-upload-url"), DEVICE_TOKEN), id);
    assert_eq!(call(&function, as_device(RECORDING)).await.status, 200);
    assert_eq!(call(&function, as_device("rec_other")).await.status, 404);
    assert!(environment.stored("rec_other").await.unwrap().media.is_empty());
}

#[tokio::test]
async fn only_a_pending_recording_takes_files() {
    let environment = TestEnvironment::start().await;
    let holding = || environment.recording().holding(ContentType::AudioOpus, "x");
    holding().id("rec_1").uploaded().await;
    holding().id("rec_2").processing().await;
    holding().id("rec_3").completed().await;
    let function = function(&environment);
    for (id, status) in [("rec_1", "uploaded"), ("rec_2", "processing"), ("rec_3", "completed")] {
        let answer = call(&function, with_id(event("create-upload-url"), id)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("recording_not_pending")));
        assert_eq!(answer.body["error"]["details"]["status"], status);
    }
    assert_eq!(environment.stored("rec_1").await.unwrap().status, Status::Uploaded);
}

#[tokio::test]
async fn an_expired_recording_takes_no_more_files() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    environment.advance(7 * 24 * 3600);
    assert_eq!(ask(&function(&environment), json!({})).await.body["error"]["code"], "upload_expired");
}

#[tokio::test]
async fn concurrent_requests_cannot_exceed_100_media_files() {
    let environment = TestEnvironment::start().await;
    let full = (0..98).fold(environment.recording(), |recording, _| recording.awaiting(ContentType::ImagePng));
    full.pending().await;
    let function = function(&environment);
    let (a, b, c, d) = tokio::join!(
        ask(&function, json!({})),
        ask(&function, json!({})),
        ask(&function, json!({})),
        ask(&function, json!({}))
    );
    let codes: Vec<_> = [a, b, c, d].into_iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(codes.len(), 2);
    assert!(codes.iter().all(|answer| answer.body["error"]["code"] == "too_many_media"));
    assert_eq!(environment.stored(RECORDING).await.unwrap().media.len(), 100);
}

#[tokio::test]
async fn signs_again_for_a_pending_file_instead_of_adding_one() {
    let environment = TestEnvironment::start().await;
    environment.recording().awaiting(ContentType::AudioFlac).holding(ContentType::AudioOpus, "x").pending().await;
    environment.advance(1800);
    let function = function(&environment);
    let answer = ask(&function, json!({"media_id": "med_1", "file_size_bytes": 7})).await;
    assert_eq!((answer.status, &answer.body["content_type"]), (200, &json!("audio/flac")));
    assert_eq!(answer.body["expires_at"], "2024-11-20T10:30:00Z");
    let stored = environment.stored(RECORDING).await.unwrap();
    let media = &stored.media[&TestEnvironment::media_id("med_1")];
    assert_eq!((stored.media.len(), media.status(), media.size_bytes()), (2, MediaStatus::Pending, Some(7)));

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
async fn names_the_invalid_field_and_its_rule() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let function = function(&environment);
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
        (json!({"multipart": "yes"}), "invalid_request", "multipart"),
        (json!({"multipart": true}), "invalid_request", "file_size_bytes"),
        (json!({"multipart": true, "file_size_bytes": 0}), "file_size_invalid", "file_size_bytes"),
        (json!({"multipart": true, "file_size_bytes": 53_687_091_200_001_u64}), "file_size_invalid", "file_size_bytes"),
        (
            json!({"multipart": true, "file_size_bytes": 1, "content_sha256": "0".repeat(64)}),
            "invalid_request",
            "content_sha256",
        ),
    ] {
        let answer = ask(&function, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        let error = &answer.body["error"];
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)), "{body}");
    }
    assert!(environment.stored(RECORDING).await.unwrap().media.is_empty());
}

const MIB: u64 = 1024 * 1024;

fn in_parts(size: u64) -> Value {
    json!({"content_type": "audio/wav", "file_size_bytes": size, "multipart": true})
}

#[tokio::test]
async fn answers_with_a_url_for_each_part() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let answer = ask(&function(&environment), in_parts(6 * MIB)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (media_id, upload_id) = (answer.body["media_id"].as_str().unwrap(), answer.body["upload_id"].as_str().unwrap());
    for (index, part) in answer.body["parts"].as_array().unwrap().iter().enumerate() {
        let url = part["upload_url"].as_str().unwrap();
        assert!(url.contains(&format!("/{RECORDING}/{media_id}/audio.wav?")), "{url}");
        assert!(url.contains(&format!("partNumber={}&uploadId={upload_id}&", index + 1)), "{url}");
        assert!(url.contains("X-Amz-Expires=3600") && url.contains("SignedHeaders=content-length%3Bhost"), "{url}");
    }
    insta::assert_json_snapshot!(
        answer.body,
        {".parts[].upload_url" => "[url]", ".media_id" => "[id]", ".upload_id" => "[id]"},
        @r#"
        {
          "content_type": "audio/wav",
          "expires_at": "2024-11-20T10:00:00Z",
          "expires_in": 3600,
          "file_size_bytes": 6291456,
          "headers": {},
          "media_id": "[id]",
          "method": "PUT",
          "next_part_number": null,
          "part_size_bytes": 5242880,
          "parts": [
            {
              "part_number": 1,
              "size_bytes": 5242880,
              "upload_url": "[url]"
            },
            {
              "part_number": 2,
              "size_bytes": 1048576,
              "upload_url": "[url]"
            }
          ],
          "upload_id": "[id]"
        }
        "#
    );
    let stored = environment.stored(RECORDING).await.unwrap();
    let (media, upload) = stored.multipart_upload(&TestEnvironment::media_id(media_id)).unwrap();
    assert_eq!((media.status(), media.size_bytes()), (MediaStatus::Pending, Some(6 * MIB)));
    assert_eq!(environment.open_uploads().await, [upload.id.as_str()]);
}

#[tokio::test]
async fn starting_a_multipart_upload_costs_the_same_for_any_size() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    for size in [1_000_000, 50_000_000_000, 53_687_091_200_000] {
        let answer = ask(&function(&environment), in_parts(size)).await;
        assert_eq!(answer.status, 200);
        let calls = ["dynamodb:GetItem", "s3:CreateMultipartUpload", "dynamodb:UpdateItem"];
        assert_eq!(environment.emulators.take_calls(), calls);
    }
}

#[tokio::test]
async fn a_refused_request_leaves_no_upload() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").uploaded().await;
    let function = function(&environment);
    assert_eq!(ask(&function, in_parts(MIB)).await.body["error"]["code"], "recording_not_pending");
    let elsewhere = with_id(with_body(event("create-upload-url"), in_parts(MIB)), "rec_1");
    assert_eq!(call(&function, elsewhere).await.status, 404);
    assert!(environment.open_uploads().await.is_empty());
}

#[tokio::test]
async fn resumes_an_open_upload() {
    let environment = TestEnvironment::start().await;
    environment.recording().in_parts(ContentType::AudioWav, 6 * MIB).pending().await;
    let open = environment.open_uploads().await;
    let _ = environment.emulators.take_calls();
    let again = json!({"media_id": "med_1", "file_size_bytes": 6 * MIB, "multipart": true});
    let answer = ask(&function(&environment), again).await;
    assert_eq!((answer.status, &answer.body["upload_id"]), (200, &json!(open[0])), "{}", answer.body);
    assert_eq!(answer.body["parts"].as_array().unwrap().len(), 2);
    assert_eq!(
        environment.emulators.take_calls(),
        ["dynamodb:GetItem", "dynamodb:GetItem", "s3:ListParts", "dynamodb:UpdateItem"]
    );
    assert_eq!(environment.open_uploads().await, open);
}

#[tokio::test]
async fn starts_a_new_upload_if_none_matches() {
    let environment = TestEnvironment::start().await;
    let builder =
        environment.recording().in_parts(ContentType::AudioWav, 6 * MIB).in_parts(ContentType::AudioWav, 6 * MIB);
    let recording = builder.awaiting(ContentType::AudioWav).pending().await;
    let old = environment.open_uploads().await;
    let (media, upload) = recording.multipart_upload(&TestEnvironment::media_id("med_1")).unwrap();
    let key = capstan_objects::ObjectKey::of(&recording, media);
    environment.objects.abort_multipart_upload(&key, &upload.id).await.unwrap();
    let function = function(&environment);
    for (media_id, size) in [("med_1", 6 * MIB), ("med_2", 7 * MIB), ("med_3", MIB)] {
        let again = json!({"media_id": media_id, "file_size_bytes": size, "multipart": true});
        let answer = ask(&function, again).await;
        assert_eq!((answer.status, &answer.body["file_size_bytes"]), (200, &json!(size)), "{}", answer.body);
        assert!(!old.contains(&answer.body["upload_id"].as_str().unwrap().to_owned()));
        let stored = environment.stored(RECORDING).await.unwrap();
        let (media, upload) = stored.multipart_upload(&TestEnvironment::media_id(media_id)).unwrap();
        assert_eq!((upload.id.as_str(), media.size_bytes()), (answer.body["upload_id"].as_str().unwrap(), Some(size)));
    }
    let open = environment.open_uploads().await;
    assert_eq!(open.len(), 3);
    assert!(old.iter().all(|old| !open.contains(old)));
}

#[tokio::test]
async fn one_of_two_concurrent_multipart_uploads_wins() {
    let environment = TestEnvironment::start().await;
    environment.recording().awaiting(ContentType::AudioWav).pending().await;
    let function = function(&environment);
    let again = || json!({"media_id": "med_1", "file_size_bytes": MIB, "multipart": true});
    let (a, b) = tokio::join!(ask(&function, again()), ask(&function, again()));
    let mut outcomes = [(a.status, a.body), (b.status, b.body)];
    outcomes.sort_by_key(|(status, _)| *status);
    let [(200, won), (409, lost)] = outcomes else { panic!("{outcomes:?}") };
    assert_eq!(lost["error"]["code"], "conflict");
    assert_eq!(environment.open_uploads().await, [won["upload_id"].as_str().unwrap()]);
}

#[tokio::test]
async fn a_multipart_upload_is_not_replaced_by_one_put() {
    let environment = TestEnvironment::start().await;
    environment.recording().in_parts(ContentType::AudioWav, 6 * MIB).pending().await;
    let answer = ask(&function(&environment), json!({"media_id": "med_1"})).await;
    assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!("multipart")));
    assert_eq!(environment.open_uploads().await.len(), 1);
}

#[tokio::test]
async fn a_second_attempt_resumes_the_upload_of_the_first() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let function = function(&environment);
    // An answer of so many URLs is too large to be kept, so its repeat is made again.
    let ask = || {
        capstan_test_environment::with_header(
            with_body(event("create-upload-url"), in_parts(50_000 * MIB)),
            "idempotency-key",
            "key-1",
        )
    };
    let (first, again) = (call(&function, ask()).await, call(&function, ask()).await);
    assert_eq!((first.status, again.status), (200, 200), "{}", again.body["error"]);
    assert_eq!(
        (&again.body["media_id"], &again.body["upload_id"]),
        (&first.body["media_id"], &first.body["upload_id"])
    );
    assert_eq!(environment.open_uploads().await, [first.body["upload_id"].as_str().unwrap()]);
}

#[tokio::test]
async fn an_upload_that_was_recorded_after_all_stays_open() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let function = function(&environment);
    let asked = with_header(with_body(event("create-upload-url"), in_parts(MIB)), "idempotency-key", "k1");
    // The media file is added, and the response is lost.
    environment.emulators.faults().fail_after(1, "UpdateItem", capstan_emulators::Fault::LoseAnswer, 20);
    assert_eq!(call(&function, asked.clone()).await.status, 503);
    environment.emulators.faults().clear();
    environment.advance(7200);
    let answer = call(&function, asked).await;
    assert_eq!(answer.status, 200);
    assert_eq!(environment.open_uploads().await, [answer.body["upload_id"].as_str().unwrap()]);
    let recording = environment.stored(RECORDING).await.unwrap();
    let ends: Vec<_> = recording.media.values().map(|media| media.url_expires_at).collect();
    assert_eq!(ends, [environment.now().plus_seconds(3600)], "the URL of this attempt");
}

#[tokio::test]
async fn no_url_outlives_the_credentials_that_signed_it() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let ending_in = |seconds| {
        let objects = environment.objects_until(environment.now().plus_seconds(seconds));
        http_function((environment.access(), objects), environment.clock(), super::handle)
    };
    for body in [json!({}), in_parts(MIB)] {
        let answer = ask(&ending_in(900), body.clone()).await;
        assert_eq!(
            (&answer.body["expires_at"], &answer.body["expires_in"]),
            (&json!("2024-11-20T09:15:00Z"), &json!(900))
        );
        let url = answer.body["upload_url"].as_str().or(answer.body["parts"][0]["upload_url"].as_str()).unwrap();
        assert!(url.contains("X-Amz-Expires=900"), "{url}");
        assert_eq!(ask(&ending_in(7200), body.clone()).await.body["expires_in"], 3600);
        let media = environment.stored(RECORDING).await.unwrap().media;
        let refused = ask(&ending_in(59), body).await;
        assert_eq!((refused.status, &refused.body["error"]["code"]), (503, &json!("temporarily_unavailable")));
        assert_eq!(environment.stored(RECORDING).await.unwrap().media, media, "no media file was added");
    }
}

#[tokio::test]
async fn a_later_presigned_url_extends_the_expiry() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let function = function(&environment);
    let asked = with_header(event("create-upload-url"), "idempotency-key", "k1");
    // The call is begun, and no more of it is done.
    environment.emulators.faults().fail_after(1, "UpdateItem", capstan_emulators::Fault::Internal, 20);
    assert_eq!(call(&function, asked.clone()).await.status, 503);
    environment.emulators.faults().clear();
    environment.advance(7200);
    let answer = call(&function, asked).await;
    assert_eq!(answer.status, 200);
    let recording = environment.stored(RECORDING).await.unwrap();
    let ends: Vec<_> = recording.media.values().map(|media| media.url_expires_at).collect();
    assert_eq!(ends, [environment.now().plus_seconds(3600)]);
}
