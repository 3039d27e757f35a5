//! Makes one file of the parts that were uploaded.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(uploads::complete_multipart_upload::handle)
}
