//! Keeps what a Scoot-shaped worker tells of a transcription.

use capstan_events::Events;
use capstan_http::Access;
use capstan_lambda::{StartError, serve_http};
use capstan_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let access = Access::new(Store::from_environment(&aws)?);
    let events = Events::from_environment(&aws)?;
    serve_http((access, events), save_social_transcription::handle).await
}
