//! Makes a token for the upload of one recording.

use capstan_http::Access;
use capstan_lambda::{StartError, serve_http};
use capstan_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let access = Access::new(Store::from_environment(&aws)?);
    serve_http(access, create_upload_token::handle).await
}
