//! Gives the text of a transcription as a file.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(transcriptions::export_transcription::handle)
}
