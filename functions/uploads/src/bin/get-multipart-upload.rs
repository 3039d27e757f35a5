//! Gives how far an upload in parts has come.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(uploads::get_multipart_upload::handle)
}
