//! Takes what transcription providers tell.

use std::time::Duration;

use capstan_events::Events;
use capstan_lambda::{StartError, serve_http};
use capstan_objects::Objects;
use capstan_store::Store;
use capstan_transcripts::Transcripts;
use transcription_callback::{Desk, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let (store, objects) = (Store::from_environment(&aws)?, Objects::from_environment(&aws)?);
    let transcripts = Transcripts::new(store, objects, Events::from_environment(&aws)?);
    // AssemblyAI wants its answer within ten seconds.
    let providers = capstan_transcribe::providers(&aws, Duration::from_secs(9)).await?;
    serve_http(Desk { transcripts, providers }, handle).await
}
