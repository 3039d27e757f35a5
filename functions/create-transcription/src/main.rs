//! Asks for a transcription of a recording.

use capstan_aws::parsed_variable;
use capstan_events::Events;
use capstan_http::Access;
use capstan_lambda::{StartError, serve_http};
use capstan_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let access = Access::new(Store::from_environment(&aws)?);
    let events = Events::from_environment(&aws)?;
    let providers = parsed_variable("TRANSCRIPTION_PROVIDERS")?;
    serve_http((access, events, providers), create_transcription::handle).await
}
