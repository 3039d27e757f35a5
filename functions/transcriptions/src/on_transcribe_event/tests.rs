use capstan_domain::{TranscriptionOptions, TranscriptionStatus};
use capstan_emulators::peer::{Peer, Reply};
use capstan_lambda::{Function, event_function};
use capstan_test_environment::{TRANSCRIPTION, TestEnvironment, event, transcribing};
use serde_json::json;

fn function(environment: &TestEnvironment, peer: &Peer) -> Function {
    event_function(
        "test",
        (environment.transcripts(), environment.providers("aws", &peer.url)),
        environment.clock(),
        super::handle,
    )
}

async fn awaited(environment: &TestEnvironment) {
    let options = TranscriptionOptions { provider: "aws".parse().ok(), ..TranscriptionOptions::default() };
    environment.transcription().asking(options).planned().await;
}

#[tokio::test]
async fn saves_the_text_and_publishes_the_end_once() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    awaited(&environment).await;
    let function = function(&environment, &peer);
    for _ in 0..3 {
        function.invoke(event("on-transcribe-event")).await.unwrap();
    }
    let ended = environment.stored_transcription(TRANSCRIPTION).await.unwrap();
    assert_eq!((ended.status, ended.word_count), (TranscriptionStatus::Completed, Some(5)));
    assert_eq!(environment.published().await, ["transcription.completed"]);
    assert_eq!(peer.take_seen().len(), 2, "the job and its output, and nothing after its end");
}

#[tokio::test]
async fn a_job_that_failed_fails_its_transcription_with_the_reason() {
    let environment = TestEnvironment::start().await;
    let failed = json!({"TranscriptionJob": {"TranscriptionJobStatus": "FAILED",
        "FailureReason": "The media format provided does not match the detected media format."}});
    let peer = Peer::answering(move |_| Reply::json(200, failed.to_string())).await;
    awaited(&environment).await;
    function(&environment, &peer).invoke(event("on-transcribe-event")).await.unwrap();
    let error = environment.stored_transcription(TRANSCRIPTION).await.unwrap().error.unwrap();
    assert_eq!(
        error.to_string(),
        "unsupported_format: The media format provided does not match the detected media format."
    );
}

#[tokio::test]
async fn foreign_and_deleted_jobs_are_ignored() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(transcribing).await;
    let function = function(&environment, &peer);
    for name in ["somebody-elses-job", "rec_1.txn_1", "rec_other.txn_01jd4fh7m0e5b8r2v9c6k3w1qz"] {
        let mut event = event("on-transcribe-event");
        event["detail"]["TranscriptionJobName"] = name.into();
        function.invoke(event).await.unwrap();
    }
    assert!(peer.take_seen().is_empty());
}

#[tokio::test]
async fn a_service_that_is_busy_is_asked_again() {
    let environment = TestEnvironment::start().await;
    let peer = Peer::answering(|_| Reply::json(500, r#"{"__type": "InternalFailureException"}"#)).await;
    awaited(&environment).await;
    assert!(
        function(&environment, &peer).invoke(event("on-transcribe-event")).await.is_err(),
        "Lambda repeats what failed"
    );
    let still = environment.stored_transcription(TRANSCRIPTION).await.unwrap();
    assert_eq!(still.status, TranscriptionStatus::Processing);
}
