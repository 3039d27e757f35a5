//! Tests of the emulators with the AWS SDK and with plain HTTP clients.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dynamodb_and_events;
mod faults;
mod policies;
mod s3;
mod s3_multipart;
mod s3_signed_urls;

use capstan_emulators::template::Template;
use capstan_emulators::{Emulators, Storage};

/// Start emulators with the table and the bucket of this project.
async fn emulators() -> Emulators {
    let emulators = Emulators::start(Storage::Memory).await.unwrap();
    emulators.create_resources(&Template::of_this_project().unwrap()).unwrap();
    emulators
}

fn bucket() -> String {
    Template::of_this_project().unwrap().buckets[0].name.clone()
}

fn table() -> String {
    Template::of_this_project().unwrap().tables[0].name().to_owned()
}
