use capstan_domain::{
    Announcement, Completion, ContentType, LEASE_SECONDS, MAX_ATTEMPTS, MediaStatus, PICK_UP_SECONDS, Reach, Settings,
    Sha256, Status, TranscriptionSettings,
};
use capstan_emulators::Fault;
use capstan_lambda::{Function, event_function};
use capstan_objects::ObjectKey;
use capstan_stage::{RECORDING, Stage, event};
use capstan_store::{Arrival, Changed, Due, InHand};

fn function(stage: &Stage) -> Function {
    let dependencies = (stage.store.clone(), stage.objects.clone(), stage.events.clone());
    event_function(dependencies, stage.clock(), super::handle)
}

async fn sweep(stage: &Stage) {
    function(stage).invoke(event("run-due-work")).await.unwrap();
}

#[tokio::test]
async fn nothing_due_costs_one_query_a_shard() {
    let stage = Stage::set().await;
    stage.recording().pending().await;
    sweep(&stage).await;
    assert_eq!(stage.emulators.take_calls(), vec!["dynamodb:Query"; 8]);
}

#[tokio::test]
async fn an_upload_that_nobody_picked_up_is_told_again_until_somebody_does() {
    let stage = Stage::set().await;
    stage.recording().holding(ContentType::AudioOpus, "x").uploaded().await;
    sweep(&stage).await;
    assert!(stage.told().await.is_empty(), "not before its time");
    for _ in 0..3 {
        stage.advance(PICK_UP_SECONDS);
        sweep(&stage).await;
        sweep(&stage).await;
        assert_eq!(stage.told().await, ["recording.uploaded"], "once a round, however often it is swept");
    }
}

/// Whether this is told hours later, and then twice within half an hour.
async fn is_told_hours_later(stage: &Stage, what: &str) -> [bool; 3] {
    let mut is_told = [false; 3];
    for (seconds, is_told) in [7200, 1740, 60].into_iter().zip(&mut is_told) {
        stage.advance(seconds);
        sweep(stage).await;
        *is_told = stage.told().await.iter().any(|told| told == what);
    }
    is_told
}

#[tokio::test]
async fn what_nobody_picks_up_for_hours_is_told_less_and_less_often() {
    let stage = Stage::set().await;
    stage.recording().holding(ContentType::AudioOpus, "x").uploaded().await;
    assert_eq!(is_told_hours_later(&stage, "recording.uploaded").await, [true, false, true]);
}

#[tokio::test]
async fn a_queued_transcription_is_told_less_and_less_often_and_one_under_way_is_not_put_off() {
    for is_claimed in [false, true] {
        let stage = Stage::set().await;
        let transcription = stage.transcription().id("txn_1").pending().await;
        if is_claimed {
            let lease = capstan_domain::LeaseId::new(stage.now(), 1);
            stage.store.claim_transcription(&transcription.id, &lease, stage.now()).await.unwrap().unwrap();
        }
        let expected = if is_claimed { [true, true, false] } else { [true, false, true] };
        assert_eq!(is_told_hours_later(&stage, "transcription.due").await, expected);
    }
}

