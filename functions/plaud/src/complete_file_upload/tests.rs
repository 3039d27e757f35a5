use capstan_domain::{ContentType, DeviceId, FileId, MediaId, Recording, Status};
use capstan_emulators::Fault;
use capstan_lambda::Function;
use capstan_test_environment::{Answer, DEVICE, END_USER, RECORDING, TestEnvironment, call, event, with_body};
use serde_json::{Value, json};

const MIB: u64 = 1024 * 1024;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

fn med_1() -> MediaId {
    TestEnvironment::media_id("med_1")
}

/// The event's body for a file of two parts that were sent.
async fn sent(environment: &TestEnvironment) -> Value {
    // Begun with a project's key, which names no owner.
    let unowned = |recording: &mut Recording| (recording.origin.end_user_id, recording.origin.device_id) = (None, None);
    let recording = environment.recording().with(unowned).in_parts(ContentType::AudioOpus, 5 * MIB + 3).pending().await;
    let tags = environment.send_parts(&recording, &med_1()).await;
    let _ = environment.emulators.take_calls();
    let mut body: Value = serde_json::from_str(event("complete-file-upload")["body"].as_str().unwrap()).unwrap();
    body["file_id"] = json!(FileId::of(&recording.id).as_str());
    body["upload_id"] = json!(recording.file_upload().unwrap().1.id.as_str());
    let parts = tags.iter().zip(1..).map(|(etag, number)| json!({"PartNumber": number, "ETag": etag}));
    body["part_list"] = parts.collect();
    body
}

async fn complete(environment: &TestEnvironment, body: &Value) -> Answer {
    call(&function(environment), with_body(event("complete-file-upload"), body.clone())).await
}

#[tokio::test]
async fn answers_with_the_file_and_completes_its_recording() {
    let environment = TestEnvironment::start().await;
    let body = sent(&environment).await;
    let answer = complete(&environment, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    insta::assert_json_snapshot!(
        answer.body, {".presigned_url" => "[url]", ".presigned_url_opus" => "[url]"}, @r#"
    {
      "bot_id": null,
      "children_ids": [],
      "client_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "created_at": "2024-11-20T09:00:00Z",
      "data": {},
      "device_id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
      "duration": 1800,
      "end_time": 1732095898000,
      "group_id": null,
      "id": "file_01jd4dny168n1mks12y199e68y",
      "name": "Site visit",
      "owner_id": "eu_01jcz695t07xwvpyt3bc2k45jh",
      "parent_clips": [],
      "parent_id": null,
      "presigned_url": "[url]",
      "presigned_url_opus": "[url]",
      "start_time": 1732094098000,
      "timezone": 1,
      "zonemins": 0
    }
    "#);
    let recording = environment.stored(RECORDING).await.unwrap();
    assert_eq!(recording.status, Status::Uploaded);
    assert_eq!(recording.origin.device_id.unwrap().as_str(), DEVICE);
    assert_eq!(recording.origin.end_user_id.unwrap().as_str(), END_USER);
    let events = environment.emulators.take_events().await;
    assert_eq!((events.len(), &events[0].event["detail-type"]), (1, &json!("recording.uploaded")));
}

#[tokio::test]
async fn looks_the_recorder_up_lists_completes_writes_once_and_tells() {
    let environment = TestEnvironment::start().await;
    let body = sent(&environment).await;
    complete(&environment, &body).await;
    let read = "dynamodb:GetItem";
    let rest = ["s3:ListParts", "s3:CompleteMultipartUpload", "dynamodb:UpdateItem", "events:PutEvents"];
    assert_eq!(environment.emulators.take_calls(), [&[read, read, read, read][..], &rest].concat());
    complete(&environment, &body).await;
    assert_eq!(environment.emulators.take_calls(), [read, read], "a repeat");
}

#[tokio::test]
async fn an_md5_is_compared_with_the_stored_bytes() {
    let environment = TestEnvironment::start().await;
    let mut body = sent(&environment).await;
    body["file_md5"] = json!("0".repeat(32));
    let refused = complete(&environment, &body).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("file_md5_not_match")));
    let calls = environment.emulators.take_calls();
    assert!(calls.contains(&"s3:GetObject".to_owned()), "{calls:?}");
    assert_eq!(environment.stored(RECORDING).await.unwrap().status, Status::Pending);
    body["file_md5"] = refused.body["error"]["details"]["stored_md5"].clone();
    let answer = complete(&environment, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let stored = environment.stored(RECORDING).await.unwrap().media[&med_1()].last_object().cloned().unwrap();
    assert_eq!(
        (stored.md5.unwrap().to_string(), stored.sha256.is_some()),
        (body["file_md5"].as_str().unwrap().to_owned(), true)
    );
}

#[tokio::test]
async fn an_unbound_recorder_leaves_the_owner_to_owner_id() {
    let environment = TestEnvironment::start().await;
    let spare: DeviceId = "dev_spare".parse().unwrap();
    environment.device(&TestEnvironment::tenant(), &spare).await;
    let mut body = sent(&environment).await;
    (body["sn"], body["owner_id"]) = (json!("dev_spare"), json!("crm-1"));
    let answer = complete(&environment, &body).await;
    assert_eq!((&answer.body["device_id"], &answer.body["owner_id"]), (&json!("dev_spare"), &json!("crm-1")));
    let end_user = environment.stored(RECORDING).await.unwrap().origin.end_user_id.unwrap();
    assert_eq!(environment.stored_end_user(end_user.as_str()).await.unwrap().external_id.unwrap().as_str(), "crm-1");
}

#[tokio::test]
async fn a_part_that_is_missing_is_named_and_nothing_is_lost() {
    let environment = TestEnvironment::start().await;
    let body = sent(&environment).await;
    let mut without = body.clone();
    without["part_list"].as_array_mut().unwrap().pop();
    let refused = complete(&environment, &without).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("parts_missing")));
    assert_eq!(refused.body["error"]["details"]["part_numbers"], json!([2]));
    assert_eq!(complete(&environment, &body).await.status, 200);
}

#[tokio::test]
async fn retries_an_aws_call_with_a_lost_response() {
    for operation in ["UpdateItem", "CompleteMultipartUpload", "PutEvents"] {
        let environment = TestEnvironment::start().await;
        let body = sent(&environment).await;
        environment.emulators.faults().fail_next(operation, Fault::LoseAnswer, 1);
        let answer = complete(&environment, &body).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        assert_eq!(environment.stored(RECORDING).await.unwrap().status, Status::Uploaded, "{operation}");
    }
}

#[tokio::test]
async fn concurrent_requests_complete_it_once() {
    let environment = TestEnvironment::start().await;
    let body = sent(&environment).await;
    let function = function(&environment);
    let calls = (0..8).map(|_| call(&function, with_body(event("complete-file-upload"), body.clone())));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(environment.emulators.take_events().await.len(), 1);
}
