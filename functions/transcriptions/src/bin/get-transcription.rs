//! Returns a transcription with its transcript.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(transcriptions::get_transcription::handle)
}
