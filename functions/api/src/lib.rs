//! The API as a whole: its OpenAPI document, and the answer to unknown routes.

pub mod get_openapi;
pub mod route_not_found;

use capstan_lambda::Registration;
use utoipa::OpenApi;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("get-openapi", get_openapi::handle),
        Registration::http("route-not-found", route_not_found::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(get_openapi::handle,), components(schemas(capstan_http::GatewayRefusalBody)))]
pub struct Operations;
