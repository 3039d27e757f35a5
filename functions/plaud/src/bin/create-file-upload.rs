//! Begins the upload of a file in parts, for Plaud-shaped clients.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(plaud::create_file_upload::handle)
}