#[tokio::test]
async fn bytes_whose_notification_was_lost_are_hashed_after_their_url_ended() {
    let stage = Stage::set().await;
    let recording = stage.recording().awaiting(ContentType::AudioOpus).pending().await;
    let media_id = Stage::media_id("med_1");
    stage.put(&recording, &media_id, ContentType::AudioOpus, b"bytes".to_vec()).await;
    let found = stage.objects.find(&ObjectKey::of(&recording, &recording.media[&media_id]), stage.now()).await.unwrap();
    let reach = Reach::Tenant { tenant: Stage::tenant() };
    let (arrivals, completion) = ([(media_id, found.unwrap())], Completion::default());
    let completed =
        stage.store.complete_inspected_upload(&reach, &recording, &arrivals, &completion, None, stage.now());
    assert!(matches!(completed.await.unwrap(), Changed::Made(_)));
    let finished = stage.processed(&recording.id).await;
    stage.store.announced(&finished, Announcement::Completed, stage.now()).await.unwrap();
    assert_eq!(finished.content_sha256(), None);
    stage.advance(3600);
    sweep(&stage).await;
    let stored = stage.stored(RECORDING).await.unwrap();
    assert_eq!((stored.content_sha256(), stored.updated_at), (Some(Sha256::of(b"bytes")), stage.now()));
    stage.advance(365 * 24 * 3600);
    assert!(stage.store.due(stage.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn bytes_other_than_those_declared_since_are_not_taken_after_their_url_ended() {
    let stage = Stage::set().await;
    let pending = stage.recording().holding(ContentType::AudioOpus, "x").holding(ContentType::ImagePng, "wrong");
    let recording = pending.pending().await;
    let (media_id, reach) = (Stage::media_id("med_2"), Reach::Tenant { tenant: Stage::tenant() });
    let wrong = recording.media[&media_id].stored.clone().unwrap();
    stage.store.reject_object(&recording.id, &media_id, &wrong, stage.now()).await.unwrap();
    let renewed = stage.redeclared(&recording, &media_id, Sha256::of(b"right")).await;
    let completion = Completion::default();
    let completed = stage.store.complete_inspected_upload(&reach, &renewed, &[], &completion, None, stage.now());
    assert!(matches!(completed.await.unwrap(), Changed::Made(_)));
    let finished = stage.processed(&recording.id).await;
    stage.store.announced(&finished, Announcement::Completed, stage.now()).await.unwrap();
    stage.advance(3600);
    sweep(&stage).await;
    assert_eq!(stage.stored(RECORDING).await.unwrap().media[&media_id].status, MediaStatus::Pending);
    stage.put(&recording, &media_id, ContentType::ImagePng, b"right".to_vec()).await;
    let key = ObjectKey::of(&recording, &recording.media[&media_id]);
    let right = stage.objects.inspect(&key, stage.now()).await.unwrap().unwrap();
    let arrival = stage.store.record_object(&recording.id, &media_id, &right, stage.now()).await.unwrap();
    assert!(matches!(arrival, Arrival::Late(_)), "{arrival:?}");
}

#[tokio::test]
async fn processing_that_died_is_begun_again_and_given_up_in_the_end() {
    let stage = Stage::set().await;
    let (recording, _) = stage.recording().holding(ContentType::AudioOpus, "x").processing().await;
    for attempt in 1..MAX_ATTEMPTS {
        stage.advance(LEASE_SECONDS);
        sweep(&stage).await;
        assert_eq!(stage.told().await, ["recording.uploaded"], "attempt {attempt}");
        let lease = capstan_domain::LeaseId::new(stage.now(), attempt.into());
        assert!(stage.store.claim(&recording.id, &lease, stage.now()).await.unwrap().is_some());
    }
    stage.advance(LEASE_SECONDS);
    sweep(&stage).await;
    assert_eq!(stage.told().await, ["recording.failed"]);
    let failed = stage.stored(RECORDING).await.unwrap();
    assert_eq!(failed.status, Status::Failed);
    assert_eq!(failed.error.unwrap().message, "Processing was begun 8 times and never ended.");
    stage.advance(365 * 24 * 3600);
    assert!(stage.store.due(stage.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_living_worker_is_left_alone() {
    let stage = Stage::set().await;
    let (recording, lease) = stage.recording().holding(ContentType::AudioOpus, "x").processing().await;
    stage.advance(LEASE_SECONDS / 2);
    assert!(stage.store.renew_lease(&recording.id, &lease, stage.now()).await.unwrap());
    stage.advance(LEASE_SECONDS / 2);
    sweep(&stage).await;
    assert!(stage.told().await.is_empty());
}

#[tokio::test]
async fn a_sweep_that_ends_does_not_forget_a_worker_that_began_meanwhile() {
    let stage = Stage::set().await;
    let recording = stage.recording().holding(ContentType::AudioOpus, "x").uploaded().await;
    stage.advance(PICK_UP_SECONDS);
    let due = stage.store.due(stage.now(), 10).await.unwrap();
    let [Due::Recording(due)] = due.as_slice() else { panic!("{due:?}") };
    // The clock stands at a whole minute, so both look ahead to the same one.
    let held = InHand::until(stage.now().plus_seconds(LEASE_SECONDS));
    stage.store.take_due(due, held).await.unwrap().unwrap();
    let lease = capstan_domain::LeaseId::new(stage.now(), 1);
    assert!(stage.store.claim(&recording.id, &lease, stage.now()).await.unwrap().is_some());
    stage.store.postpone(&recording.id, held, None).await.unwrap();
    stage.advance(LEASE_SECONDS);
    assert_eq!(stage.store.due(stage.now(), 10).await.unwrap().len(), 1, "who looks after it if its worker dies?");
}

#[tokio::test]
async fn the_end_of_processing_is_told_even_if_the_worker_died_before() {
    let stage = Stage::set().await;
    stage.recording().holding(ContentType::AudioOpus, "x").completed().await;
    stage.advance(PICK_UP_SECONDS);
    sweep(&stage).await;
    assert_eq!(stage.told().await, ["recording.completed"]);
    stage.advance(365 * 24 * 3600);
    sweep(&stage).await;
    assert!(stage.told().await.is_empty());
}

#[tokio::test]
async fn a_recording_that_nobody_completed_goes_with_its_objects_and_in_the_end_with_its_item() {
    let stage = Stage::set().await;
    stage.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).pending().await;
    stage.advance(capstan_domain::PENDING_SECONDS - 1);
    sweep(&stage).await;
    assert_eq!(stage.object_keys().await.len(), 1);
    stage.advance(1);
    sweep(&stage).await;
    assert!(stage.object_keys().await.is_empty());
    assert!(stage.stored(RECORDING).await.unwrap().deleted_at.is_some());
    stage.advance(7200);
    sweep(&stage).await;
    assert!(stage.stored(RECORDING).await.is_none());
}

#[tokio::test]
async fn a_deleted_recording_loses_its_objects_and_what_came_late_too() {
    let stage = Stage::set().await;
    let recording = stage.recording().holding(ContentType::AudioOpus, "x").completed().await;
    let reach = Reach::Tenant { tenant: Stage::tenant() };
    stage.store.delete_recording(&reach, &recording.id, stage.now()).await.unwrap();
    sweep(&stage).await;
    assert!(stage.object_keys().await.is_empty());
    stage.put(&recording, &Stage::media_id("med_1"), ContentType::AudioOpus, b"late".to_vec()).await;
    stage.advance(7200);
    sweep(&stage).await;
    assert!(stage.object_keys().await.is_empty());
    assert!(stage.stored(RECORDING).await.is_none());
}

#[tokio::test]
async fn a_late_object_whose_notification_was_lost_is_found() {
    let stage = Stage::set().await;
    let recording =
        stage.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).completed().await;
    let finished = stage.stored(RECORDING).await.unwrap();
    let completed = Announcement::Completed;
    stage.store.announced(&finished, completed, stage.now()).await.unwrap();
    stage.put(&recording, &Stage::media_id("med_2"), ContentType::ImagePng, b"late".to_vec()).await;
    stage.advance(3600);
    sweep(&stage).await;
    assert_eq!(stage.told().await, ["media.uploaded"]);
    let media = &stage.stored(RECORDING).await.unwrap().media[&Stage::media_id("med_2")];
    assert_eq!(media.status, MediaStatus::Uploaded);
}

#[tokio::test]
async fn a_late_object_is_found_even_if_processing_ended_after_its_url() {
    let stage = Stage::set().await;
    let recording =
        stage.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).completed().await;
    stage.put(&recording, &Stage::media_id("med_2"), ContentType::ImagePng, b"late".to_vec()).await;
    stage.advance(7200);
    let finished = stage.stored(RECORDING).await.unwrap();
    let completed = Announcement::Completed;
    stage.store.announced(&finished, completed, stage.now()).await.unwrap();
    sweep(&stage).await;
    assert_eq!(stage.told().await, ["media.uploaded"]);
}

#[tokio::test]
async fn a_file_that_never_came_is_looked_for_once_after_its_url_ended() {
    let stage = Stage::set().await;
    stage.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).completed().await;
    stage.advance(7200);
    let finished = stage.stored(RECORDING).await.unwrap();
    let completed = Announcement::Completed;
    stage.store.announced(&finished, completed, stage.now()).await.unwrap();
    sweep(&stage).await;
    stage.advance(365 * 24 * 3600);
    assert!(stage.store.due(stage.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_text_outlives_its_recording_even_if_it_could_not_be_removed_for_hours() {
    let stage = Stage::set().await;
    let recording = stage.recording().holding(ContentType::AudioOpus, "x").completed().await;
    let transcription = stage.transcription().of(&recording).pending().await;
    let reach = Reach::Tenant { tenant: Stage::tenant() };
    stage.emulators.faults().fail_next("DeleteItem", Fault::Internal, 20);
    stage.store.delete_recording(&reach, &recording.id, stage.now()).await.unwrap();
    stage.emulators.faults().clear();
    assert!(stage.stored_transcription(transcription.id.as_str()).await.is_some());
    stage.advance(7200);
    sweep(&stage).await;
    assert!(stage.stored(RECORDING).await.is_none());
    assert!(stage.stored_transcription(transcription.id.as_str()).await.is_none());
}

#[tokio::test]
async fn text_of_a_late_sound_is_asked_for_even_if_its_worker_died_before() {
    for automatic in [true, false] {
        let stage = Stage::set().await;
        let transcription = TranscriptionSettings { automatic, ..TranscriptionSettings::default() };
        stage.store.put_settings(&Settings { transcription, ..Settings::unset(Stage::tenant()) }).await.unwrap();
        let picture = stage.recording().holding(ContentType::ImagePng, "x").awaiting(ContentType::AudioOpus);
        let recording = picture.completed().await;
        stage.store.announced(&recording, Announcement::Completed, stage.now()).await.unwrap();
        stage.arrives(&recording, &Stage::media_id("med_2"), ContentType::AudioOpus, b"late".to_vec()).await;
        stage.processed(&recording.id).await;
        stage.advance(PICK_UP_SECONDS);
        sweep(&stage).await;
        let expected: &[&str] = if automatic { &["transcription.due"] } else { &[] };
        assert_eq!(stage.told().await, expected);
        assert_eq!(stage.stored(RECORDING).await.unwrap().transcriptions.is_empty(), !automatic);
    }
}

#[tokio::test]
async fn requested_verification_hashes_the_object_and_keeps_the_expiry() {
    let stage = Stage::set().await;
    let recording = stage.recording().awaiting(ContentType::AudioOpus).pending().await;
    stage.put(&recording, &Stage::media_id("med_1"), ContentType::AudioOpus, b"bytes".to_vec()).await;
    stage.store.request_verification(&recording, stage.now()).await.unwrap();
    sweep(&stage).await;
    assert_eq!(stage.stored(RECORDING).await.unwrap().content_sha256(), Some(Sha256::of(b"bytes")));
    stage.advance(capstan_domain::PENDING_SECONDS);
    assert_eq!(stage.store.due(stage.now(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn objects_that_may_be_large_are_read_one_at_a_time() {
    let stage = Stage::set().await;
    for id in ["rec_1", "rec_2"] {
        let recording = stage.recording().id(id).awaiting(ContentType::AudioOpus).pending().await;
        stage.put(&recording, &Stage::media_id("med_1"), ContentType::AudioOpus, b"bytes".to_vec()).await;
        stage.store.request_verification(&recording, stage.now()).await.unwrap();
    }
    let _ = stage.emulators.take_calls();
    stage.emulators.faults().fail_next("GetObject", Fault::Delay(std::time::Duration::from_millis(500)), 1);
    sweep(&stage).await;
    let calls = stage.emulators.take_calls();
    let second = calls.iter().rposition(|call| call == "s3:GetObject").unwrap();
    let writes = calls[..second].iter().filter(|call| *call == "dynamodb:UpdateItem").count();
    assert!(writes >= 5, "both taken and held for longer, and the first noted before the second is read: {calls:?}");
}

#[tokio::test]
async fn a_late_medium_that_kills_its_workers_is_given_up_and_the_recording_stays_completed() {
    let stage = Stage::set().await;
    let recording =
        stage.recording().holding(ContentType::AudioOpus, "x").awaiting(ContentType::ImagePng).completed().await;
    let finished = stage.stored(RECORDING).await.unwrap();
    stage.store.announced(&finished, Announcement::Completed, stage.now()).await.unwrap();
    stage.put(&recording, &Stage::media_id("med_2"), ContentType::ImagePng, b"poison".to_vec()).await;
    stage.advance(3600);
    sweep(&stage).await;
    for attempt in 0..MAX_ATTEMPTS {
        assert_eq!(stage.told().await, ["media.uploaded"], "attempt {attempt}");
        let lease = capstan_domain::LeaseId::new(stage.now(), attempt.into());
        assert!(stage.store.claim(&recording.id, &lease, stage.now()).await.unwrap().is_some());
        stage.advance(LEASE_SECONDS);
        sweep(&stage).await;
    }
    stage.advance(365 * 24 * 3600);
    sweep(&stage).await;
    assert!(stage.told().await.is_empty(), "and never in a loop");
    let stored = stage.stored(RECORDING).await.unwrap();
    assert_eq!(stored.status, Status::Completed);
    assert!(stored.media[&Stage::media_id("med_2")].error().is_some());
    assert!(stage.store.due(stage.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_fails_for_one_recording_holds_up_no_other_and_is_due_again() {
    let stage = Stage::set().await;
    let deleted = stage.recording().id("rec_1").holding(ContentType::AudioOpus, "x").pending().await;
    let reach = Reach::Tenant { tenant: Stage::tenant() };
    stage.store.delete_recording(&reach, &deleted.id, stage.now()).await.unwrap();
    stage.recording().id("rec_2").holding(ContentType::AudioOpus, "x").uploaded().await;
    stage.advance(PICK_UP_SECONDS);
    stage.emulators.faults().fail_next("ListObjectsV2", Fault::Unavailable, 10);
    sweep(&stage).await;
    assert_eq!(stage.told().await, ["recording.uploaded"]);
    stage.emulators.faults().clear();
    assert_eq!(stage.object_keys().await.len(), 2);
    stage.advance(PICK_UP_SECONDS);
    sweep(&stage).await;
    assert_eq!(stage.object_keys().await.len(), 1, "that of rec_2");
}

#[tokio::test]
async fn what_a_deleted_recording_had_begun_to_send_in_parts_is_aborted() {
    let stage = Stage::set().await;
    let recording =
        stage.recording().in_parts(ContentType::AudioWav, 3).in_parts(ContentType::AudioWav, 3).pending().await;
    stage.recording().id("rec_other").in_parts(ContentType::AudioWav, 3).pending().await;
    stage.send_parts(&recording, &Stage::media_id("med_1")).await;
    assert_eq!(stage.open_uploads().await.len(), 3);
    let reach = capstan_domain::Reach::Tenant { tenant: Stage::tenant() };
    stage.store.delete_recording(&reach, &recording.id, stage.now()).await.unwrap();
    sweep(&stage).await;
    let stored = stage.stored("rec_other").await.unwrap();
    let (_, kept) = stored.multipart_upload(&Stage::media_id("med_1")).unwrap();
    assert_eq!(stage.open_uploads().await, [kept.id.as_str()], "those of others go on");
}
