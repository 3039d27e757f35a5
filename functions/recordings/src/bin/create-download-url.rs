//! Signs for the download of a file.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(recordings::create_download_url::handle)
}
