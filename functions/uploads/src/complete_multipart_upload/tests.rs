use capstan_domain::{ContentType, MediaId, MediaStatus, Recording, Status};
use capstan_emulators::Fault;
use capstan_lambda::Function;
use capstan_objects::ObjectKey;
use capstan_test_environment::{
    Answer, DEVICE_TOKEN, RECORDING, TestEnvironment, call, event, with_body, with_credential, with_id, with_media_id,
};
use serde_json::{Value, json};

const MIB: u64 = 1024 * 1024;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

fn med_1() -> MediaId {
    TestEnvironment::media_id("med_1")
}

fn with(body: Value) -> Value {
    with_media_id(with_body(event("complete-multipart-upload"), body), "med_1")
}

async fn complete(environment: &TestEnvironment, body: Value) -> Answer {
    call(&function(environment), with(body)).await
}

/// The parts as a client knows them.
fn claim(tags: &[String]) -> Value {
    let part = |(index, tag): (usize, &String)| json!({"part_number": index + 1, "etag": tag});
    json!({"parts": tags.iter().enumerate().map(part).collect::<Vec<_>>()})
}

async fn in_two_parts(environment: &TestEnvironment) -> (Recording, Vec<String>) {
    let recording = environment.recording().in_parts(ContentType::AudioWav, 5 * MIB + 3).pending().await;
    let tags = environment.send_parts(&recording, &med_1()).await;
    let _ = environment.emulators.take_calls();
    (recording, tags)
}

async fn status(environment: &TestEnvironment) -> MediaStatus {
    environment.stored(RECORDING).await.unwrap().media[&med_1()].status()
}

#[tokio::test]
async fn answers_with_the_file_uploaded() {
    let environment = TestEnvironment::start().await;
    let (_, tags) = in_two_parts(&environment).await;
    let answer = complete(&environment, claim(&tags)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "captured_at": null,
      "created_at": "2024-11-20T09:00:00Z",
      "file_size_bytes": 5242883,
      "id": "med_1",
      "mime_type": "audio/wav",
      "renditions": [],
      "status": "uploaded",
      "type": "audio"
    }
    "#);
    let stored = environment.stored(RECORDING).await.unwrap();
    assert_eq!(stored.media[&med_1()].status(), MediaStatus::Uploaded);
    assert!(stored.media[&med_1()].last_object().unwrap().etag.ends_with("-2"));
    assert_eq!(environment.object_keys().await.len(), 1);
    assert!(environment.open_uploads().await.is_empty());
}

#[tokio::test]
async fn reads_the_credential_and_the_recording_lists_completes_and_writes_once() {
    let environment = TestEnvironment::start().await;
    in_two_parts(&environment).await;
    assert_eq!(complete(&environment, json!({})).await.status, 200);
    assert_eq!(
        environment.emulators.take_calls(),
        ["dynamodb:GetItem", "dynamodb:GetItem", "s3:ListParts", "s3:CompleteMultipartUpload", "dynamodb:UpdateItem"]
    );
    assert_eq!(complete(&environment, json!({})).await.status, 200);
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"], "a repeat");
}

#[tokio::test]
async fn lists_missing_parts_and_keeps_the_others() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, 16 * MIB).pending().await;
    environment.send_part(&recording, &med_1(), 2).await;
    environment.send_part(&recording, &med_1(), 4).await;
    let answer = complete(&environment, json!({})).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("parts_missing")));
    assert_eq!(answer.body["error"]["details"]["part_numbers"], json!([1, 3]));
    environment.send_part(&recording, &med_1(), 1).await;
    environment.send_part(&recording, &med_1(), 3).await;
    assert_eq!(complete(&environment, json!({})).await.status, 200);
}

