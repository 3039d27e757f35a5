//! Keeps the texts of Amazon Transcribe's jobs.

use std::time::Duration;

use capstan_events::Events;
use capstan_lambda::{StartError, serve_event};
use capstan_objects::Objects;
use capstan_store::Store;
use capstan_transcripts::Transcripts;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let (store, objects) = (Store::from_environment(&aws)?, Objects::from_environment(&aws)?);
    let transcripts = Transcripts::new(store, objects, Events::from_environment(&aws)?);
    let providers = capstan_transcribe::providers(&aws, Duration::from_secs(25)).await?;
    serve_event((transcripts, providers), on_transcribe_event::handle).await
}
