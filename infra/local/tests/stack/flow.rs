//! The project's own functions on a stack in this process.

use std::path::Path;

use capstan_lambda::Clock;
use capstan_local::demo::{self, Parties, Upload};
use capstan_local::first_run::FirstProject;
use capstan_local::{Options, Stack, functions};
use capstan_store::Store;

async fn stack() -> (Stack, Parties) {
    let options = Options::for_tests(functions::of_this_project(Clock::system()));
    let stack = Stack::start(options).await.unwrap();
    let project = FirstProject::new().unwrap();
    let table = stack.template().tables[0].name();
    project.register(&Store::new(stack.emulators().dynamodb(), table)).await.unwrap();
    let parties = Parties { url: stack.url(), device_token: project.device_token, api_key: project.api_key };
    (stack, parties)
}

/// The shipped sample, all the way.
async fn upload(parties: &Parties, copies: &Path) -> demo::Outcome {
    demo::run(parties, &Upload::of(None).await.unwrap(), copies).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_completes_and_its_files_download_unchanged() {
    let (stack, parties) = stack().await;
    let copies = tempfile::tempdir().unwrap();
    let outcome = upload(&parties, copies.path()).await;
    assert!(outcome.is_completed(), "{}", outcome.recording);
    let original = outcome.files.iter().find(|file| file.kind == "original").unwrap();
    assert_eq!(std::fs::read(&original.copy).unwrap(), include_bytes!("../../sample/spoken.ogg"));
    assert!(outcome.files.iter().any(|file| file.kind == "peaks"), "{:?}", outcome.files);
    stack.bus().settle().await;
    stack.bus().tick().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_scans_the_table() {
    let (stack, parties) = stack().await;
    let copies = tempfile::tempdir().unwrap();
    upload(&parties, copies.path()).await;
    stack.bus().tick().await.unwrap();
    stack.bus().settle().await;
    let calls = stack.emulators().take_calls();
    assert!(calls.len() > 10 && !calls.contains(&"dynamodb:Scan".to_owned()), "{calls:?}");
}
