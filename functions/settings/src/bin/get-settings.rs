//! Gives what a project has set.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(settings::get_settings::handle)
}
