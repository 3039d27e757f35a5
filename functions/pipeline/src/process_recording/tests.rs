use std::path::Path;

use capstan_audio::TranscriptionRendition;
use capstan_domain::{
    ContentType, Facts, LEASE_SECONDS, LeaseId, Media, MediaStatus, ProcessingErrorCode, Recording, Status,
};
use capstan_emulators::{Crash, Fault};
use capstan_lambda::Function;
use capstan_test_environment::{RECORDING, TestEnvironment, event};

fn function(environment: &TestEnvironment) -> Function {
    function_that(environment, TranscriptionRendition::WhenNeeded)
}

fn function_that(environment: &TestEnvironment, transcription: TranscriptionRendition) -> Function {
    environment.set_variable("TRANSCRIPTION_RENDITION", format!("{transcription:?}"));
    environment.event_function(super::handle)
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/audio/fixtures").join(name);
    std::fs::read(path).unwrap()
}

fn picture() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/image/fixtures/photo-offset.jpg");
    std::fs::read(path).unwrap()
}

async fn process(environment: &TestEnvironment) -> Recording {
    function(environment).invoke(event("process-recording")).await.unwrap();
    environment.stored(RECORDING).await.unwrap()
}

fn media_file<'a>(recording: &'a Recording, id: &str) -> &'a Media {
    &recording.media[&TestEnvironment::media_id(id)]
}

fn kinds(media: &Media) -> Vec<&'static str> {
    media.renditions().iter().map(|rendition| rendition.kind.as_str()).collect()
}

#[tokio::test]
async fn analyses_an_opus_file_and_stores_its_peaks() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, fixture("opus-16k-mono.ogg")).uploaded().await;
    let recording = process(&environment).await;
    assert_eq!((recording.status, &recording.end.error), (Status::Completed, &None));
    let media = media_file(&recording, "med_1");
    let Some(Facts::Audio(audio)) = media.findings().map(|findings| &findings.facts) else { panic!("{media:?}") };
    assert_eq!((audio.codec.as_str(), audio.channels), ("opus", 1));
    assert_eq!(recording.duration_ms(), Some(audio.duration_ms));
    assert!((1000..60_000).contains(&audio.duration_ms), "{audio:?}");
    assert_eq!(kinds(media), ["peaks"], "an Opus file plays everywhere and is taken by every provider");
    let key = format!("{}/{RECORDING}/med_1/renditions/peaks.json", capstan_test_environment::PROJECT);
    let object = environment.emulators.s3().get_object().bucket(environment.bucket()).key(&key).send().await.unwrap();
    assert_eq!(object.content_type(), Some("application/json"));
    let bytes = object.body.collect().await.unwrap().into_bytes();
    assert_eq!(bytes.len() as u64, media.renditions()[0].size_bytes);
    let peaks: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(peaks["version"], 2);
    assert_eq!(environment.published().await, ["recording.completed"]);
}

#[tokio::test]
async fn makes_the_renditions_that_are_missing_and_no_others() {
    for (content_type, name, expected) in [
        (ContentType::AudioWav, "wav-s16.wav", vec!["peaks", "playback"]),
        (ContentType::AudioFlac, "flac-16k-mono.flac", vec!["peaks", "playback"]),
        (ContentType::AudioMpeg, "mp3-16k-mono.mp3", vec!["peaks"]),
        (ContentType::AudioAac, "aac-adts.aac", vec!["peaks", "transcription"]),
        (ContentType::AudioMp4, "aac-moov-at-end.m4a", vec!["peaks"]),
        (ContentType::AudioWebm, "opus.webm", vec!["peaks"]),
        (ContentType::VideoMp4, "video-aac.mp4", vec!["peaks"]),
    ] {
        let environment = TestEnvironment::start().await;
        environment.recording().holding(content_type, fixture(name)).uploaded().await;
        let recording = process(&environment).await;
        assert_eq!((recording.status, &recording.end.error), (Status::Completed, &None), "{name}");
        assert_eq!(kinds(media_file(&recording, "med_1")), expected, "{name}");
        assert_eq!(environment.object_keys().await.len(), 1 + expected.len(), "{name}");
    }
}

