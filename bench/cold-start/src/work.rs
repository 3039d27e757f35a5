//! What a function is given to do: a real event, and in the table and the bucket what it speaks of.

use capstan_domain::ContentType;
use capstan_test_environment::{TestEnvironment, event, with_id, without_header};
use serde_json::Value;

/// What an invocation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing that needs AWS.
    Hello,
    /// To sign for the upload of a file.
    CreateUploadUrl,
    /// To complete the upload of a recording whose file has arrived.
    CompleteUpload,
    /// To read a recording.
    GetRecording,
    /// To look into a recording of 30 s of Ogg Opus.
    ProcessRecording,
    /// To have a recording transcribed.
    RunTranscription,
}

const SPOKEN: &[u8] = include_bytes!("../../../infra/local/sample/spoken.ogg");

impl Work {
    /// The function that does it.
    pub(crate) fn of(function: &str) -> Option<Self> {
        match function {
            "hello" => Some(Self::Hello),
            "create-upload-url" => Some(Self::CreateUploadUrl),
            "complete-upload" => Some(Self::CompleteUpload),
            "get-recording" => Some(Self::GetRecording),
            "process-recording" => Some(Self::ProcessRecording),
            "run-transcription" => Some(Self::RunTranscription),
            _ => None,
        }
    }

    /// Sets the environment for one more invocation, on a recording of its own, and gives its event.
    pub(crate) async fn prepare(self, environment: &TestEnvironment, number: u32) -> Value {
        let id = format!("rec_c01d{number}");
        let recording = environment.recording().id(&id);
        match self {
            Self::Hello => Value::Null,
            Self::CreateUploadUrl => {
                recording.pending().await;
                with_id(event("create-upload-url"), &id)
            }
            Self::CompleteUpload => {
                recording.holding(ContentType::AudioOpus, "x").pending().await;
                // With a key it would make two calls more, which the other contestants do not make.
                with_id(without_header(event("complete-upload"), "idempotency-key"), &id)
            }
            Self::GetRecording => {
                recording.holding(ContentType::AudioOpus, "x").completed().await;
                with_id(event("get-recording"), &id)
            }
            Self::ProcessRecording => {
                recording.holding(ContentType::AudioOpus, SPOKEN).uploaded().await;
                let mut event = event("process-recording");
                event["detail"]["recording_id"] = id.into();
                event
            }
            Self::RunTranscription => {
                let completed = recording.holding(ContentType::AudioOpus, SPOKEN).completed().await;
                let transcription =
                    environment.transcription().id(&format!("txn_c01d{number}")).of(&completed).pending().await;
                let mut event = event("run-transcription");
                event["detail"]["recording_id"] = id.into();
                event["detail"]["transcription_id"] = transcription.id.to_string().into();
                event
            }
        }
    }

    /// Whether this is what the function answers where it has done its work.
    pub(crate) fn is_done_by(self, answer: &[u8]) -> bool {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        match self {
            Self::Hello => answer == "hello",
            Self::CreateUploadUrl | Self::CompleteUpload | Self::GetRecording => answer["statusCode"] == 200,
            Self::ProcessRecording | Self::RunTranscription => answer.is_null(),
        }
    }
}

/// Puts the environment's clock to the machine's, by which the functions go.
pub(crate) fn put_clock_right(environment: &TestEnvironment) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or_default();
    environment.advance(now - environment.now().milliseconds() / 1000);
}
