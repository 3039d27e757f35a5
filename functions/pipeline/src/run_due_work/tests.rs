use capstan_domain::{
    Completion, ContentType, EventType, LEASE_SECONDS, MAX_ATTEMPTS, MediaStatus, PICK_UP_SECONDS, Settings, Sha256,
    Status, TranscriptionSettings, Visibility,
};
use capstan_emulators::Fault;
use capstan_lambda::Function;
use capstan_objects::ObjectKey;
use capstan_store::{Changed, Due, Recorded, SweepLease};
use capstan_test_environment::{RECORDING, TestEnvironment, event};

fn function(environment: &TestEnvironment) -> Function {
    environment.event_function(super::handle)
}

async fn sweep(environment: &TestEnvironment) {
    function(environment).invoke(event("run-due-work")).await.unwrap();
}

#[tokio::test]
async fn nothing_due_costs_one_query_per_shard() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    sweep(&environment).await;
    assert_eq!(environment.emulators.take_calls(), vec!["dynamodb:Query"; 8]);
}

#[tokio::test]
async fn an_uploaded_recording_is_published_again_until_it_is_claimed() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").uploaded().await;
    sweep(&environment).await;
    assert!(environment.published().await.is_empty(), "not before its time");
    for _ in 0..3 {
        environment.advance(PICK_UP_SECONDS);
        sweep(&environment).await;
        sweep(&environment).await;
        assert_eq!(environment.published().await, ["recording.uploaded"], "once a round, however often it is swept");
    }
}

/// Whether this is published hours later, and then twice within half an hour.
async fn is_published_hours_later(environment: &TestEnvironment, what: &str) -> [bool; 3] {
    let mut is_published = [false; 3];
    for (seconds, is_published) in [7200, 1740, 60].into_iter().zip(&mut is_published) {
        environment.advance(seconds);
        sweep(environment).await;
        *is_published = environment.published().await.iter().any(|event| event == what);
    }
    is_published
}

#[tokio::test]
async fn an_unclaimed_recording_is_published_with_growing_intervals() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").uploaded().await;
    assert_eq!(is_published_hours_later(&environment, "recording.uploaded").await, [true, false, true]);
}

#[tokio::test]
async fn publishes_a_queued_transcription_with_growing_intervals() {
    for is_claimed in [false, true] {
        let environment = TestEnvironment::start().await;
        let transcription = environment.transcription().id("txn_1").pending().await;
        if is_claimed {
            let lease = capstan_domain::LeaseId::new(environment.now(), 1);
            environment.store.claim_transcription(&transcription.id, &lease, environment.now()).await.unwrap().unwrap();
        }
        let expected = if is_claimed { [true, true, false] } else { [true, false, true] };
        assert_eq!(is_published_hours_later(&environment, "transcription.due").await, expected);
    }
}

