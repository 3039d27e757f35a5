//! Aborts an upload in parts.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(uploads::abort_multipart_upload::handle)
}
