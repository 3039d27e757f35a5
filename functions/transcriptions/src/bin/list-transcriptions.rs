//! Lists transcriptions with their texts.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(transcriptions::list_transcriptions::handle)
}
