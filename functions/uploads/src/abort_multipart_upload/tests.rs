use capstan_domain::{ContentType, MediaId};
use capstan_lambda::Function;
use capstan_objects::ObjectKey;
use capstan_test_environment::{
    DEVICE_TOKEN, RECORDING, TestEnvironment, call, event, with_credential, with_id, with_media_id,
};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

fn med_1() -> MediaId {
    TestEnvironment::media_id("med_1")
}

fn abort() -> Value {
    with_media_id(event("abort-multipart-upload"), "med_1")
}

#[tokio::test]
async fn removes_the_upload_and_the_file_and_a_repeat_finds_none() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, 3).pending().await;
    environment.send_parts(&recording, &med_1()).await;
    let _ = environment.emulators.take_calls();
    assert_eq!(call(&function(&environment), abort()).await.status, 204);
    assert_eq!(
        environment.emulators.take_calls(),
        ["dynamodb:GetItem", "dynamodb:GetItem", "s3:AbortMultipartUpload", "dynamodb:UpdateItem"]
    );
    assert!(environment.open_uploads().await.is_empty());
    assert!(environment.stored(RECORDING).await.unwrap().media.is_empty());
    assert_eq!(call(&function(&environment), abort()).await.status, 404);
}

#[tokio::test]
async fn completes_a_recording_without_its_aborted_file() {
    let environment = TestEnvironment::start().await;
    environment.recording().in_parts(ContentType::AudioWav, 3).holding(ContentType::AudioOpus, "x").pending().await;
    assert_eq!(call(&function(&environment), abort()).await.status, 204);
    let visibility = capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() };
    let completion = capstan_domain::Completion::default();
    let changed = environment
        .store
        .complete_upload(&visibility, &TestEnvironment::recording_id(RECORDING), &completion, environment.now())
        .await;
    assert!(matches!(changed.unwrap(), capstan_store::Changed::Made(_)), "nothing is awaited any more");
}

#[tokio::test]
async fn an_upload_that_s3_aborted_is_aborted_all_the_same() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, 3).pending().await;
    let (media, upload) = recording.multipart_upload(&med_1()).unwrap();
    environment.objects.abort_multipart_upload(&ObjectKey::of(&recording, media), &upload.id).await.unwrap();
    assert_eq!(call(&function(&environment), abort()).await.status, 204);
    assert!(environment.stored(RECORDING).await.unwrap().media.is_empty());
}

#[tokio::test]
async fn removes_unrecorded_files_and_keeps_recorded_ones() {
    let environment = TestEnvironment::start().await;
    for noted in [false, true] {
        let id = if noted { "rec_1" } else { "rec_2" };
        let recording = environment.recording().id(id).in_parts(ContentType::AudioWav, 3).pending().await;
        environment.send_parts(&recording, &med_1()).await;
        let (media, upload) = recording.multipart_upload(&med_1()).unwrap();
        let key = ObjectKey::of(&recording, media);
        let parts = environment.objects.received_parts(&key, upload).await.unwrap().unwrap();
        environment.objects.complete_multipart_upload(&key, &upload.id, &parts).await.unwrap().unwrap();
        if noted {
            let object = environment.objects.find(&key, environment.now()).await.unwrap().unwrap();
            environment.store.record_object(&recording.id, &media.id, &object, environment.now()).await.unwrap();
        }
        let answer = call(&function(&environment), with_id(abort(), id)).await;
        assert_eq!(answer.status, if noted { 409 } else { 204 });
        assert_eq!(environment.object_keys().await.len(), usize::from(noted));
    }
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
    for event in [as_device(with_id(abort(), "rec_1")), with_media_id(abort(), "med_2"), with_media_id(abort(), "x")] {
        let answer = call(&function, event).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &json!("not_found")));
    }
    assert_eq!(environment.open_uploads().await.len(), 2);
    assert_eq!(call(&function, as_device(abort())).await.status, 204);
}
