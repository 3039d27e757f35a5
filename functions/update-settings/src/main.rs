//! Replaces what a project has set.

use capstan_aws::parsed_variable;
use capstan_http::Access;
use capstan_lambda::{StartError, serve_http};
use capstan_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let access = Access::new(Store::from_environment(&aws)?);
    let providers = parsed_variable("TRANSCRIPTION_PROVIDERS")?;
    serve_http((access, providers), update_settings::handle).await
}
