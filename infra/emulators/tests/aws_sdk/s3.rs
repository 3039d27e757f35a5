use aws_lambda_events::event::s3::S3Event;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, Delete, ObjectIdentifier};
use capstan_emulators::template::Template;
use capstan_emulators::{Emulators, Storage};

use super::{bucket, emulators};

async fn put(emulators: &Emulators, key: &str, body: &'static [u8]) {
    let put = emulators.s3().put_object().bucket(bucket()).key(key);
    put.content_type("audio/ogg").body(ByteStream::from_static(body)).send().await.unwrap();
}

async fn body(emulators: &Emulators, key: &str) -> Option<Vec<u8>> {
    let get = emulators.s3().get_object().bucket(bucket()).key(key);
    let answer = get.send().await.ok()?;
    Some(answer.body.collect().await.unwrap().to_vec())
}

#[tokio::test]
async fn object_is_returned_whole_and_in_ranges_with_its_headers() {
    let emulators = emulators().await;
    put(&emulators, "a/b", b"0123456789").await;
    let s3 = emulators.s3();
    let head = s3.head_object().bucket(bucket()).key("a/b").send().await.unwrap();
    assert_eq!(head.content_length(), Some(10));
    assert_eq!(head.content_type(), Some("audio/ogg"));
    assert_eq!(head.e_tag(), Some("\"781e5e245d69b566979b86e28d23f2c7\""));

    let range = |range: &str| s3.get_object().bucket(bucket()).key("a/b").range(range).send();
    let middle = range("bytes=2-4").await.unwrap();
    assert_eq!(middle.content_range(), Some("bytes 2-4/10"));
    assert_eq!(middle.body.collect().await.unwrap().to_vec(), b"234");
    let end = range("bytes=-3").await.unwrap();
    assert_eq!(end.body.collect().await.unwrap().to_vec(), b"789");
    let error = range("bytes=10-").await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 416);
    assert!(emulators.take_calls().iter().any(|call| call == "s3:HeadObject"));
}

#[tokio::test]
async fn missing_and_deleted_objects_are_not_found() {
    let emulators = emulators().await;
    let s3 = emulators.s3();
    let head = || s3.head_object().bucket(bucket()).key("k").send();
    assert!(head().await.unwrap_err().into_service_error().is_not_found());
    // `k` and `k/below` are independent keys.
    put(&emulators, "k/below", b"y").await;
    assert!(head().await.unwrap_err().into_service_error().is_not_found());
    put(&emulators, "k", b"x").await;
    head().await.unwrap();

    let object = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder().objects(object("k")).objects(object("missing"));
    let answer = s3.delete_objects().bucket(bucket()).delete(delete.build().unwrap());
    assert_eq!(answer.send().await.unwrap().deleted().len(), 2);
    assert!(head().await.unwrap_err().into_service_error().is_not_found());
    assert_eq!(body(&emulators, "k/below").await.unwrap(), b"y");
    s3.delete_object().bucket(bucket()).key("k").send().await.unwrap();
}

#[tokio::test]
async fn objects_are_listed_by_prefix_in_pages() {
    let emulators = emulators().await;
    for key in ["p/3", "p/1", "q/1", "p/2"] {
        put(&emulators, key, b"x").await;
    }
    let s3 = emulators.s3();
    let mut pages = s3.list_objects_v2().bucket(bucket()).prefix("p/").max_keys(2).into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        let keys = page.unwrap().contents.unwrap_or_default();
        seen.push(keys.into_iter().map(|object| object.key.unwrap()).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec!["p/1", "p/2"], vec!["p/3"]]);
}

