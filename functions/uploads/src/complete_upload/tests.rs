use capstan_domain::{ContentType, MediaStatus, Mode, Sha256, Status, Tenant};
use capstan_emulators::Fault;
use capstan_lambda::Function;
use capstan_test_environment::{
    Answer, DEVICE_TOKEN, RECORDING, TestEnvironment, call, event, with_body, with_credential, with_header, with_id,
    without_header,
};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

/// The call without an `Idempotency-Key`.
fn plain(body: Value) -> Value {
    with_body(without_header(event("complete-upload"), "idempotency-key"), body)
}

async fn complete(function: &Function, body: Value) -> Answer {
    call(function, plain(body)).await
}

fn hash(bytes: &str) -> String {
    Sha256::of(bytes.as_bytes()).to_string()
}

#[tokio::test]
async fn answers_with_the_recording_uploaded_and_tells_the_bus_once() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    let answer = call(&function(&environment), event("complete-upload")).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("uploaded")));
    assert_eq!(answer.body["uploaded_at"], "2024-11-20T09:00:00Z");
    assert_eq!(answer.body["content_sha256"], hash("bytes"));
    let events = environment.emulators.take_events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event["detail-type"], "recording.uploaded");
    assert_eq!(events[0].event["detail"]["recording_id"], RECORDING);
}

#[tokio::test]
async fn reads_the_credential_then_writes_once_and_then_tells() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    complete(&function(&environment), json!({})).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:UpdateItem", "events:PutEvents"]);
}

#[tokio::test]
async fn an_object_counts_as_uploaded_before_its_notification() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    environment.put(&recording, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, b"bytes".to_vec()).await;
    let _ = environment.emulators.take_calls();
    let answer = complete(&function(&environment), json!({})).await;
    assert_eq!((answer.status, &answer.body["media"][0]["status"]), (200, &json!("uploaded")));
    assert_eq!(
        environment.emulators.take_calls(),
        ["dynamodb:GetItem", "dynamodb:UpdateItem", "s3:HeadObject", "dynamodb:UpdateItem", "events:PutEvents"],
        "the refused write brought the recording along"
    );
}

#[tokio::test]
async fn missing_files_stay_pending_and_are_listed() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).pending().await;
    let answer = complete(&function(&environment), json!({})).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("uploaded")));
    assert_eq!(answer.body["media"][1]["status"], "pending");
}

#[tokio::test]
async fn completion_without_objects_is_refused() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    environment.recording().id("rec_1").awaiting(ContentType::AudioOpus).pending().await;
    let function = function(&environment);
    for id in [RECORDING, "rec_1"] {
        let answer = call(&function, with_id(plain(json!({})), id)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("media_not_uploaded")));
        assert_eq!(environment.stored(id).await.unwrap().status, Status::Pending);
    }
    assert!(environment.published().await.is_empty());
}

#[tokio::test]
async fn a_repeat_returns_the_same_response_and_publishes_nothing() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).pending().await;
    let function = function(&environment);
    let marked = || with_header(plain(json!({"content_sha256": hash("x")})), "idempotency-key", "key-1");
    let first = call(&function, marked()).await;
    assert_eq!(first.status, 200, "{}", first.body);
    environment.advance(60);
    for repeat in [marked(), plain(json!({"content_sha256": hash("x")}))] {
        let again = call(&function, repeat).await;
        assert_eq!((again.status, again.body), (200, first.body.clone()));
    }
    let other = call(&function, with_header(plain(json!({})), "idempotency-key", "key-2")).await;
    assert_eq!(other.body["error"]["code"], "recording_not_pending");
    let reused = call(&function, with_header(plain(json!({})), "idempotency-key", "key-1")).await;
    assert_eq!((reused.status, &reused.body["error"]["code"]), (409, &json!("idempotency_key_reused")));
    assert_eq!(environment.published().await, ["recording.uploaded"]);
}

#[tokio::test]
async fn a_repeat_after_processing_still_gets_the_first_answer() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").pending().await;
    let first = call(&function(&environment), event("complete-upload")).await;
    let lease = capstan_domain::LeaseId::new(environment.now(), 1);
    environment.advance(10);
    let id = TestEnvironment::recording_id(RECORDING);
    let claimed = environment.store.claim(&id, &lease, environment.now()).await.unwrap().unwrap();
    environment.store.finish(&claimed, &lease, None, environment.now()).await.unwrap();
    let again = call(&function(&environment), event("complete-upload")).await;
    assert_eq!((again.status, again.body), (200, first.body));
}

