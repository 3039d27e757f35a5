//! Uploads: presigned URLs, upload tokens, multipart uploads and their completion.

pub mod abort_multipart_upload;
pub mod complete_multipart_upload;
pub mod complete_upload;
pub mod create_upload_token;
pub mod create_upload_url;
pub mod get_multipart_upload;

use capstan_lambda::Registration;
use utoipa::OpenApi;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("abort-multipart-upload", abort_multipart_upload::handle),
        Registration::http("complete-multipart-upload", complete_multipart_upload::handle),
        Registration::http("complete-upload", complete_upload::handle),
        Registration::http("create-upload-token", create_upload_token::handle),
        Registration::http("create-upload-url", create_upload_url::handle),
        Registration::http("get-multipart-upload", get_multipart_upload::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    create_upload_token::handle,
    create_upload_url::handle,
    get_multipart_upload::handle,
    complete_multipart_upload::handle,
    abort_multipart_upload::handle,
    complete_upload::handle,
))]
pub struct Operations;
