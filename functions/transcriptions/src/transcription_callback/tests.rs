use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capstan_domain::{ChunkNumber, ProviderName, Transcription, TranscriptionOptions, TranscriptionStatus};
use capstan_emulators::peer::{Peer, Reply};
use capstan_lambda::{Function, http_function};
use capstan_test_environment::{
    SAID, TRANSCRIPTION, TestEnvironment, call, event, listened, transcribing, with_body, with_header, without_header,
};
use serde_json::{Value, json};

use super::CallbackReceiver;

fn function(environment: &TestEnvironment, peer: &Peer) -> Function {
    let dependencies = CallbackReceiver {
        transcripts: environment.transcripts(),
        providers: environment.providers("deepgram,assemblyai,whisper", &peer.url),
    };
    http_function(dependencies, environment.clock(), super::handle)
}

async fn awaited(environment: &TestEnvironment, provider: &str) {
    let options = TranscriptionOptions { provider: provider.parse().ok(), ..TranscriptionOptions::default() };
    environment.transcription().asking(options).planned().await;
}

async fn status(environment: &TestEnvironment) -> TranscriptionStatus {
    environment.stored_transcription(TRANSCRIPTION).await.unwrap().status
}

/// The event of another provider, or of another job.
fn for_job(mut event: Value, provider: &str, job: &str) -> Value {
    event["pathParameters"] = json!({"provider": provider, "job": job});
    event
}

#[tokio::test]
async fn saves_deepgrams_result_and_publishes_its_end_once() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    awaited(&environment, "deepgram").await;
    let function = function(&environment, &peer);
    let answer = call(&function, event("transcription-callback")).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(
        environment.emulators.take_calls(),
        ["dynamodb:GetItem", "dynamodb:UpdateItem", "events:PutEvents", "dynamodb:UpdateItem"]
    );
    let ended = environment.stored_transcription(TRANSCRIPTION).await.unwrap();
    let text = environment.objects.transcript(&ended).await.unwrap().unwrap();
    assert_eq!((ended.status, text.full_text()), (TranscriptionStatus::Completed, SAID.join(" ")));
    let again = with_body(event("transcription-callback"), listened());
    assert_eq!(call(&function, again).await.status, 204);
    assert_eq!(environment.stored_transcription(TRANSCRIPTION).await.unwrap(), {
        let mut of_callback = ended;
        of_callback.event_type = None;
        of_callback
    });
    assert_eq!(environment.published().await, ["transcription.completed"]);
}

#[tokio::test]
async fn fetches_the_transcript_after_assemblyais_callback() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    awaited(&environment, "assemblyai").await;
    // The token is of the job and the key, not of the provider.
    let token = event("transcription-callback")["headers"]["authorization"].as_str().unwrap().to_owned();
    let token = token_of(token.trim_start_matches("Basic "));
    let body = json!({"transcript_id": "9ea68fd3-f953-42c1-9742-976c447fb463", "status": "completed"});
    let callback = with_body(event("transcription-callback"), body);
    let job = callback["pathParameters"]["job"].as_str().unwrap().to_owned();
    let callback = with_header(for_job(callback, "assemblyai", &job), "x-capstan-callback-token", &token);
    assert_eq!(call(&function(&environment, &peer), callback).await.status, 204);
    assert_eq!(status(&environment).await, TranscriptionStatus::Completed);
    assert_eq!(peer.take_seen().len(), 1);
}

/// The token in basic credentials.
fn token_of(credentials: &str) -> String {
    let bytes = STANDARD.decode(credentials).unwrap();
    String::from_utf8(bytes).unwrap().trim_start_matches("capstan:").to_owned()
}

