//! Makes a token for the upload of one recording.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(uploads::create_upload_token::handle)
}