#[tokio::test]
async fn any_other_call_on_a_completed_upload_is_refused() {
    let environment = TestEnvironment::start().await;
    let holding = || environment.recording().holding(ContentType::AudioOpus, "x");
    holding().id("rec_1").uploaded().await;
    holding().id("rec_2").processing().await;
    holding().id("rec_3").completed().await;
    let function = function(&environment);
    for (id, status) in [("rec_1", "uploaded"), ("rec_2", "processing"), ("rec_3", "completed")] {
        let answer = call(&function, with_id(plain(json!({})), id)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("recording_not_pending")));
        assert_eq!(answer.body["error"]["details"]["status"], status);
    }
}

#[tokio::test]
async fn concurrent_completions_publish_one_event() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    environment.put(&recording, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, b"x".to_vec()).await;
    let function = function(&environment);
    let (a, b, c, d) = tokio::join!(
        complete(&function, json!({})),
        complete(&function, json!({})),
        complete(&function, json!({})),
        complete(&function, json!({})),
    );
    let mut statuses = [a.status, b.status, c.status, d.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400]);
    assert_eq!(environment.published().await, ["recording.uploaded"]);
}

#[tokio::test]
async fn verifies_the_hash_with_and_without_a_notification() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    let unnoticed = environment.recording().id("rec_1").awaiting(ContentType::AudioOpus).pending().await;
    environment.put(&unnoticed, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, b"bytes".to_vec()).await;
    let function = function(&environment);
    for id in [RECORDING, "rec_1"] {
        let answer = call(&function, with_id(plain(json!({"content_sha256": hash("bytes")})), id)).await;
        assert_eq!((answer.status, &answer.body["content_sha256"]), (200, &json!(hash("bytes"))), "{}", answer.body);
        assert_eq!(answer.body["content_sha256_verified_at"], "2024-11-20T09:00:00Z");
    }
}

#[tokio::test]
async fn a_wrong_hash_is_409_and_the_file_may_be_uploaded_again() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "wrong").pending().await;
    let function = function(&environment);
    let claim = || json!({"content_sha256": hash("right")});
    for _ in 0..2 {
        let answer = complete(&function, claim()).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (409, &json!("integrity_mismatch")));
        assert_eq!(answer.body["error"]["details"]["stored_sha256"], hash("wrong"));
    }
    let stored = environment.stored(RECORDING).await.unwrap();
    assert_eq!(stored.status, Status::Pending);
    assert_eq!(stored.media.values().next().unwrap().status(), MediaStatus::Pending);
    environment.put(&recording, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, b"right".to_vec()).await;
    assert_eq!(complete(&function, claim()).await.status, 200);
    assert_eq!(environment.published().await, ["recording.uploaded"]);
}

#[tokio::test]
async fn bytes_that_differ_from_the_declaration_are_rejected() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "wrong").pending().await;
    let function = function(&environment);
    assert_eq!(complete(&function, json!({"content_sha256": hash("right")})).await.status, 409);
    let media_id = TestEnvironment::media_id("med_1");
    environment.redeclared(&recording, &media_id, Sha256::of(b"right")).await;
    let answer = complete(&function, json!({})).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("media_not_uploaded")));
    environment.put(&recording, &media_id, ContentType::AudioOpus, b"right".to_vec()).await;
    assert_eq!(complete(&function, json!({})).await.status, 200);
}

#[tokio::test]
async fn a_wrong_claim_can_be_corrected_without_uploading_again() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    let function = function(&environment);
    assert_eq!(complete(&function, json!({"content_sha256": hash("other")})).await.status, 409);
    assert_eq!(complete(&function, json!({"content_sha256": hash("bytes")})).await.status, 200);
}

#[tokio::test]
async fn a_large_object_is_verified_in_the_background() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioWav).pending().await;
    let size = usize::try_from(capstan_uploads::MAX_HASHED_IN_REQUEST_BYTES).unwrap() + 1;
    environment.put(&recording, &TestEnvironment::media_id("med_1"), ContentType::AudioWav, vec![0; size]).await;
    let answer = complete(&function(&environment), json!({"content_sha256": hash("x")})).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (425, &json!("verification_pending")));
    assert_eq!(answer.headers["retry-after"], "30");
    assert_eq!(environment.store.due(environment.now(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_size_than_claimed_is_refused_and_the_recording_stays_pending() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    let function = function(&environment);
    let answer = complete(&function, json!({"file_size_bytes": 6})).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("file_size_invalid")));
    assert_eq!(complete(&function, json!({"file_size_bytes": 5})).await.status, 200);
}

#[tokio::test]
async fn a_failing_bus_does_not_undo_the_completion() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "bytes").pending().await;
    environment.emulators.faults().fail_next("PutEvents", Fault::Unavailable, 10);
    assert_eq!(complete(&function(&environment), json!({})).await.status, 200);
    environment.advance(capstan_domain::PICK_UP_SECONDS);
    assert_eq!(
        environment.store.due(environment.now(), 10).await.unwrap().len(),
        1,
        "its event is due to be published again"
    );
}