#[tokio::test]
async fn names_the_part_that_is_claimed_wrongly() {
    let environment = TestEnvironment::start().await;
    let (_, tags) = in_two_parts(&environment).await;
    let unquoted = |index: usize| tags[index].trim_matches('"').to_owned();
    for (parts, code, param) in [
        (
            json!([{"part_number": 1, "etag": tags[0]}, {"part_number": 2, "etag": tags[0]}]),
            "invalid_request",
            json!("parts[1].etag"),
        ),
        (json!([{"part_number": 3, "etag": "x"}]), "invalid_request", json!("parts[0].part_number")),
        (json!([{"part_number": 0, "etag": "x"}]), "invalid_request", json!("parts[0].part_number")),
        (json!([{"part_number": 1.5, "etag": "x"}]), "invalid_request", json!("parts[0].part_number")),
        (json!([{"part_number": 1}]), "invalid_request", json!("parts[0]")),
        (json!([{"etag": "x"}]), "invalid_request", json!("parts[0]")),
        (
            json!([{"part_number": 1, "etag": tags[0]}, {"part_number": 1, "etag": tags[0]}]),
            "invalid_request",
            json!("parts[1].part_number"),
        ),
        (json!([{"part_number": 1, "etag": tags[0]}]), "parts_missing", json!(null)),
        (json!("all"), "invalid_request", json!("parts")),
    ] {
        let answer = complete(&environment, json!({"parts": parts})).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["code"], &error["param"]), (400, &json!(code), &param), "{parts} {error}");
    }
    assert_eq!(status(&environment).await, MediaStatus::Pending);
    let parts = json!([{"part_number": 2, "etag": unquoted(1)}, {"part_number": 1, "etag": unquoted(0)}]);
    assert_eq!(complete(&environment, json!({"parts": parts})).await.status, 200, "in any order, without quotes");
}

#[tokio::test]
async fn all_concurrent_completions_get_200() {
    let environment = TestEnvironment::start().await;
    let (_, tags) = in_two_parts(&environment).await;
    let function = function(&environment);
    let ask = || call(&function, with(claim(&tags)));
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    for answer in [a, b, c, d] {
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("uploaded")), "{}", answer.body);
    }
    assert_eq!(environment.emulators.take_object_created().await.len(), 1, "one object was made");
}

#[tokio::test]
async fn a_completion_with_a_lost_response_is_recognised() {
    let environment = TestEnvironment::start().await;
    let (_, tags) = in_two_parts(&environment).await;
    environment.emulators.faults().fail_next("CompleteMultipartUpload", Fault::LoseAnswer, 1);
    assert_eq!(complete(&environment, claim(&tags)).await.status, 200);
    let calls = environment.emulators.take_calls();
    assert_eq!(
        calls[3..],
        ["s3:CompleteMultipartUpload", "s3:CompleteMultipartUpload", "s3:HeadObject", "dynamodb:UpdateItem"]
    );
}

#[tokio::test]
async fn a_repeated_completion_records_missing_objects() {
    let environment = TestEnvironment::start().await;
    let (_, tags) = in_two_parts(&environment).await;
    environment.emulators.faults().fail_next("UpdateItem", Fault::Unavailable, 3);
    assert_eq!(complete(&environment, claim(&tags)).await.status, 503);
    assert_eq!(status(&environment).await, MediaStatus::Pending);
    let mut wrong = tags.clone();
    wrong.swap(0, 1);
    let refused = complete(&environment, claim(&wrong)).await;
    assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!("parts")));
    assert_eq!(complete(&environment, claim(&tags)).await.status, 200);
    assert_eq!(status(&environment).await, MediaStatus::Uploaded);
}

#[tokio::test]
async fn a_failure_that_s3_tells_behind_a_200_is_a_failure() {
    let environment = TestEnvironment::start().await;
    in_two_parts(&environment).await;
    environment.emulators.faults().fail_next("CompleteMultipartUpload", Fault::InternalInBody, 3);
    let answer = complete(&environment, json!({})).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (503, &json!("temporarily_unavailable")));
    assert_eq!(status(&environment).await, MediaStatus::Pending);
    environment.emulators.faults().fail_next("CompleteMultipartUpload", Fault::InternalInBody, 1);
    assert_eq!(complete(&environment, json!({})).await.status, 200, "the SDK asks again");
}

