//! Signs for the upload of a file.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(uploads::create_upload_url::handle)
}
