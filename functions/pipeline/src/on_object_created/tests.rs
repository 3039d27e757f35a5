use capstan_domain::{ContentType, MediaStatus, Recording, Sha256, Status, Visibility};
use capstan_lambda::Function;
use capstan_test_environment::{MEDIA, RECORDING, TestEnvironment, event};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.event_function(super::handle)
}

/// A pending recording with one awaited media file, its bytes put into S3; gives the notification that S3 sends.
async fn notified(environment: &TestEnvironment, recording: &Recording, bytes: &str) -> Value {
    environment.put(recording, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, bytes.into()).await;
    let notification = environment.emulators.next_object_created().await.unwrap();
    let _ = environment.emulators.take_calls();
    notification
}

async fn media_file(environment: &TestEnvironment) -> capstan_domain::Media {
    environment.stored(RECORDING).await.unwrap().media[&TestEnvironment::media_id("med_1")].clone()
}

#[tokio::test]
async fn takes_the_event_file() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().pending().await;
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    let with_medium = environment.recording().id("rec_model").awaiting(ContentType::AudioOpus).pending().await;
    let mut media = with_medium.media[&TestEnvironment::media_id("med_1")].clone();
    media.id = TestEnvironment::media_id(MEDIA);
    environment.store.add_media(&visibility, &recording.id, &media, environment.now()).await.unwrap();
    environment.put(&recording, &media.id, ContentType::AudioOpus, b"opus".to_vec()).await;
    function(&environment).invoke(event("on-object-created")).await.unwrap();
    assert_eq!(environment.stored(RECORDING).await.unwrap().media[&media.id].status(), MediaStatus::Uploaded);
}

#[tokio::test]
async fn records_size_and_hash_with_one_read_and_one_write() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let notification = notified(&environment, &recording, "bytes").await;
    function(&environment).invoke(notification).await.unwrap();
    assert_eq!(environment.emulators.take_calls(), ["s3:GetObject", "dynamodb:UpdateItem"]);
    let stored = media_file(&environment).await.last_object().cloned().unwrap();
    assert_eq!((stored.size_bytes, stored.sha256), (5, Some(Sha256::of(b"bytes"))));
}

#[tokio::test]
async fn a_notification_twice_and_out_of_order_changes_nothing() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let first = notified(&environment, &recording, "first").await;
    let second = notified(&environment, &recording, "second").await;
    let function = function(&environment);
    for notification in [&second, &first, &second, &first] {
        function.invoke(notification.clone()).await.unwrap();
        let stored = media_file(&environment).await.last_object().cloned().unwrap();
        assert_eq!((stored.size_bytes, stored.sha256), (6, Some(Sha256::of(b"second"))));
    }
}

#[tokio::test]
async fn bytes_may_be_replaced_while_the_recording_is_open() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let function = function(&environment);
    function.invoke(notified(&environment, &recording, "first").await).await.unwrap();
    function.invoke(notified(&environment, &recording, "second").await).await.unwrap();
    assert_eq!(media_file(&environment).await.last_object().cloned().unwrap().sha256, Some(Sha256::of(b"second")));
}

#[tokio::test]
async fn an_object_that_replaces_a_processed_one_is_ignored() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "first").uploaded().await;
    let notification = notified(&environment, &recording, "second").await;
    function(&environment).invoke(notification).await.unwrap();
    assert_eq!(media_file(&environment).await.last_object().cloned().unwrap().sha256, Some(Sha256::of(b"first")));
}

#[tokio::test]
async fn a_file_that_arrives_after_completion_is_announced_and_due() {
    let environment = TestEnvironment::start().await;
    let recording =
        environment.recording().awaiting(ContentType::AudioOpus).holding(ContentType::ImagePng, "x").completed().await;
    let notification = notified(&environment, &recording, "late").await;
    function(&environment).invoke(notification).await.unwrap();
    let published = environment.emulators.next_event().await.unwrap();
    assert_eq!(
        (&published.event["detail-type"], &published.event["detail"]["recording_id"]),
        (&json!("media.uploaded"), &json!(RECORDING))
    );
    assert_eq!(media_file(&environment).await.status(), MediaStatus::Uploaded);
    assert_eq!(environment.stored(RECORDING).await.unwrap().status, Status::Completed);
    environment.advance(capstan_domain::PICK_UP_SECONDS);
    assert_eq!(
        environment.store.due(environment.now(), 10).await.unwrap().len(),
        1,
        "it is looked after until it is processed"
    );
}

#[tokio::test]
async fn an_object_without_a_recording_is_deleted() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let notification = notified(&environment, &recording, "orphan").await;
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &recording.id, environment.now()).await.unwrap();
    function(&environment).invoke(notification).await.unwrap();
    assert!(environment.object_keys().await.is_empty());
}

#[tokio::test]
async fn an_object_of_the_wrong_size_is_not_uploaded() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    let renewal = capstan_store::Renewal {
        media_id: TestEnvironment::media_id("med_1"),
        content_type: None,
        size: Some(capstan_domain::FileSize::new(7).unwrap()),
        sha256: None,
        captured_at: None,
        url_expires_at: environment.now(),
        multipart: None,
    };
    environment.store.renew_media(&visibility, &recording.id, &renewal, environment.now()).await.unwrap();
    function(&environment).invoke(notified(&environment, &recording, "five!").await).await.unwrap();
    assert_eq!(media_file(&environment).await.status(), MediaStatus::Pending);
}

#[tokio::test]
async fn renditions_and_foreign_objects_are_passed_over() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for key in ["proj_1/rec_1/med_1/renditions/peaks.json", "logs/2025.txt", "a+b%2Fc"] {
        let mut event = event("on-object-created");
        event["Records"][0]["s3"]["object"]["key"] = json!(key);
        function.invoke(event).await.unwrap();
    }
    assert!(environment.emulators.take_calls().is_empty());
}

#[tokio::test]
async fn a_throttled_call_fails_the_invocation_for_a_retry() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let notification = notified(&environment, &recording, "bytes").await;
    environment.emulators.faults().fail_next("UpdateItem", capstan_emulators::Fault::Throttle, 10);
    assert!(function(&environment).invoke(notification.clone()).await.is_err());
    environment.emulators.faults().clear();
    function(&environment).invoke(notification).await.unwrap();
    assert_eq!(media_file(&environment).await.status(), MediaStatus::Uploaded);
}
