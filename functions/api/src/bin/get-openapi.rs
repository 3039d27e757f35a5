//! Gives the OpenAPI document.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(api::get_openapi::handle)
}
