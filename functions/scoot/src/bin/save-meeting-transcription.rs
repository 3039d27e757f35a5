//! Creates or updates a meeting transcription.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(scoot::save_meeting_transcription::handle)
}