#[tokio::test]
async fn a_callback_without_the_jobs_token_is_refused() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    awaited(&environment, "deepgram").await;
    let function = function(&environment, &peer);
    let good = event("transcription-callback");
    let job = good["pathParameters"]["job"].as_str().unwrap();
    for (event, expected) in [
        (without_header(good.clone(), "authorization"), 401),
        (with_header(good.clone(), "authorization", "Basic Y2Fwc3Rhbjp4"), 401),
        (with_header(good.clone(), "authorization", "Bearer sk_live_EXAMPLE-not-a-real-key-EXAMPLE-not-a-real-A"), 401),
        (for_job(good.clone(), "deepgram", &format!("{job}.1")), 401),
        (for_job(good.clone(), "assemblyai", job), 401),
        (for_job(good.clone(), "whisper", job), 401),
        (for_job(good.clone(), "aws", job), 404),
        (for_job(good.clone(), "deepgram", "nonsense"), 404),
        (for_job(good.clone(), "siri", job), 404),
    ] {
        assert_eq!(call(&function, event).await.status, expected);
    }
    assert!(environment.emulators.take_calls().is_empty());
    assert_eq!(status(&environment).await, TranscriptionStatus::Processing);
}

#[tokio::test]
async fn a_provider_cannot_report_on_a_job_of_another_or_on_another_piece() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    let function = function(&environment, &peer);
    awaited(&environment, "assemblyai").await;
    let before = environment.stored_transcription(TRANSCRIPTION).await.unwrap();
    // The token of the event is Deepgram's, and is good for the job's name.
    assert_eq!(call(&function, event("transcription-callback")).await.status, 204);
    assert_eq!(environment.stored_transcription(TRANSCRIPTION).await.unwrap(), before);

    let provider = ProviderName::Deepgram;
    let asked =
        Transcription { options: TranscriptionOptions { provider: Some(provider), ..before.options }, ..before };
    let (recording_id, other) = (asked.recording_id.clone().unwrap(), "rec_other".parse().unwrap());
    let [first, second] = [0, 1].map(ChunkNumber::new);
    assert!(asked.awaits(provider, &recording_id, None));
    assert!(!asked.awaits(provider, &recording_id, Some(first)) && !asked.awaits(provider, &other, None));
    let mut cut = asked;
    cut.chunks.insert(second, cut.chunks[&first].clone());
    assert!(cut.awaits(provider, &recording_id, Some(second)) && !cut.awaits(provider, &recording_id, None));
    assert!(!cut.awaits(provider, &recording_id, Some(ChunkNumber::new(2))));
    assert!(!cut.awaits(ProviderName::Aws, &recording_id, Some(second)));
}

#[tokio::test]
async fn a_result_after_failure_or_deletion_changes_nothing() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    let function = function(&environment, &peer);
    assert_eq!(call(&function, event("transcription-callback")).await.status, 204, "of a job that is gone");
    let error = capstan_domain::TranscriptionError::new(
        capstan_domain::TranscriptionErrorCode::ProcessingError,
        "The provider did not tell the result within a day.",
    );
    environment.transcription().failed(&error).await;
    assert_eq!(call(&function, event("transcription-callback")).await.status, 204);
    assert_eq!(status(&environment).await, TranscriptionStatus::Failed);
}

#[tokio::test]
async fn answers_a_callback_with_an_error_if_it_cannot_be_saved() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(|_| Reply::json(503, "{}")).await;
    awaited(&environment, "deepgram").await;
    let function = function(&environment, &peer);
    let nonsense = with_body(event("transcription-callback"), json!("<html>"));
    assert_eq!(call(&function, nonsense).await.status, 503);
    environment.emulators.faults().fail_next("UpdateItem", capstan_emulators::Fault::Throttle, 10);
    assert_eq!(call(&function, event("transcription-callback")).await.status, 503);
    environment.emulators.faults().clear();
    assert_eq!(status(&environment).await, TranscriptionStatus::Processing);
    assert_eq!(call(&function, event("transcription-callback")).await.status, 204);
    assert_eq!(status(&environment).await, TranscriptionStatus::Completed);
}
