use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ApiUrl;
use capstan_domain::{
    MAX_ATTEMPTS, TRANSCRIPTION_LEASE_SECONDS, Timestamp, TranscriptLocation, Transcription, TranscriptionErrorCode,
    TranscriptionOptions, TranscriptionStatus, Visibility,
};
use capstan_emulators::Crash;
use capstan_emulators::peer::{Peer, Reply};
use capstan_lambda::{Function, event_function};
use capstan_store::Due;
use capstan_test_environment::{SAID, TRANSCRIPTION, TestEnvironment, event, transcribing};

const ENDED: [&str; 2] = ["transcription.started", "transcription.completed"];

fn function(environment: &TestEnvironment, peer: &Peer, provider: &str) -> Function {
    let providers = environment.providers(provider, &peer.url);
    let dependencies = (environment.transcripts(), providers, ApiUrl("https://api.example.com".to_owned()));
    event_function("test", dependencies, environment.clock(), super::handle)
}

async fn pending(environment: &TestEnvironment, provider: &str) {
    let options = TranscriptionOptions { provider: provider.parse().ok(), ..TranscriptionOptions::default() };
    environment.transcription().asking(options).pending().await;
}

async fn run(function: &Function) {
    function.invoke(event("run-transcription")).await.unwrap();
}

async fn stored(environment: &TestEnvironment) -> Transcription {
    environment.stored_transcription(TRANSCRIPTION).await.unwrap()
}

/// When the transcription is due, if it is.
async fn due_at(environment: &TestEnvironment) -> Option<Timestamp> {
    let far = environment.now().plus_seconds(365 * 24 * 3600);
    let due = environment.store.due(far, 10).await.unwrap();
    due.iter().find_map(|due| match due {
        Due::Transcription(due) => Some(due.due_at),
        Due::Recording(_) => None,
    })
}

/// Puts the clock forward to when the transcription is due, and says how many seconds that were.
async fn wait_until_due(environment: &TestEnvironment) -> i64 {
    let due_at = due_at(environment).await.unwrap();
    let seconds = (due_at.milliseconds() - environment.now().milliseconds()) / 1000;
    environment.advance(seconds);
    seconds
}

#[tokio::test]
async fn the_provider_is_given_the_original_and_its_text_is_kept() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    pending(&environment, "whisper").await;
    run(&function(&environment, &peer, "whisper")).await;
    assert_eq!(
        environment.emulators.take_calls(),
        [
            "dynamodb:UpdateItem",
            "events:PutEvents",
            "dynamodb:UpdateItem",
            "dynamodb:GetItem",
            "dynamodb:UpdateItem",
            "s3:GetObject",
            "dynamodb:UpdateItem",
            "events:PutEvents",
            "dynamodb:UpdateItem",
        ]
    );
    let transcription = stored(&environment).await;
    assert_eq!(transcription.status, TranscriptionStatus::Completed);
    let Some(TranscriptLocation::Item(text)) = &transcription.transcript else { panic!("{transcription:?}") };
    assert_eq!((text.full_text(), transcription.word_count), (SAID.join(" "), Some(5)));
    assert_eq!(transcription.language.unwrap().as_str(), "en");
    assert_eq!(environment.published().await, ENDED);
    let asked = peer.take_seen();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].text().contains("filename=\"audio.ogg\""));
    assert_eq!(due_at(&environment).await, None);
}