#[tokio::test]
async fn an_unreported_object_is_hashed_after_its_url_expires() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    let media_id = TestEnvironment::media_id("med_1");
    environment.put(&recording, &media_id, ContentType::AudioOpus, b"bytes".to_vec()).await;
    let found = environment
        .objects
        .find(&ObjectKey::of(&recording, &recording.media[&media_id]), environment.now())
        .await
        .unwrap();
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    let (arrivals, completion) = ([(media_id, found.unwrap())], Completion::default());
    let completed = environment.store.complete_verified_upload(
        &visibility,
        &recording,
        &arrivals,
        &completion,
        None,
        environment.now(),
    );
    assert!(matches!(completed.await.unwrap(), Changed::Made(_)));
    let finished = environment.processed(&recording.id).await;
    environment.store.event_published(&finished, EventType::Completed, environment.now()).await.unwrap();
    assert_eq!(finished.content_sha256(), None);
    environment.advance(3600);
    sweep(&environment).await;
    let stored = environment.stored(RECORDING).await.unwrap();
    assert_eq!((stored.content_sha256(), stored.updated_at), (Some(Sha256::of(b"bytes")), environment.now()));
    environment.advance(365 * 24 * 3600);
    assert!(environment.store.due(environment.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn bytes_other_than_those_declared_since_are_not_taken_after_their_url_ended() {
    let environment = TestEnvironment::start().await;
    let pending = environment.recording().holding(ContentType::AudioOpus, "x").holding(ContentType::ImagePng, "wrong");
    let recording = pending.pending().await;
    let (media_id, visibility) =
        (TestEnvironment::media_id("med_2"), Visibility::Tenant { tenant: TestEnvironment::tenant() });
    let wrong = recording.media[&media_id].last_object().cloned().unwrap();
    environment.store.reject_object(&recording.id, &media_id, &wrong, environment.now()).await.unwrap();
    let renewed = environment.redeclared(&recording, &media_id, Sha256::of(b"right")).await;
    let completion = Completion::default();
    let completed =
        environment.store.complete_verified_upload(&visibility, &renewed, &[], &completion, None, environment.now());
    assert!(matches!(completed.await.unwrap(), Changed::Made(_)));
    let finished = environment.processed(&recording.id).await;
    environment.store.event_published(&finished, EventType::Completed, environment.now()).await.unwrap();
    environment.advance(3600);
    sweep(&environment).await;
    assert_eq!(environment.stored(RECORDING).await.unwrap().media[&media_id].status(), MediaStatus::Pending);
    environment.put(&recording, &media_id, ContentType::ImagePng, b"right".to_vec()).await;
    let key = ObjectKey::of(&recording, &recording.media[&media_id]);
    let right = environment.objects.inspect(&key, environment.now()).await.unwrap().unwrap();
    let arrival = environment.store.record_object(&recording.id, &media_id, &right, environment.now()).await.unwrap();
    assert!(matches!(arrival, Recorded::Late(_)), "{arrival:?}");
}

#[tokio::test]
async fn processing_that_dies_is_retried_and_given_up_in_the_end() {
    let environment = TestEnvironment::start().await;
    let (recording, _) = environment.recording().holding(ContentType::AudioOpus, "x").processing().await;
    for attempt in 1..MAX_ATTEMPTS {
        environment.advance(LEASE_SECONDS);
        sweep(&environment).await;
        assert_eq!(environment.published().await, ["recording.uploaded"], "attempt {attempt}");
        let lease = capstan_domain::LeaseId::new(environment.now(), attempt.into());
        assert!(environment.store.claim(&recording.id, &lease, environment.now()).await.unwrap().is_some());
    }
    environment.advance(LEASE_SECONDS);
    sweep(&environment).await;
    assert_eq!(environment.published().await, ["recording.failed"]);
    let failed = environment.stored(RECORDING).await.unwrap();
    assert_eq!(failed.status, Status::Failed);
    assert_eq!(failed.end.error.unwrap().message, "Processing was tried 8 times and never ended.");
    environment.advance(365 * 24 * 3600);
    assert!(environment.store.due(environment.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_renewed_lease_is_respected() {
    let environment = TestEnvironment::start().await;
    let (recording, lease) = environment.recording().holding(ContentType::AudioOpus, "x").processing().await;
    environment.advance(LEASE_SECONDS / 2);
    assert!(environment.store.renew_lease(&recording.id, &lease, environment.now()).await.unwrap());
    environment.advance(LEASE_SECONDS / 2);
    sweep(&environment).await;
    assert!(environment.published().await.is_empty());
}

#[tokio::test]
async fn a_sweep_keeps_the_lease_of_a_worker_that_started_meanwhile() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "x").uploaded().await;
    environment.advance(PICK_UP_SECONDS);
    let due = environment.store.due(environment.now(), 10).await.unwrap();
    let [Due::Recording(due)] = due.as_slice() else { panic!("{due:?}") };
    // The clock stands at a whole minute, so both look ahead to the same one.
    let held = SweepLease::until(environment.now().plus_seconds(LEASE_SECONDS));
    environment.store.claim_due(due, held).await.unwrap().unwrap();
    let lease = capstan_domain::LeaseId::new(environment.now(), 1);
    assert!(environment.store.claim(&recording.id, &lease, environment.now()).await.unwrap().is_some());
    environment.store.release_due(&recording.id, held, None).await.unwrap();
    environment.advance(LEASE_SECONDS);
    assert_eq!(
        environment.store.due(environment.now(), 10).await.unwrap().len(),
        1,
        "who looks after it if its worker dies?"
    );
}

#[tokio::test]
async fn the_end_is_published_even_if_the_worker_died_before() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").completed().await;
    environment.advance(PICK_UP_SECONDS);
    sweep(&environment).await;
    assert_eq!(environment.published().await, ["recording.completed"]);
    environment.advance(365 * 24 * 3600);
    sweep(&environment).await;
    assert!(environment.published().await.is_empty());
}

#[tokio::test]
async fn an_expired_recording_is_deleted_with_its_objects() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).pending().await;
    environment.advance(capstan_domain::PENDING_SECONDS - 1);
    sweep(&environment).await;
    assert_eq!(environment.object_keys().await.len(), 1);
    environment.advance(1);
    sweep(&environment).await;
    assert!(environment.object_keys().await.is_empty());
    assert!(environment.stored(RECORDING).await.unwrap().deleted_at.is_some());
    environment.advance(7200);
    sweep(&environment).await;
    assert!(environment.stored(RECORDING).await.is_none());
}

