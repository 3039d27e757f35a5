//! Takes what transcription providers tell.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(transcriptions::transcription_callback::handle)
}