#[tokio::test]
async fn the_deployment_can_require_the_transcription_rendition() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, fixture("opus-16k-mono.ogg")).uploaded().await;
    let function = function_that(&environment, TranscriptionRendition::Always);
    function.invoke(event("process-recording")).await.unwrap();
    assert_eq!(kinds(media_file(&environment.stored(RECORDING).await.unwrap(), "med_1")), ["peaks", "transcription"]);
}

#[tokio::test]
async fn an_image_has_a_size_and_its_capture_time() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    let picture = picture();
    environment
        .recording()
        .holding(ContentType::AudioOpus, audio)
        .holding(ContentType::ImageJpeg, picture)
        .uploaded()
        .await;
    let recording = process(&environment).await;
    let media = media_file(&recording, "med_2");
    let Some(Facts::Image(image)) = media.findings().map(|findings| &findings.facts) else { panic!("{media:?}") };
    assert!(image.width > 0 && image.height > 0);
    assert!(media.captured_at().is_some());
    assert!(recording.duration_ms().is_some(), "the audio stands for the recording");
}

#[tokio::test]
async fn unprocessable_files_fail_with_a_clear_message() {
    use ProcessingErrorCode::{AudioCorrupt, AudioTooShort, UnsupportedFormat};
    for (name, bytes, code) in [
        ("random bytes", fixture("random.bin"), UnsupportedFormat),
        ("nothing", Vec::new(), AudioCorrupt),
        ("a picture", picture(), UnsupportedFormat),
        ("an MP4 without its index", fixture("mp4-no-moov.m4a"), AudioCorrupt),
        ("half a second", fixture("short.wav"), AudioTooShort),
    ] {
        let environment = TestEnvironment::start().await;
        environment.recording().holding(ContentType::AudioWav, bytes).uploaded().await;
        let recording = process(&environment).await;
        assert_eq!(recording.status, Status::Failed, "{name}");
        let error = recording.end.error.clone().unwrap();
        assert_eq!(error.code, code, "{name}: {error}");
        assert!(error.message.contains(' '), "{name}: {error}");
        assert_eq!(media_file(&recording, "med_1").error(), Some(&error));
        assert_eq!(environment.published().await, ["recording.failed"], "{name}");
    }
}

#[tokio::test]
async fn a_corrupt_image_fails_and_its_recording_does_not() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    environment
        .recording()
        .holding(ContentType::ImagePng, "no png")
        .holding(ContentType::AudioOpus, audio)
        .uploaded()
        .await;
    let recording = process(&environment).await;
    assert_eq!((recording.status, &recording.end.error), (Status::Completed, &None));
    assert!(media_file(&recording, "med_1").error().is_some());
}

#[tokio::test]
async fn repeated_and_concurrent_processing_gives_one_result() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioWav, fixture("wav-s16.wav")).uploaded().await;
    let function = function(&environment);
    let (first, second, third) = tokio::join!(
        function.invoke(event("process-recording")),
        function.invoke(event("process-recording")),
        function.invoke(event("process-recording")),
    );
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    let once = environment.stored(RECORDING).await.unwrap();
    assert_eq!(
        (once.status, environment.published().await),
        (Status::Completed, vec!["recording.completed".to_owned()])
    );
    function.invoke(event("process-recording")).await.unwrap();
    assert_eq!(environment.stored(RECORDING).await.unwrap(), once);
    assert!(environment.published().await.is_empty());
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    let (claimed, first) = environment.recording().holding(ContentType::AudioOpus, audio).processing().await;
    environment.advance(LEASE_SECONDS);
    let done = process(&environment).await;
    assert_eq!(done.status, Status::Completed);
    let late = environment.store.finish(&claimed, &first, None, environment.now()).await.unwrap();
    assert!(matches!(late, capstan_store::Changed::Refused(_)));
    assert_eq!(environment.stored(RECORDING).await.unwrap(), done);
}

