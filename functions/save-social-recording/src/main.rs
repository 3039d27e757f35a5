//! Keeps what a Scoot-shaped worker tells of a recording, and begins its processing.

use capstan_aws::parsed_variable;
use capstan_events::Events;
use capstan_http::Access;
use capstan_lambda::{StartError, serve_http};
use capstan_objects::Objects;
use capstan_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let access = Access::new(Store::from_environment(&aws)?);
    let objects = Objects::from_environment(&aws)?;
    let events = Events::from_environment(&aws)?;
    let buckets = parsed_variable("SCOOT_BUCKETS")?;
    serve_http((access, objects, events, buckets), save_social_recording::handle).await
}
