//! Adapter for meeting workers of the Scoot-shaped API.

pub mod credential;
mod payload;
pub mod save_meeting_recording;
pub mod save_meeting_transcription;
mod saving;

use capstan_lambda::Registration;
use utoipa::OpenApi;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("save-meeting-recording", save_meeting_recording::handle),
        Registration::http("save-meeting-transcription", save_meeting_transcription::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(save_meeting_recording::handle, save_meeting_transcription::handle,))]
pub struct Operations;