#[tokio::test]
async fn deletes_late_objects_of_a_deleted_recording() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "x").completed().await;
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &recording.id, environment.now()).await.unwrap();
    sweep(&environment).await;
    assert!(environment.object_keys().await.is_empty());
    environment.put(&recording, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, b"late".to_vec()).await;
    environment.advance(7200);
    sweep(&environment).await;
    assert!(environment.object_keys().await.is_empty());
    assert!(environment.stored(RECORDING).await.is_none());
}

#[tokio::test]
async fn a_late_object_whose_notification_was_lost_is_found() {
    let environment = TestEnvironment::start().await;
    let recording =
        environment.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).completed().await;
    let finished = environment.stored(RECORDING).await.unwrap();
    let completed = EventType::Completed;
    environment.store.event_published(&finished, completed, environment.now()).await.unwrap();
    environment.put(&recording, &TestEnvironment::media_id("med_2"), ContentType::ImagePng, b"late".to_vec()).await;
    environment.advance(3600);
    sweep(&environment).await;
    assert_eq!(environment.published().await, ["media.uploaded"]);
    let media = &environment.stored(RECORDING).await.unwrap().media[&TestEnvironment::media_id("med_2")];
    assert_eq!(media.status(), MediaStatus::Uploaded);
}

#[tokio::test]
async fn finds_a_late_object_after_processing_ended() {
    let environment = TestEnvironment::start().await;
    let recording =
        environment.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).completed().await;
    environment.put(&recording, &TestEnvironment::media_id("med_2"), ContentType::ImagePng, b"late".to_vec()).await;
    environment.advance(7200);
    let finished = environment.stored(RECORDING).await.unwrap();
    let completed = EventType::Completed;
    environment.store.event_published(&finished, completed, environment.now()).await.unwrap();
    sweep(&environment).await;
    assert_eq!(environment.published().await, ["media.uploaded"]);
}

#[tokio::test]
async fn looks_once_for_a_missing_file_after_its_url_expires() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).completed().await;
    environment.advance(7200);
    let finished = environment.stored(RECORDING).await.unwrap();
    let completed = EventType::Completed;
    environment.store.event_published(&finished, completed, environment.now()).await.unwrap();
    sweep(&environment).await;
    environment.advance(365 * 24 * 3600);
    assert!(environment.store.due(environment.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_transcript_outlives_its_recording() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "x").completed().await;
    let transcription = environment.transcription().of(&recording).pending().await;
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.emulators.faults().fail_next("DeleteItem", Fault::Internal, 20);
    environment.store.delete_recording(&visibility, &recording.id, environment.now()).await.unwrap();
    environment.emulators.faults().clear();
    assert!(environment.stored_transcription(transcription.id.as_str()).await.is_some());
    environment.advance(7200);
    sweep(&environment).await;
    assert!(environment.stored(RECORDING).await.is_none());
    assert!(environment.stored_transcription(transcription.id.as_str()).await.is_none());
}

#[tokio::test]
async fn late_audio_is_transcribed_after_its_worker_died() {
    for automatic in [true, false] {
        let environment = TestEnvironment::start().await;
        let transcription = TranscriptionSettings { automatic, ..TranscriptionSettings::default() };
        environment
            .store
            .put_settings(&Settings { transcription, ..Settings::unset(TestEnvironment::tenant()) })
            .await
            .unwrap();
        let picture = environment.recording().holding(ContentType::ImagePng, "x").awaiting(ContentType::AudioOpus);
        let recording = picture.completed().await;
        environment.store.event_published(&recording, EventType::Completed, environment.now()).await.unwrap();
        environment
            .arrives(&recording, &TestEnvironment::media_id("med_2"), ContentType::AudioOpus, b"late".to_vec())
            .await;
        environment.processed(&recording.id).await;
        environment.advance(PICK_UP_SECONDS);
        sweep(&environment).await;
        let expected: &[&str] = if automatic { &["transcription.due"] } else { &[] };
        assert_eq!(environment.published().await, expected);
        assert_eq!(environment.stored(RECORDING).await.unwrap().transcriptions.is_empty(), !automatic);
    }
}

