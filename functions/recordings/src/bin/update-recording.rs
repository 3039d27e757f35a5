//! Renames a recording and replaces its metadata.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(recordings::update_recording::handle)
}
