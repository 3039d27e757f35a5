//! Replaces what a project has set.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(settings::update_settings::handle)
}
