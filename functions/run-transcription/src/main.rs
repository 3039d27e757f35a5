//! Gives recordings to transcription providers.

use std::time::Duration;

use capstan_aws::variable;
use capstan_events::Events;
use capstan_lambda::{StartError, serve_event};
use capstan_objects::Objects;
use capstan_store::Store;
use capstan_transcripts::Transcripts;
use run_transcription::PATIENCE_SECONDS;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let (store, objects) = (Store::from_environment(&aws)?, Objects::from_environment(&aws)?);
    let transcripts = Transcripts::new(store, objects, Events::from_environment(&aws)?);
    let providers = capstan_transcribe::providers(&aws, Duration::from_secs(PATIENCE_SECONDS)).await?;
    serve_event((transcripts, providers, variable("API_URL")?), run_transcription::handle).await
}
