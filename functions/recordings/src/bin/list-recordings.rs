//! Lists recordings.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(recordings::list_recordings::handle)
}
