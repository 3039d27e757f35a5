//! Settings of a project.

pub mod get_settings;
pub mod update_settings;

use capstan_lambda::Registration;
use utoipa::OpenApi;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("get-settings", get_settings::handle),
        Registration::http("update-settings", update_settings::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(get_settings::handle, update_settings::handle,))]
pub struct Operations;