#[tokio::test]
async fn a_late_file_is_processed_and_the_status_stays() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    let pending = environment.recording().holding(ContentType::AudioOpus, audio).awaiting(ContentType::ImageJpeg);
    let recording = pending.uploaded().await;
    assert_eq!(process(&environment).await.status, Status::Completed);
    let media_id = TestEnvironment::media_id("med_2");
    environment.arrives(&recording, &media_id, ContentType::ImageJpeg, picture()).await;
    let _ = environment.published().await;
    // The claim for late media comes after the refusal of the other, and the SDK repeats it.
    environment.emulators.faults().fail_after(1, "UpdateItem", Fault::LoseAnswer, 1);
    let after = process(&environment).await;
    assert_eq!(after.status, Status::Completed);
    assert!(media_file(&after, "med_2").findings().is_some());
    assert!(environment.published().await.is_empty(), "its completion is not published twice");
    environment.advance(365 * 24 * 3600);
    assert!(environment.store.due(environment.now(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_arriving_during_processing_is_processed() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    let pending = environment.recording().holding(ContentType::AudioOpus, audio).awaiting(ContentType::ImageJpeg);
    let recording = pending.uploaded().await;
    let media_id = TestEnvironment::media_id("med_2");
    let _ = environment.emulators.take_calls();
    environment.emulators.faults().fail_next("GetObject", Fault::Delay(std::time::Duration::from_secs(2)), 1);
    let processing = tokio::spawn({
        let function = function(&environment);
        async move { function.invoke(event("process-recording")).await }
    });
    while !environment.emulators.calls().iter().any(|call| call.operation == "GetObject") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(environment.stored(RECORDING).await.unwrap().status, Status::Processing);
    environment.arrives(&recording, &media_id, ContentType::ImageJpeg, picture()).await;
    processing.await.unwrap().unwrap();
    let after = environment.stored(RECORDING).await.unwrap();
    assert_eq!(after.status, Status::Completed);
    assert!(after.media.values().all(|media| media.findings().is_some() && media.status() == MediaStatus::Uploaded));
}

#[tokio::test]
async fn a_processed_file_is_not_processed_again_when_another_arrives() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    let pending = environment.recording().holding(ContentType::AudioOpus, audio).awaiting(ContentType::ImageJpeg);
    let recording = pending.uploaded().await;
    environment.emulators.faults().fail_next("PutObject", Fault::Delay(std::time::Duration::from_secs(2)), 1);
    let processing = tokio::spawn({
        let function = function(&environment);
        async move { function.invoke(event("process-recording")).await }
    });
    while !environment.emulators.take_calls().iter().any(|call| call == "s3:PutObject") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    environment.arrives(&recording, &TestEnvironment::media_id("med_2"), ContentType::ImageJpeg, picture()).await;
    processing.await.unwrap().unwrap();
    let reads = environment.emulators.take_calls().into_iter().filter(|call| call == "s3:GetObject").count();
    assert_eq!(reads, 2, "the picture, by who takes note of it and by who processes it");
    let after = environment.stored(RECORDING).await.unwrap();
    assert!(after.media.values().all(|media| media.findings().is_some()));
}

#[tokio::test]
async fn attempts_count_anew_with_each_file_that_is_done() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::ImageJpeg, picture());
    let recording = recording.holding(ContentType::ImageJpeg, picture()).uploaded().await;
    for died in 1..4 {
        let lease = LeaseId::new(environment.now(), died);
        let claimed = environment.store.claim(&recording.id, &lease, environment.now()).await.unwrap().unwrap();
        assert_eq!(u128::from(claimed.processing.attempts), died);
        environment.advance(LEASE_SECONDS);
    }
    environment.emulators.faults().fail_after(1, "GetObject", Fault::Internal, 20);
    assert!(function(&environment).invoke(event("process-recording")).await.is_err());
    let stored = environment.stored(RECORDING).await.unwrap();
    assert!(media_file(&stored, "med_1").findings().is_some());
    assert_eq!(stored.processing.attempts, 1);
}

