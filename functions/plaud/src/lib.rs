//! Adapter for clients of the Plaud-shaped API.

pub mod bind_device_by_serial_number;
pub mod complete_file_upload;
pub mod create_file_upload;
pub mod credential;
mod device;
mod field;
mod owner;
pub mod unbind_device_by_serial_number;

use capstan_lambda::Registration;
use utoipa::{Modify, OpenApi};

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("bind-device-by-serial-number", bind_device_by_serial_number::handle),
        Registration::http("complete-file-upload", complete_file_upload::handle),
        Registration::http("create-file-upload", create_file_upload::handle),
        Registration::http("unbind-device-by-serial-number", unbind_device_by_serial_number::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    create_file_upload::handle,
    complete_file_upload::complete_file_upload,
    complete_file_upload::complete_partner_file_upload,
    bind_device_by_serial_number::handle,
    unbind_device_by_serial_number::handle,
), modifiers(&PartnerPaths))]
pub struct Operations;

/// Partners create a file's upload under a path of their own; the operation is the same.
struct PartnerPaths;

impl Modify for PartnerPaths {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let paths = &mut document.paths.paths;
        let Some(mut item) = paths.get("/api/files/upload-s3/generate-presigned-urls").cloned() else { return };
        if let Some(operation) = &mut item.post {
            operation.operation_id = Some("createPartnerFileUpload".to_owned());
        }
        paths.insert("/open/partner/files/upload/generate-presigned-urls".to_owned(), item);
    }
}
