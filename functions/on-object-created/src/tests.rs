use capstan_domain::{ContentType, MediaStatus, Reach, Recording, Sha256, Status};
use capstan_lambda::{Function, event_function};
use capstan_stage::{MEDIA, RECORDING, Stage, event};
use serde_json::{Value, json};

fn function(stage: &Stage) -> Function {
    let dependencies = (stage.store.clone(), stage.objects.clone(), stage.events.clone());
    event_function(dependencies, stage.clock(), super::handle)
}

/// A pending recording with one awaited medium, its bytes put into S3; gives the notification that S3 sends.
async fn notified(stage: &Stage, recording: &Recording, bytes: &str) -> Value {
    stage.put(recording, &Stage::media_id("med_1"), ContentType::AudioOpus, bytes.into()).await;
    let notification = stage.emulators.next_object_created().await.unwrap();
    let _ = stage.emulators.take_calls();
    notification
}

async fn medium(stage: &Stage) -> capstan_domain::Media {
    stage.stored(RECORDING).await.unwrap().media[&Stage::media_id("med_1")].clone()
}

#[tokio::test]
async fn takes_the_event_file() {
    let stage = Stage::set().await;
    let recording = stage.recording().pending().await;
    let reach = Reach::Tenant { tenant: Stage::tenant() };
    let with_medium = stage.recording().id("rec_model").awaiting(ContentType::AudioOpus).pending().await;
    let mut media = with_medium.media[&Stage::media_id("med_1")].clone();
    media.id = Stage::media_id(MEDIA);
    stage.store.add_media(&reach, &recording.id, &media, stage.now()).await.unwrap();
    stage.put(&recording, &media.id, ContentType::AudioOpus, b"opus".to_vec()).await;
    function(&stage).invoke(event("on-object-created")).await.unwrap();
    assert_eq!(stage.stored(RECORDING).await.unwrap().media[&media.id].status, MediaStatus::Uploaded);
}

#[tokio::test]
async fn records_the_size_and_the_hash_of_the_stored_bytes_with_one_read_and_one_write() {
    let stage = Stage::set().await;
    let recording = stage.recording().awaiting(ContentType::AudioOpus).pending().await;
    let notification = notified(&stage, &recording, "bytes").await;
    function(&stage).invoke(notification).await.unwrap();
    assert_eq!(stage.emulators.take_calls(), ["s3:GetObject", "dynamodb:UpdateItem"]);
    let stored = medium(&stage).await.stored.unwrap();
    assert_eq!((stored.size_bytes, stored.sha256), (5, Some(Sha256::of(b"bytes"))));
}

#[tokio::test]
async fn a_notification_twice_and_out_of_order_changes_nothing() {
    let stage = Stage::set().await;
    let recording = stage.recording().awaiting(ContentType::AudioOpus).pending().await;
    let first = notified(&stage, &recording, "first").await;
    let second = notified(&stage, &recording, "second").await;
    let function = function(&stage);
    for notification in [&second, &first, &second, &first] {
        function.invoke(notification.clone()).await.unwrap();
        let stored = medium(&stage).await.stored.unwrap();
        assert_eq!((stored.size_bytes, stored.sha256), (6, Some(Sha256::of(b"second"))));
    }
}

#[tokio::test]
async fn bytes_that_replace_others_while_the_recording_is_open_are_taken() {
    let stage = Stage::set().await;
    let recording = stage.recording().awaiting(ContentType::AudioOpus).pending().await;
    let function = function(&stage);
    function.invoke(notified(&stage, &recording, "first").await).await.unwrap();
    function.invoke(notified(&stage, &recording, "second").await).await.unwrap();
    assert_eq!(medium(&stage).await.stored.unwrap().sha256, Some(Sha256::of(b"second")));
}

