//! Gives recordings to transcription providers.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_event(env!("CARGO_BIN_NAME"), transcriptions::run_transcription::handle)
}