#[tokio::test]
async fn the_notification_may_come_first_or_last_and_adds_the_hash() {
    let environment = TestEnvironment::start().await;
    let (recording, _) = in_two_parts(&environment).await;
    assert_eq!(complete(&environment, json!({})).await.status, 200);
    let key = ObjectKey::of(&recording, &recording.media[&med_1()]);
    let mut object = environment.objects.inspect(&key, environment.now()).await.unwrap().unwrap();
    object.sequencer = Some(capstan_domain::Sequencer::new("01"));
    environment.store.record_object(&recording.id, &med_1(), &object, environment.now()).await.unwrap();
    let noted = environment.stored(RECORDING).await.unwrap().media[&med_1()].clone();
    assert_eq!(noted.last_object(), Some(&object));
    assert_eq!(complete(&environment, json!({})).await.status, 200);
    assert_eq!(environment.stored(RECORDING).await.unwrap().media[&med_1()], noted);
}

#[tokio::test]
async fn an_upload_that_s3_aborted_says_how_to_begin_again() {
    let environment = TestEnvironment::start().await;
    let (recording, _) = in_two_parts(&environment).await;
    let (media, upload) = recording.multipart_upload(&med_1()).unwrap();
    environment.objects.abort_multipart_upload(&ObjectKey::of(&recording, media), &upload.id).await.unwrap();
    let answer = complete(&environment, json!({})).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("upload_expired")));
}

#[tokio::test]
async fn a_file_completed_after_its_recording_is_published_as_late() {
    let environment = TestEnvironment::start().await;
    let builder = environment.recording().holding(ContentType::AudioOpus, "x").in_parts(ContentType::AudioWav, 3);
    let recording = builder.uploaded().await;
    environment.send_parts(&recording, &TestEnvironment::media_id("med_2")).await;
    let answer = call(&function(&environment), with_media_id(with(json!({})), "med_2")).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("uploaded")), "{}", answer.body);
    let stored = environment.stored(RECORDING).await.unwrap();
    assert_eq!((stored.status, stored.processing.late_arrivals), (Status::Uploaded, 1));
    let events = environment.emulators.take_events().await;
    assert_eq!(events[0].event["detail-type"], "media.uploaded");
}

#[tokio::test]
async fn an_object_of_a_removed_media_file_is_deleted() {
    let environment = TestEnvironment::start().await;
    let (recording, _) = in_two_parts(&environment).await;
    let (media, upload) = recording.multipart_upload(&med_1()).unwrap();
    let visibility = capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() };
    let completion = capstan_uploads::MultipartCompletion {
        objects: &environment.objects,
        recording: &recording,
        media,
        upload,
        now: environment.now(),
    };
    let outbox = capstan_outbox::Outbox::new(&environment.store, &environment.events);
    let object = completion.object(&[]).await.unwrap();
    environment.store.remove_media(&visibility, &recording.id, &media.id, &upload.id, environment.now()).await.unwrap();
    assert!(completion.record(&environment.store, outbox, object).await.is_err());
    assert!(environment.object_keys().await.is_empty());
}

#[tokio::test]
async fn foreign_resources_are_404() {
    let environment = TestEnvironment::start().await;
    in_two_parts(&environment).await;
    environment
        .recording()
        .id("rec_1")
        .in_parts(ContentType::AudioWav, 1)
        .with(|it| it.origin.device_id = None)
        .pending()
        .await;
    let as_device = |id| with_id(with_credential(with(json!({})), DEVICE_TOKEN), id);
    assert_eq!(call(&function(&environment), as_device("rec_1")).await.status, 404);
    assert_eq!(call(&function(&environment), with_media_id(with(json!({})), "med_2")).await.status, 404);
    assert_eq!(call(&function(&environment), as_device(RECORDING)).await.status, 200);
}
