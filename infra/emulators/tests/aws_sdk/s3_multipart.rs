use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use capstan_emulators::template::Template;
use capstan_emulators::{Emulators, Storage};

use super::{bucket, emulators};

const KEY: &str = "prj_1/rec_1/med_1/original.ogg";
const PART: usize = 5 * 1024 * 1024;

async fn create(emulators: &Emulators) -> String {
    let create = emulators.s3().create_multipart_upload().bucket(bucket()).key(KEY);
    create.content_type("audio/ogg").send().await.unwrap().upload_id.unwrap()
}

async fn upload(emulators: &Emulators, id: &str, number: i32, bytes: Vec<u8>) -> CompletedPart {
    let part = emulators.s3().upload_part().bucket(bucket()).key(KEY).upload_id(id);
    let answer = part.part_number(number).body(ByteStream::from(bytes)).send().await.unwrap();
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(answer.e_tag)
        .set_checksum_crc32(answer.checksum_crc32)
        .build()
}

/// `Err` is the code that S3 answers with.
async fn complete(emulators: &Emulators, id: &str, parts: Vec<CompletedPart>) -> Result<String, String> {
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = emulators.s3().complete_multipart_upload().bucket(bucket()).key(KEY);
    let answer = complete.upload_id(id).multipart_upload(parts).send().await;
    match answer {
        Ok(answer) => Ok(answer.e_tag.unwrap()),
        Err(error) => Err(error.code().unwrap_or_default().to_owned()),
    }
}

#[tokio::test]
async fn parts_are_joined_by_part_number_with_gaps_allowed() {
    let emulators = emulators().await;
    let id = create(&emulators).await;
    let last = upload(&emulators, &id, 7, b"end".to_vec()).await;
    let first = upload(&emulators, &id, 2, vec![b'a'; PART]).await;
    let etag = complete(&emulators, &id, vec![first, last]).await.unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");

    let head = emulators.s3().head_object().bucket(bucket()).key(KEY);
    let head = head.send().await.unwrap();
    assert_eq!(head.content_length(), Some(PART as i64 + 3));
    assert_eq!(head.content_type(), Some("audio/ogg"));
    assert_eq!(head.e_tag(), Some(etag.as_str()));
    let end = emulators.s3().get_object().bucket(bucket()).key(KEY).range("bytes=-4");
    let end = end.send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(end.to_vec(), b"aend");

    let created = emulators.take_object_created().await;
    assert_eq!(created.len(), 1);
    let record = &created[0]["Records"][0];
    assert_eq!(record["eventName"], "ObjectCreated:CompleteMultipartUpload");
    assert_eq!(record["s3"]["object"]["size"], PART + 3);
    assert_eq!(complete(&emulators, &id, vec![]).await.unwrap_err(), "NoSuchUpload");
}

#[tokio::test]
async fn invalid_completion_is_rejected_and_keeps_the_parts() {
    let emulators = emulators().await;
    let id = create(&emulators).await;
    let first = upload(&emulators, &id, 1, b"small".to_vec()).await;
    let second = upload(&emulators, &id, 2, b"end".to_vec()).await;
    let wrong_etag = CompletedPart::builder().part_number(1).e_tag("\"00\"").build();
    let missing = CompletedPart::builder().part_number(9).e_tag("\"00\"").build();
    for (parts, code) in [
        (vec![], "MalformedXML"),
        (vec![wrong_etag], "InvalidPart"),
        (vec![missing], "InvalidPart"),
        (vec![second.clone(), first.clone()], "InvalidPartOrder"),
        (vec![first.clone(), second.clone()], "EntityTooSmall"),
    ] {
        assert_eq!(complete(&emulators, &id, parts).await.unwrap_err(), code);
    }
    let listed = emulators.s3().list_parts().bucket(bucket()).key(KEY);
    assert_eq!(listed.upload_id(&id).send().await.unwrap().parts().len(), 2);
    complete(&emulators, &id, vec![first]).await.unwrap();
}

#[tokio::test]
async fn parts_are_listed_in_order_in_pages() {
    let emulators = emulators().await;
    let id = create(&emulators).await;
    for number in [10, 9, 1] {
        upload(&emulators, &id, number, vec![b'x'; number as usize]).await;
    }
    let replaced = upload(&emulators, &id, 9, b"again".to_vec()).await;
    let s3 = emulators.s3();
    let list = s3.list_parts().bucket(bucket()).key(KEY).upload_id(&id).max_parts(2);
    let mut pages = list.into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        for part in page.unwrap().parts() {
            seen.push((part.part_number().unwrap(), part.size().unwrap(), part.e_tag.clone()));
        }
    }
    assert_eq!(seen.iter().map(|part| (part.0, part.1)).collect::<Vec<_>>(), [(1, 1), (9, 5), (10, 10)]);
    assert_eq!(seen[1].2, replaced.e_tag);
}

#[tokio::test]
async fn aborted_upload_no_longer_exists() {
    let emulators = emulators().await;
    let id = create(&emulators).await;
    upload(&emulators, &id, 1, b"x".to_vec()).await;
    let s3 = emulators.s3();
    let open = || async {
        let list = s3.list_multipart_uploads().bucket(bucket()).prefix("prj_1/");
        list.send().await.unwrap().uploads().len()
    };
    assert_eq!(open().await, 1);
    let abort = || s3.abort_multipart_upload().bucket(bucket()).key(KEY).upload_id(&id).send();
    abort().await.unwrap();
    assert_eq!(open().await, 0);
    assert!(abort().await.unwrap_err().into_service_error().is_no_such_upload());
}

#[tokio::test]
async fn upload_can_continue_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let (id, first) = {
        let emulators = Emulators::start(storage.clone()).await.unwrap();
        emulators.create_resources(&Template::of_this_project().unwrap()).unwrap();
        let id = create(&emulators).await;
        let first = upload(&emulators, &id, 1, vec![b'a'; PART]).await;
        (id, first)
    };
    let emulators = Emulators::start(storage).await.unwrap();
    let second = upload(&emulators, &id, 2, b"end".to_vec()).await;
    complete(&emulators, &id, vec![first, second]).await.unwrap();
}