#[tokio::test]
async fn foreign_resources_are_404() {
    let environment = TestEnvironment::start().await;
    let test_data = Tenant { mode: Mode::Test, ..TestEnvironment::tenant() };
    environment.recording().of(test_data).holding(ContentType::AudioOpus, "x").pending().await;
    environment.recording().id("rec_1").with(|recording| recording.origin.device_id = None).pending().await;
    let function = function(&environment);
    for body in [json!({}), json!({"content_sha256": hash("x")})] {
        assert_eq!(call(&function, plain(body.clone())).await.status, 404);
        let as_device = with_id(with_credential(plain(body), DEVICE_TOKEN), "rec_1");
        assert_eq!(call(&function, as_device).await.status, 404);
    }
}

#[tokio::test]
async fn names_the_invalid_field_and_its_rule() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").pending().await;
    let function = function(&environment);
    for (event, param) in [
        (plain(json!({"content_sha256": "xyz"})), "content_sha256"),
        (plain(json!({"file_size_bytes": 0})), "file_size_bytes"),
        (with_header(plain(json!({})), "idempotency-key", "no spaces"), "Idempotency-Key"),
    ] {
        let answer = call(&function, event).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(param)));
    }
    assert_eq!(environment.stored(RECORDING).await.unwrap().status, Status::Pending);
}

#[tokio::test]
async fn completes_100_unreported_media_files_in_one_write() {
    let environment = TestEnvironment::start().await;
    let awaiting = (0..100).fold(environment.recording(), |recording, _| recording.awaiting(ContentType::ImagePng));
    let recording = awaiting.pending().await;
    for media_id in recording.media.keys() {
        environment.put(&recording, media_id, ContentType::ImagePng, b"x".to_vec()).await;
    }
    let answer = complete(&function(&environment), json!({})).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("uploaded")), "{}", answer.body["error"]);
    assert!(answer.body["media"].as_array().unwrap().iter().all(|media| media["status"] == "uploaded"));
}

#[tokio::test]
async fn verifies_a_declared_hash_before_the_notification_arrives() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().in_parts(ContentType::AudioWav, 3).pending().await;
    environment.send_parts(&recording, &TestEnvironment::media_id("med_1")).await;
    let (media, upload) = recording.multipart_upload(&TestEnvironment::media_id("med_1")).unwrap();
    let key = capstan_objects::ObjectKey::of(&recording, media);
    let parts = environment.objects.received_parts(&key, upload).await.unwrap().unwrap();
    environment.objects.complete_multipart_upload(&key, &upload.id, &parts).await.unwrap().unwrap();
    let object = environment.objects.find(&key, environment.now()).await.unwrap().unwrap();
    environment.store.record_object(&recording.id, &media.id, &object, environment.now()).await.unwrap();
    let claim = json!({"content_sha256": hash("\u{1}\u{1}\u{1}")});
    let answer = complete(&function(&environment), claim.clone()).await;
    assert_eq!((answer.status, &answer.body["content_sha256"]), (200, &claim["content_sha256"]), "{}", answer.body);
    assert_eq!(answer.body["content_sha256_verified_at"], "2024-11-20T09:00:00Z");
}

#[tokio::test]
async fn a_file_with_missing_parts_stays_pending() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").in_parts(ContentType::AudioWav, 3).pending().await;
    let answer = complete(&function(&environment), json!({})).await;
    assert_eq!((answer.status, &answer.body["media"][1]["status"]), (200, &json!("pending")));
    assert_eq!(environment.open_uploads().await.len(), 1);
}

#[tokio::test]
async fn a_service_that_hangs_is_503_before_the_function_ends() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let media_id = TestEnvironment::media_id("med_1");
    environment.put(&recording, &media_id, ContentType::AudioOpus, b"x".to_vec()).await;
    let function = function(&environment);
    let body = json!({"content_sha256": hash("x")});
    let keyed = with_header(with_body(event("complete-upload"), body), "idempotency-key", "k");
    let hangs = Fault::Delay(std::time::Duration::from_secs(60));
    environment.emulators.faults().fail_next("GetObject", hangs, 9);
    let timeout = std::time::Duration::from_secs(4);
    let answer = function.invoke_within(keyed.clone(), timeout).await.unwrap();
    assert_eq!(answer["statusCode"], 503, "{answer}");
    assert_eq!(answer["headers"]["retry-after"], "1");
    environment.emulators.faults().clear();
    // The key is free again, long before a request counts as dead.
    let again = call(&function, keyed).await;
    assert_eq!((again.status, &again.body["status"]), (200, &json!("uploaded")), "{}", again.body);
}