#[tokio::test]
async fn dying_between_any_two_calls_loses_nothing() {
    for crash in [Crash::Before, Crash::After] {
        for calls in 0.. {
            let environment = TestEnvironment::start().await;
            environment.recording().holding(ContentType::AudioWav, fixture("wav-s16.wav")).uploaded().await;
            environment.emulators.faults().crash_after(calls, crash);
            let _ = function(&environment).invoke(event("process-recording")).await;
            let crashed = environment.emulators.faults().has_crashed();
            environment.emulators.faults().clear();
            environment.advance(LEASE_SECONDS);
            let recording = process(&environment).await;
            assert_eq!(recording.status, Status::Completed, "{crash:?} after {calls} calls");
            assert_eq!(kinds(media_file(&recording, "med_1")), ["peaks", "playback"]);
            if !crashed {
                assert!(calls > 5, "{calls} calls are fewer than processing makes");
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_unreadable_object_is_retried_and_not_corrupt() {
    let environment = TestEnvironment::start().await;
    environment.recording().holding(ContentType::AudioOpus, fixture("opus-16k-mono.ogg")).uploaded().await;
    environment.emulators.faults().fail_next("GetObject", Fault::Internal, 20);
    assert!(function(&environment).invoke(event("process-recording")).await.is_err());
    assert_eq!(environment.stored(RECORDING).await.unwrap().status, Status::Processing);
    environment.emulators.faults().clear();
    environment.advance(LEASE_SECONDS);
    assert_eq!(process(&environment).await.status, Status::Completed);
}

#[tokio::test]
async fn ignores_a_recording_deleted_in_the_meantime() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    let (claimed, lease): (_, LeaseId) =
        environment.recording().holding(ContentType::AudioOpus, audio).processing().await;
    let visibility = capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &claimed.id, environment.now()).await.unwrap();
    assert!(matches!(
        environment.store.finish(&claimed, &lease, None, environment.now()).await.unwrap(),
        capstan_store::Changed::Refused(_)
    ));
    environment.advance(LEASE_SECONDS);
    let deleted = process(&environment).await;
    assert_eq!((deleted.status, deleted.processing.attempts), (Status::Processing, 1));
}

#[tokio::test]
async fn a_result_is_saved_before_the_next_file_starts() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    let recording =
        environment.recording().holding(ContentType::AudioOpus, audio).holding(ContentType::ImageJpeg, picture());
    recording.uploaded().await;
    process(&environment).await;
    let calls = environment.emulators.take_calls();
    let writes = calls.iter().filter(|call| call.ends_with("UpdateItem")).count();
    assert_eq!(writes, 4, "claim, note, finish, event_published: {calls:?}");
}

#[tokio::test]
async fn a_missing_file_blocks_no_other_and_is_given_up_in_the_end() {
    let environment = TestEnvironment::start().await;
    let audio = fixture("opus-16k-mono.ogg");
    let recording =
        environment.recording().holding(ContentType::ImageJpeg, picture()).holding(ContentType::AudioOpus, audio);
    let recording = recording.uploaded().await;
    let media_id = TestEnvironment::media_id("med_1");
    let project = &recording.tenant.project_id;
    let key = capstan_objects::ObjectKey::original(project, &recording.id, &media_id, ContentType::ImageJpeg);
    environment.objects.delete(&key).await.unwrap();
    let function = function(&environment);
    for attempt in 1..=capstan_domain::MAX_ATTEMPTS {
        assert!(function.invoke(event("process-recording")).await.is_err(), "attempt {attempt}");
        let stored = environment.stored(RECORDING).await.unwrap();
        assert_eq!((stored.status, stored.processing.attempts), (Status::Processing, attempt));
        assert!(media_file(&stored, "med_2").findings().is_some());
        assert!(
            environment.store.due(environment.now(), 10).await.unwrap().is_empty(),
            "it waits before it is tried again"
        );
        environment.advance(60 << attempt);
        assert_eq!(environment.store.due(environment.now(), 10).await.unwrap().len(), 1);
    }
    let stored = environment.stored(RECORDING).await.unwrap();
    assert_eq!(stored.work(environment.now()), capstan_domain::Work::GiveUp);
    let error =
        capstan_domain::ProcessingError { code: ProcessingErrorCode::ProcessingError, message: "given up".to_owned() };
    environment.store.give_up(&stored, &error, environment.now()).await.unwrap();
    let stored = environment.stored(RECORDING).await.unwrap();
    assert_eq!((stored.status, &stored.end.error), (Status::Completed, &None), "the audio decides");
    assert_eq!(media_file(&stored, "med_1").error(), Some(&error));
}

#[tokio::test]
async fn an_object_that_replaced_an_unprocessed_one_is_processed() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "not yet whole").uploaded().await;
    let media_id = TestEnvironment::media_id("med_1");
    environment.put(&recording, &media_id, ContentType::AudioOpus, fixture("opus-16k-mono.ogg")).await;
    let project = &recording.tenant.project_id;
    let key = capstan_objects::ObjectKey::original(project, &recording.id, &media_id, ContentType::AudioOpus);
    let mut object = environment.objects.inspect(&key, environment.now()).await.unwrap().unwrap();
    object.sequencer = Some(capstan_domain::Sequencer::new("02"));
    environment.store.record_object(&recording.id, &media_id, &object, environment.now()).await.unwrap();
    let processed = process(&environment).await;
    assert_eq!((processed.status, &processed.end.error), (Status::Completed, &None));
    assert_eq!(processed.content_sha256(), object.sha256);
}

