//! Looks into a recording and makes its renditions.

use capstan_aws::parsed_variable;
use capstan_events::Events;
use capstan_lambda::{StartError, serve_event};
use capstan_objects::Objects;
use capstan_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let store = Store::from_environment(&aws)?;
    let objects = Objects::from_environment(&aws)?;
    let events = Events::from_environment(&aws)?;
    let transcription = parsed_variable("TRANSCRIPTION_RENDITION")?;
    serve_event((store, objects, events, transcription), process_recording::handle).await
}
