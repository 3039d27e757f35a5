//! Makes a recording.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(recordings::create_recording::handle)
}