#[tokio::test]
async fn unreported_replaced_bytes_are_processed_by_a_retry() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "not yet whole").uploaded().await;
    environment
        .put(&recording, &TestEnvironment::media_id("med_1"), ContentType::AudioOpus, fixture("opus-16k-mono.ogg"))
        .await;
    assert!(function(&environment).invoke(event("process-recording")).await.is_err());
    let processed = process(&environment).await;
    assert_eq!((processed.status, &processed.end.error), (Status::Completed, &None));
}

#[tokio::test]
async fn bytes_that_arrive_after_the_last_attempt_are_processed() {
    let environment = TestEnvironment::start().await;
    let recording = environment.recording().holding(ContentType::AudioOpus, "not yet whole");
    let (claimed, _) = recording.processing().await;
    environment.advance(LEASE_SECONDS);
    let media_id = TestEnvironment::media_id("med_1");
    environment.put(&claimed, &media_id, ContentType::AudioOpus, fixture("opus-16k-mono.ogg")).await;
    let place = capstan_objects::ObjectLocation::of(&claimed, media_file(&claimed, "med_1"));
    let found = environment.objects.find(place, environment.now()).await.unwrap().unwrap();
    let seen = media_file(&claimed, "med_1").last_object().unwrap();
    environment.store.replace_object(&claimed, &media_id, seen, &found, environment.now()).await.unwrap();
    let error =
        capstan_domain::ProcessingError { code: ProcessingErrorCode::ProcessingError, message: "given up".to_owned() };
    environment.store.give_up(&claimed, &error, environment.now()).await.unwrap();
    assert_eq!(process(&environment).await.status, Status::Completed);
}

#[tokio::test]
async fn a_worker_releases_a_deleted_recording() {
    let environment = TestEnvironment::start().await;
    let (claimed, lease) = environment.recording().holding(ContentType::AudioOpus, "x").processing().await;
    let visibility = capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &claimed.id, environment.now()).await.unwrap();
    assert!(!environment.store.renew_lease(&claimed.id, &lease, environment.now()).await.unwrap());
    assert_eq!(environment.store.due(environment.now(), 10).await.unwrap().len(), 1);
}
