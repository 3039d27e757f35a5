//! Transcriptions: the API, and the functions that run transcription jobs.

pub mod create_transcription;
pub mod export_transcription;
pub mod get_transcription;
pub mod list_transcriptions;
pub mod on_transcribe_event;
pub mod run_transcription;
pub mod transcription_callback;

use capstan_lambda::Registration;
use utoipa::OpenApi;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("create-transcription", create_transcription::handle),
        Registration::http("export-transcription", export_transcription::handle),
        Registration::http("get-transcription", get_transcription::handle),
        Registration::http("list-transcriptions", list_transcriptions::handle),
        Registration::event("on-transcribe-event", on_transcribe_event::handle),
        Registration::event("run-transcription", run_transcription::handle),
        Registration::http("transcription-callback", transcription_callback::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    create_transcription::create_transcription,
    create_transcription::transcribe_recording,
    list_transcriptions::handle,
    get_transcription::handle,
    export_transcription::handle,
))]
pub struct Operations;
