use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capstan_domain::{TranscriptionOptions, TranscriptionStatus};
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
    environment.transcription().asking(options).processing().await;
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
async fn what_deepgram_heard_is_kept_and_its_end_told_once() {
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
        let mut told = ended;
        told.event_type = None;
        told
    });
    assert_eq!(environment.told().await, ["transcription.completed"]);
}

#[tokio::test]
async fn assemblyai_tells_that_it_has_ended_and_is_asked_for_the_rest() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    awaited(&environment, "assemblyai").await;
    // The token is of the job and the key, not of the provider.
    let token = event("transcription-callback")["headers"]["authorization"].as_str().unwrap().to_owned();
    let token = token_of(token.trim_start_matches("Basic "));
    let body = json!({"transcript_id": "9ea68fd3-f953-42c1-9742-976c447fb463", "status": "completed"});
    let told = with_body(event("transcription-callback"), body);
    let job = told["pathParameters"]["job"].as_str().unwrap().to_owned();
    let told = with_header(for_job(told, "assemblyai", &job), "x-capstan-callback-token", &token);
    assert_eq!(call(&function(&environment, &peer), told).await.status, 204);
    assert_eq!(status(&environment).await, TranscriptionStatus::Completed);
    assert_eq!(peer.take_seen().len(), 1);
}

/// The token in basic credentials.
fn token_of(credentials: &str) -> String {
    let bytes = STANDARD.decode(credentials).unwrap();
    String::from_utf8(bytes).unwrap().trim_start_matches("capstan:").to_owned()
}

#[tokio::test]
async fn without_the_token_of_that_very_job_nothing_is_believed_or_looked_up() {
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
async fn what_comes_after_we_gave_up_or_deleted_it_changes_nothing() {
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
async fn a_provider_is_told_to_call_again_while_something_is_busy_or_it_makes_no_sense() {
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
