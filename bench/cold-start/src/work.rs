//! Requests to the functions: a real event, with matching items in the table and objects in the bucket.

use capstan_domain::ContentType;
use capstan_test_environment::{TestEnvironment, event, with_id, without_header};
use serde_json::Value;

/// Kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Return a constant, without calls to AWS.
    Hello,
    /// Create a presigned upload URL.
    CreateUploadUrl,
    /// Complete the upload of a recording after its file has arrived.
    CompleteUpload,
    /// Retrieve a recording.
    GetRecording,
    /// Process a recording of 50 s of Ogg Opus.
    ProcessRecording,
    /// Transcribe a recording.
    RunTranscription,
}

const SPOKEN: &[u8] = include_bytes!("../../../infra/local/sample/spoken.ogg");

impl Work {
    /// Request for a function. `None` if the benchmark has no request for the function.
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

    /// Create a new recording for one invocation and return the event.
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
                // An idempotency key would add two calls, which the Node and Python functions do not make.
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

    /// Whether this is the response of a successful invocation.
    pub(crate) fn is_success(self, response: &[u8]) -> bool {
        let response: Value = serde_json::from_slice(response).unwrap_or_default();
        match self {
            Self::Hello => response == "hello",
            Self::CreateUploadUrl | Self::CompleteUpload | Self::GetRecording => response["statusCode"] == 200,
            Self::ProcessRecording | Self::RunTranscription => response.is_null(),
        }
    }
}

/// Set the clock of the test environment to the system clock, which the functions use.
pub(crate) fn synchronize_clock(environment: &TestEnvironment) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or_default();
    environment.advance(now - environment.now().milliseconds() / 1000);
}