#[tokio::test]
async fn bytes_that_replace_others_after_completion_are_ignored() {
    let stage = Stage::set().await;
    let recording = stage.recording().holding(ContentType::AudioOpus, "first").uploaded().await;
    let notification = notified(&stage, &recording, "second").await;
    function(&stage).invoke(notification).await.unwrap();
    assert_eq!(medium(&stage).await.stored.unwrap().sha256, Some(Sha256::of(b"first")));
}

#[tokio::test]
async fn a_medium_that_arrives_after_completion_is_announced_and_due() {
    let stage = Stage::set().await;
    let recording =
        stage.recording().awaiting(ContentType::AudioOpus).holding(ContentType::ImagePng, "x").completed().await;
    let notification = notified(&stage, &recording, "late").await;
    function(&stage).invoke(notification).await.unwrap();
    let told = stage.emulators.next_event().await.unwrap();
    assert_eq!(
        (&told.event["detail-type"], &told.event["detail"]["recording_id"]),
        (&json!("media.uploaded"), &json!(RECORDING))
    );
    assert_eq!(medium(&stage).await.status, MediaStatus::Uploaded);
    assert_eq!(stage.stored(RECORDING).await.unwrap().status, Status::Completed);
    stage.advance(capstan_domain::PICK_UP_SECONDS);
    assert_eq!(stage.store.due(stage.now(), 10).await.unwrap().len(), 1, "it is looked after until it is processed");
}

#[tokio::test]
async fn an_object_without_a_recording_is_deleted() {
    let stage = Stage::set().await;
    let recording = stage.recording().awaiting(ContentType::AudioOpus).pending().await;
    let notification = notified(&stage, &recording, "orphan").await;
    let reach = Reach::Tenant { tenant: Stage::tenant() };
    stage.store.delete_recording(&reach, &recording.id, stage.now()).await.unwrap();
    function(&stage).invoke(notification).await.unwrap();
    assert!(stage.object_keys().await.is_empty());
}

#[tokio::test]
async fn an_object_of_another_size_than_declared_does_not_count_as_arrived() {
    let stage = Stage::set().await;
    let recording = stage.recording().awaiting(ContentType::AudioOpus).pending().await;
    let reach = Reach::Tenant { tenant: Stage::tenant() };
    let renewal = capstan_store::Renewal {
        media_id: Stage::media_id("med_1"),
        content_type: None,
        size: Some(capstan_domain::FileSize::new(7).unwrap()),
        sha256: None,
        captured_at: None,
        url_expires_at: stage.now(),
        multipart: None,
    };
    stage.store.renew_media(&reach, &recording.id, &renewal, stage.now()).await.unwrap();
    function(&stage).invoke(notified(&stage, &recording, "five!").await).await.unwrap();
    assert_eq!(medium(&stage).await.status, MediaStatus::Pending);
}

#[tokio::test]
async fn renditions_and_foreign_objects_are_passed_over() {
    let stage = Stage::set().await;
    let function = function(&stage);
    for key in ["proj_1/rec_1/med_1/renditions/peaks.json", "logs/2025.txt", "a+b%2Fc"] {
        let mut event = event("on-object-created");
        event["Records"][0]["s3"]["object"]["key"] = json!(key);
        function.invoke(event).await.unwrap();
    }
    assert!(stage.emulators.take_calls().is_empty());
}

#[tokio::test]
async fn a_busy_service_makes_the_invocation_fail_so_that_lambda_repeats_it() {
    let stage = Stage::set().await;
    let recording = stage.recording().awaiting(ContentType::AudioOpus).pending().await;
    let notification = notified(&stage, &recording, "bytes").await;
    stage.emulators.faults().fail_next("UpdateItem", capstan_emulators::Fault::Throttle, 10);
    assert!(function(&stage).invoke(notification.clone()).await.is_err());
    stage.emulators.faults().clear();
    function(&stage).invoke(notification).await.unwrap();
    assert_eq!(medium(&stage).await.status, MediaStatus::Uploaded);
}