#[tokio::test]
async fn each_common_prefix_is_listed_once_across_pages() {
    let emulators = emulators().await;
    for key in ["p/a", "p/b/1", "p/b/2", "p/c", "p/d/1", "q"] {
        put(&emulators, key, b"x").await;
    }
    let s3 = emulators.s3();
    let list = s3.list_objects_v2().bucket(bucket()).prefix("p/").delimiter("/").max_keys(1);
    let mut pages = list.into_paginator().send();
    let (mut keys, mut folders) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        folders.extend(page.common_prefixes().iter().map(|folder| folder.prefix().unwrap().to_owned()));
    }
    assert_eq!(keys, ["p/a", "p/c"]);
    assert_eq!(folders, ["p/b/", "p/d/"]);
}

#[tokio::test]
async fn wrong_checksum_is_rejected_and_keeps_the_old_object() {
    let emulators = emulators().await;
    put(&emulators, "k", b"old").await;
    emulators.take_object_created().await;
    let s3 = emulators.s3();
    let wrong = s3.put_object().bucket(bucket()).key("k");
    let error = wrong
        .body(ByteStream::from_static(b"new"))
        .checksum_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
    assert_eq!(error.into_service_error().meta().code(), Some("BadDigest"));
    assert_eq!(body(&emulators, "k").await.unwrap(), b"old");
    assert!(emulators.take_object_created().await.is_empty());
}

#[tokio::test]
async fn checksum_is_returned_only_in_checksum_mode() {
    let emulators = emulators().await;
    let s3 = emulators.s3();
    let put = s3.put_object().bucket(bucket()).key("k");
    put.body(ByteStream::from_static(b"")).checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.unwrap();
    let head = || s3.head_object().bucket(bucket()).key("k");
    let without_mode = head().send().await.unwrap();
    assert_eq!(without_mode.checksum_sha256(), None);
    let with_mode = head().checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!(with_mode.checksum_sha256(), Some("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="));
}

#[tokio::test]
async fn if_none_match_rejects_overwriting_an_object() {
    let emulators = emulators().await;
    put(&emulators, "k", b"first").await;
    let s3 = emulators.s3();
    let second = s3.put_object().bucket(bucket()).key("k").if_none_match("*");
    let error = second.body(ByteStream::from_static(b"2")).send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 412);
    assert_eq!(body(&emulators, "k").await.unwrap(), b"first");
}

#[tokio::test]
async fn notification_has_encoded_key_and_increasing_sequencer() {
    let emulators = emulators().await;
    put(&emulators, "a b/ü+c.ogg", b"1").await;
    put(&emulators, "a b/ü+c.ogg", b"22").await;
    let mut sequencers = Vec::new();
    for notification in emulators.take_object_created().await {
        let event: S3Event = serde_json::from_value(notification).unwrap();
        let record = &event.records[0];
        assert_eq!(record.event_name.as_deref(), Some("ObjectCreated:Put"));
        assert_eq!(record.s3.bucket.name.as_deref(), Some(bucket().as_str()));
        assert_eq!(record.s3.object.key.as_deref(), Some("a+b/%C3%BC%2Bc.ogg"));
        sequencers.push((record.s3.object.sequencer.clone().unwrap(), record.s3.object.size));
    }
    assert_eq!(sequencers.len(), 2);
    assert_eq!((sequencers[0].1, sequencers[1].1), (Some(1), Some(2)));
    assert!(sequencers[0].0 < sequencers[1].0, "{sequencers:?}");
}

#[tokio::test]
async fn restart_keeps_objects_and_deletes_unfinished_files() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let template = Template::of_this_project().unwrap();
    let long = format!("{}/{}/{}", "p".repeat(64), "r".repeat(64), "m".repeat(64));
    {
        let emulators = Emulators::start(storage.clone()).await.unwrap();
        emulators.create_resources(&template).unwrap();
        let put = emulators.s3().put_object().bucket(bucket()).key(&long);
        put.body(ByteStream::from_static(b"kept")).send().await.unwrap();
    }
    let unfinished = directory.path().join("s3/bytes/unfinished");
    std::fs::write(&unfinished, b"x").unwrap();
    let emulators = Emulators::start(storage).await.unwrap();
    assert_eq!(body(&emulators, &long).await.unwrap(), b"kept");
    assert!(!unfinished.exists());
}
