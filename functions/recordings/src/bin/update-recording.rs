//! Updates name and metadata of a recording.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(recordings::update_recording::handle)
}
