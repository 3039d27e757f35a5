//! Completes an upload.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(uploads::complete_upload::handle)
}
