//! Gives the text of a transcription as a file.

use capstan_http::Access;
use capstan_lambda::{StartError, serve_http};
use capstan_objects::Objects;
use capstan_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let access = Access::new(Store::from_environment(&aws)?);
    let objects = Objects::from_environment(&aws)?;
    serve_http((access, objects), export_transcription::handle).await
}
