//! Keeps the texts of Amazon Transcribe's jobs.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_event(env!("CARGO_BIN_NAME"), transcriptions::on_transcribe_event::handle)
}