#[tokio::test]
async fn requested_verification_hashes_the_object() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().awaiting(ContentType::AudioOpus).pending().await;
    environment.put(&recording, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, b"bytes".to_vec()).await;
    environment.store.request_verification(&recording, environment.now()).await.unwrap();
    sweep(&environment).await;
    assert_eq!(environment.stored(RECORDING).await.unwrap().content_sha256(), Some(Sha256::of(b"bytes")));
    environment.advance(capstan_domain::PENDING_SECONDS);
    assert_eq!(environment.store.due(environment.now(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn large_objects_are_read_one_at_a_time() {
    let environment = TestEnvironment::start().await;
    for id in ["rec_1", "rec_2"] {
        let recording = environment.recording().id(id).awaiting(ContentType::AudioOpus).pending().await;
        environment
            .put(&recording, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, b"bytes".to_vec())
            .await;
        environment.store.request_verification(&recording, environment.now()).await.unwrap();
    }
    let _ = environment.emulators.take_calls();
    environment.emulators.faults().fail_next("GetObject", Fault::Delay(std::time::Duration::from_secs(2)), 1);
    sweep(&environment).await;
    let calls = environment.emulators.take_calls();
    let second = calls.iter().rposition(|call| call == "s3:GetObject").unwrap();
    let writes = calls[..second].iter().filter(|call| *call == "dynamodb:UpdateItem").count();
    assert!(writes >= 5, "both taken and held for longer, and the first noted before the second is read: {calls:?}");
}

#[tokio::test]
async fn a_late_file_that_kills_its_workers_is_given_up_and_the_recording_stays_completed() {
    let environment = TestEnvironment::start().await;
    let recording =
        environment.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).completed().await;
    let finished = environment.stored(RECORDING).await.unwrap();
    environment.store.event_published(&finished, EventType::Completed, environment.now()).await.unwrap();
    environment.put(&recording, &TestEnvironment::media_id("med_2"), ContentType::ImagePng, b"poison".to_vec()).await;
    environment.advance(3600);
    sweep(&environment).await;
    for attempt in 0..MAX_ATTEMPTS {
        assert_eq!(environment.published().await, ["media.uploaded"], "attempt {attempt}");
        let lease = capstan_domain::LeaseId::new(environment.now(), attempt.into());
        assert!(environment.store.claim(&recording.id, &lease, environment.now()).await.unwrap().is_some());
        environment.advance(LEASE_SECONDS);
        sweep(&environment).await;
    }
    environment.advance(365 * 24 * 3600);
    sweep(&environment).await;
    assert!(environment.published().await.is_empty(), "and never in a loop");
    let stored = environment.stored(RECORDING).await.unwrap();
    assert_eq!(stored.status, Status::Completed);
    assert!(stored.media[&TestEnvironment::media_id("med_2")].error().is_some());
    assert!(environment.store.due(environment.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failure_of_one_recording_affects_no_other() {
    let environment = TestEnvironment::start().await;
    let deleted = environment.recording().id("rec_1").holding(ContentType::AudioOpus, "x").pending().await;
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &deleted.id, environment.now()).await.unwrap();
    environment.recording().id("rec_2").holding(ContentType::AudioOpus, "x").uploaded().await;
    environment.advance(PICK_UP_SECONDS);
    environment.emulators.faults().fail_next("ListObjectsV2", Fault::Unavailable, 10);
    sweep(&environment).await;
    assert_eq!(environment.published().await, ["recording.uploaded"]);
    environment.emulators.faults().clear();
    assert_eq!(environment.object_keys().await.len(), 2);
    environment.advance(PICK_UP_SECONDS);
    sweep(&environment).await;
    assert_eq!(environment.object_keys().await.len(), 1, "that of rec_2");
}

#[tokio::test]
async fn aborts_multipart_uploads_of_a_deleted_recording() {
    let environment = TestEnvironment::start().await;
    let recording =
        environment.recording().in_parts(ContentType::AudioWav, 3).in_parts(ContentType::AudioWav, 3).pending().await;
    environment.recording().id("rec_other").in_parts(ContentType::AudioWav, 3).pending().await;
    environment.send_parts(&recording, &TestEnvironment::media_id("med_1")).await;
    assert_eq!(environment.open_uploads().await.len(), 3);
    let visibility = capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &recording.id, environment.now()).await.unwrap();
    sweep(&environment).await;
    let stored = environment.stored("rec_other").await.unwrap();
    let (_, kept) = stored.multipart_upload(&TestEnvironment::media_id("med_1")).unwrap();
    assert_eq!(environment.open_uploads().await, [kept.id.as_str()], "those of others go on");
}
