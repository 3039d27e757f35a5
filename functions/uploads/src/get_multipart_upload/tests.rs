use capstan_domain::{ContentType, MediaId, Recording};
use capstan_lambda::Function;
use capstan_objects::ObjectKey;
use capstan_test_environment::{
    Answer, DEVICE_TOKEN, TestEnvironment, call, event, with_credential, with_id, with_media_id, with_query,
};
use serde_json::{Value, json};

const MIB: u64 = 1024 * 1024;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

fn first() -> Value {
    with_media_id(event("get-multipart-upload"), "med_1")
}

async fn ask(environment: &TestEnvironment) -> Answer {
    call(&function(environment), first()).await
}

fn med_1() -> MediaId {
    TestEnvironment::media_id("med_1")
}

async fn abort(environment: &TestEnvironment, recording: &Recording) {
    let (media, upload) = recording.multipart_upload(&med_1()).unwrap();
    environment.objects.abort_multipart_upload(&ObjectKey::of(recording, media), &upload.id).await.unwrap();
}

#[tokio::test]
async fn returns_received_parts_and_urls_for_missing_ones() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, 11 * MIB).pending().await;
    environment.send_part(&recording, &med_1(), 3).await;
    environment.send_part(&recording, &med_1(), 1).await;
    let answer = ask(&environment).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    insta::assert_json_snapshot!(
        answer.body,
        {".parts[].upload_url" => "[url]", ".upload_id" => "[id]"},
        @r#"
        {
          "content_type": "audio/wav",
          "expires_at": "2024-11-20T10:00:00Z",
          "expires_in": 3600,
          "file_size_bytes": 11534336,
          "headers": {},
          "media_id": "med_1",
          "method": "PUT",
          "next_part_number": null,
          "part_size_bytes": 5242880,
          "parts": [
            {
              "part_number": 2,
              "size_bytes": 5242880,
              "upload_url": "[url]"
            }
          ],
          "parts_received": [
            {
              "etag": "08b46181d7094b5ece88bb389c7499af",
              "part_number": 1,
              "size_bytes": 5242880
            },
            {
              "etag": "3bc3be0b850eacf461ec036374616058",
              "part_number": 3,
              "size_bytes": 1048576
            }
          ],
          "status": "pending",
          "upload_id": "[id]"
        }
        "#
    );
}

#[tokio::test]
async fn reads_the_credential_and_the_recording_and_then_lists_each_thousand_parts_side_by_side() {
    let environment = TestEnvironment::start().await;
    environment.recording().in_parts(ContentType::AudioWav, 1000 * 5 * MIB).pending().await;
    environment.recording().id("rec_1").in_parts(ContentType::AudioWav, 50_000 * MIB).pending().await;
    for (id, pages) in [(capstan_test_environment::RECORDING, 1), ("rec_1", 10)] {
        assert_eq!(call(&function(&environment), with_id(first(), id)).await.status, 200);
        let calls = [vec!["dynamodb:GetItem"; 2], vec!["s3:ListParts"; pages]].concat();
        assert_eq!(environment.emulators.take_calls(), calls);
    }
}

#[tokio::test]
async fn signs_from_the_part_that_is_asked_for() {
    let environment = TestEnvironment::start().await;
    environment.recording().in_parts(ContentType::AudioWav, 50_000 * MIB).pending().await;
    let from = |part| with_query(first(), &[("from_part", part)]);
    let answer = call(&function(&environment), from("9999")).await;
    let numbers: Vec<_> = answer.body["parts"].as_array().unwrap().iter().map(|part| &part["part_number"]).collect();
    assert_eq!((numbers, &answer.body["next_part_number"]), (vec![&json!(9999), &json!(10_000)], &json!(null)));
    for wrong in ["0", "10001", "first"] {
        let answer = call(&function(&environment), from(wrong)).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!("from_part")));
    }
}

#[tokio::test]
async fn an_upload_that_s3_aborted_says_how_to_begin_again() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, MIB).pending().await;
    abort(&environment, &recording).await;
    let answer = ask(&environment).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("upload_expired")));
    assert_eq!(answer.body["error"]["details"]["media_id"], "med_1");
    assert!(answer.body["error"]["message"].as_str().unwrap().contains("upload-url"));
}

#[tokio::test]
async fn a_complete_file_has_no_missing_parts() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, MIB).pending().await;
    environment.send_parts(&recording, &med_1()).await;
    let (media, upload) = recording.multipart_upload(&med_1()).unwrap();
    let key = ObjectKey::of(&recording, media);
    let parts = environment.objects.received_parts(&key, upload).await.unwrap().unwrap();
    environment.objects.complete_multipart_upload(&key, &upload.id, &parts).await.unwrap().unwrap();
    let unnoted = ask(&environment).await;
    let object = environment.objects.find(&key, environment.now()).await.unwrap().unwrap();
    environment.store.record_object(&recording.id, &media.id, &object, environment.now()).await.unwrap();
    for answer in [unnoted, ask(&environment).await] {
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("uploaded")), "{}", answer.body);
        assert_eq!((&answer.body["parts"], &answer.body["expires_at"]), (&json!([]), &json!(null)));
    }
}

#[tokio::test]
async fn an_object_of_other_parts_does_not_complete_the_upload() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, 1).pending().await;
    environment.put(&recording, &med_1(), ContentType::AudioWav, b"x".to_vec()).await;
    abort(&environment, &recording).await;
    assert_eq!(ask(&environment).await.body["error"]["code"], "upload_expired");
}

#[tokio::test]
async fn foreign_and_single_put_uploads_are_404() {
    let environment = TestEnvironment::start().await;
    environment.recording().in_parts(ContentType::AudioWav, 1).awaiting(ContentType::AudioOpus).pending().await;
    environment
        .recording()
        .id("rec_1")
        .in_parts(ContentType::AudioWav, 1)
        .with(|it| it.origin.device_id = None)
        .pending()
        .await;
    let function = function(&environment);
    let as_device = |event| with_credential(event, DEVICE_TOKEN);
    assert_eq!(call(&function, as_device(first())).await.status, 200);
    for (event, message) in [
        (as_device(with_id(first(), "rec_1")), "There is no such recording."),
        (with_media_id(first(), "med_2"), "There is no such multipart upload."),
        (with_media_id(first(), "med_3"), "There is no such media file."),
        (with_media_id(first(), "x"), "There is no such media file."),
    ] {
        let answer = call(&function, event).await;
        assert_eq!((answer.status, &answer.body["error"]["message"]), (404, &json!(message)));
    }
}

#[tokio::test]
async fn parts_are_listed_once_though_pages_reach_over_gaps() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, 2500 * 5 * MIB).pending().await;
    let sent = [1, 1000, 1001, 2500];
    for number in sent {
        environment.send_part(&recording, &med_1(), number).await;
    }
    let answer = ask(&environment).await;
    let received = answer.body["parts_received"].as_array().unwrap().iter();
    assert_eq!(received.map(|part| &part["part_number"]).collect::<Vec<_>>(), sent);
    assert_eq!(answer.body["parts"].as_array().unwrap().len(), 2496);
}
