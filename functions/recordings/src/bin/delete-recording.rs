//! Deletes a recording.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(recordings::delete_recording::handle)
}