#[tokio::test]
async fn repeated_and_concurrent_events_send_a_job_once() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(|asked| Reply::After(Duration::from_millis(100), Box::new(transcribing(asked)))).await;
    pending(&environment, "whisper").await;
    let function = function(&environment, &peer, "whisper");
    futures_util::future::join_all((0..10).map(|_| run(&function))).await;
    run(&function).await;
    assert_eq!((peer.take_seen().len(), environment.published().await), (1, ENDED.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn dying_between_any_two_calls_loses_nothing_and_tells_the_end() {
    for provider in ["whisper", "aws", "assemblyai"] {
        for crash in [Crash::Before, Crash::After] {
            for calls in 0.. {
                let environment = TestEnvironment::start().await;
                let peer = Peer::answering(transcribing).await;
                pending(&environment, provider).await;
                environment.emulators.faults().crash_after(calls, crash);
                let _ = function(&environment, &peer, provider).invoke(event("run-transcription")).await;
                let crashed = environment.emulators.faults().has_crashed();
                environment.emulators.faults().clear();
                for _ in 0..3 {
                    environment.advance(TRANSCRIPTION_LEASE_SECONDS);
                    run(&function(&environment, &peer, provider)).await;
                }
                let ended = stored(&environment).await;
                assert_eq!(ended.status, TranscriptionStatus::Completed, "{provider}: {crash:?} after {calls} calls");
                environment.transcripts().publish(&ended).await.unwrap();
                let published = environment.published().await;
                assert!(ENDED.iter().all(|end| published.iter().any(|event| event == end)), "{published:?}");
                if !crashed {
                    assert!(calls > 5, "{calls} calls are fewer than it makes");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn retries_an_unavailable_provider_and_saves_the_result() {
    type Answers = fn() -> Reply;
    let faults: [(&str, Answers); 6] = [
        ("down", || Reply::json(503, "{}")),
        ("gone", || Reply::Drop),
        ("slow", || Reply::Slow(Duration::from_secs(3))),
        ("cut off", || Reply::Truncated("{\"text\": \"")),
        ("nonsense", || Reply::json(200, "<html>")),
        ("200 MB", || Reply::Huge { size: 200_000_000, declares_length: false }),
    ];
    futures_util::future::join_all(faults.map(|(name, fault)| async move {
        let environment = TestEnvironment::start().await;
        let broken = Arc::new(AtomicUsize::new(usize::MAX));
        let is_broken = Arc::clone(&broken);
        let peer = Peer::answering(move |asked| match is_broken.load(Ordering::SeqCst) {
            0 => transcribing(asked),
            _ => fault(),
        })
        .await;
        pending(&environment, "whisper").await;
        let function = function(&environment, &peer, "whisper");
        run(&function).await;
        let put_off = stored(&environment).await;
        assert_eq!(put_off.status, TranscriptionStatus::Processing, "{name}");
        let asked = peer.take_seen().len();
        run(&function).await;
        assert!(
            peer.take_seen().is_empty(),
            "{name}: it is left alone until it is due, however often the event is delivered"
        );
        assert!((1..=4).contains(&asked), "{name}");
        assert!((100..=120).contains(&wait_until_due(&environment).await), "{name}");
        broken.store(0, Ordering::SeqCst);
        run(&function).await;
        assert_eq!(stored(&environment).await.status, TranscriptionStatus::Completed, "{name}");
    }))
    .await;
}

#[tokio::test]
async fn retries_a_busy_provider_at_most_8_times() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(|_| Reply::json(429, "{}").with("retry-after", "3600")).await;
    pending(&environment, "whisper").await;
    let function = function(&environment, &peer, "whisper");
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(stored(&environment).await.error, None, "attempt {attempt}");
        run(&function).await;
        assert_eq!(peer.take_seen().len(), 1);
        if attempt < MAX_ATTEMPTS {
            assert!(wait_until_due(&environment).await >= 3599);
        }
    }
    let failed = stored(&environment).await;
    assert_eq!(failed.status, TranscriptionStatus::Failed);
    let error = failed.error.unwrap();
    assert_eq!(error.code, TranscriptionErrorCode::ProcessingError);
    assert!(error.message.starts_with("The provider failed 8 times. Last error: "), "{error}");
    assert_eq!(environment.published().await, ["transcription.started", "transcription.failed"]);
    run(&function).await;
    assert!(peer.take_seen().is_empty(), "what has failed is not taken up again");
}

#[tokio::test]
async fn a_rejection_by_the_provider_fails_at_once_with_its_reason() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(|_| Reply::json(400, r#"{"error": {"message": "Audio file is too short."}}"#)).await;
    pending(&environment, "whisper").await;
    run(&function(&environment, &peer, "whisper")).await;
    let error = stored(&environment).await.error.unwrap();
    assert_eq!(error.to_string(), "audio_too_short: Audio file is too short.");
    assert_eq!(peer.take_seen().len(), 1);
}

#[tokio::test]
async fn a_provider_that_the_deployment_no_longer_has_fails_the_job() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    pending(&environment, "deepgram").await;
    run(&function(&environment, &peer, "whisper")).await;
    let error = stored(&environment).await.error.unwrap();
    assert_eq!(error.code, TranscriptionErrorCode::ProviderNotConfigured);
    assert!(peer.take_seen().is_empty());
}

#[tokio::test]
async fn submits_a_job_once_and_polls_when_due() {
    for (provider, started, asked) in [
        ("assemblyai", "POST /v2/transcript", "GET /v2/transcript/9ea68fd3-f953-42c1-9742-976c447fb463"),
        ("aws", "POST /", "POST /"),
    ] {
        let environment = TestEnvironment::start().await;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let peer = Peer::answering(move |asked| {
            seen.lock().unwrap().push(asked.line.clone());
            transcribing(asked)
        })
        .await;
        pending(&environment, provider).await;
        let function = function(&environment, &peer, provider);
        run(&function).await;
        assert_eq!(*lines.lock().unwrap(), [started]);
        assert_eq!(stored(&environment).await.status, TranscriptionStatus::Processing);
        assert_eq!(wait_until_due(&environment).await, 60);
        run(&function).await;
        assert_eq!(stored(&environment).await.status, TranscriptionStatus::Completed, "{provider}");
        assert_eq!(lines.lock().unwrap()[1], asked);
        assert_eq!(environment.published().await, ENDED);
    }
}

#[tokio::test]
async fn a_job_without_a_callback_is_sent_three_times() {
    let environment = TestEnvironment::start().await;
    // Attempts that it did not take do not count.
    let refusals = AtomicUsize::new(3);
    let refuses = move || refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    let peer = Peer::answering(move |asked| match refuses() {
        true => Reply::json(429, "{}").with("retry-after", "3600"),
        false => transcribing(asked),
    })
    .await;
    pending(&environment, "deepgram").await;
    let function = function(&environment, &peer, "deepgram");
    let mut given = 0;
    for _ in 0..100 {
        run(&function).await;
        given += peer.take_seen().len();
        if stored(&environment).await.status == TranscriptionStatus::Failed {
            break;
        }
        wait_until_due(&environment).await;
    }
    assert_eq!(given, 3 + 3);
    let error = stored(&environment).await.error.unwrap();
    assert_eq!(error.message, "The provider accepted the audio 3 times and never called back");
}

#[tokio::test]
async fn a_transcription_deleted_meanwhile_is_not_submitted() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    pending(&environment, "whisper").await;
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    let recording_id = TestEnvironment::recording_id(capstan_test_environment::RECORDING);
    environment.store.delete_recording(&visibility, &recording_id, environment.now()).await.unwrap();
    run(&function(&environment, &peer, "whisper")).await;
    assert!(peer.take_seen().is_empty());
    assert!(environment.stored_transcription(TRANSCRIPTION).await.is_none());
}

#[tokio::test]
async fn a_long_text_is_kept_in_the_bucket() {
    let environment = TestEnvironment::start().await;
    let text = "all work and no play ".repeat(20_000);
    let said = serde_json::json!({"text": text, "duration": 2.5}).to_string();
    let peer = Peer::answering(move |_| Reply::json(200, said.clone())).await;
    pending(&environment, "whisper").await;
    run(&function(&environment, &peer, "whisper")).await;
    let transcription = stored(&environment).await;
    assert_eq!(transcription.transcript, Some(TranscriptLocation::Object));
    let kept = environment.objects.transcript(&transcription).await.unwrap().unwrap();
    assert_eq!((kept.full_text(), transcription.word_count), (text.trim().to_owned(), Some(100_000)));
}
