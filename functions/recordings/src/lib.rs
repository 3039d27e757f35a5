//! Recordings: create, list, read, rename, delete, and download their files.

pub mod create_download_url;
pub mod create_recording;
pub mod delete_recording;
pub mod get_recording;
pub mod list_recordings;
pub mod update_recording;

use capstan_lambda::Registration;
use utoipa::OpenApi;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("create-download-url", create_download_url::handle),
        Registration::http("create-recording", create_recording::handle),
        Registration::http("delete-recording", delete_recording::handle),
        Registration::http("get-recording", get_recording::handle),
        Registration::http("list-recordings", list_recordings::handle),
        Registration::http("update-recording", update_recording::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    create_recording::handle,
    list_recordings::handle,
    get_recording::handle,
    update_recording::handle,
    delete_recording::handle,
    create_download_url::create_download_url,
    create_download_url::get_download_url,
))]
pub struct Operations;
