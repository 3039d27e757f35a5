//! Takes note of what S3 received.

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
    serve_event((store, objects, events), on_object_created::handle).await
}
