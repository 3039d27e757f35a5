//! Gives one transcription with its text.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(transcriptions::get_transcription::handle)
}
