//! Creates a transcription of a recording.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(transcriptions::create_transcription::handle)
}
