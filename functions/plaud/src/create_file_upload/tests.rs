use capstan_domain::{FileId, Status};
use capstan_emulators::Fault;
use capstan_lambda::Function;
use capstan_test_environment::{DEVICE, DEVICE_TOKEN, END_USER, TestEnvironment, call, event, with_body, with_header};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

async fn kept(environment: &TestEnvironment, file_id: &Value) -> capstan_domain::Recording {
    let file_id: FileId = file_id.as_str().unwrap().parse().unwrap();
    environment.stored(file_id.recording_id().as_str()).await.unwrap()
}

#[tokio::test]
async fn returns_a_url_for_each_part() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("create-file-upload")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    insta::assert_json_snapshot!(
        answer.body,
        {".FileId" => "[id]", ".UploadId" => "[id]", ".Parts[].PresignedUrl" => "[url]"},
        @r#"
    {
      "ChunkSize": 5242880,
      "FileId": "[id]",
      "Parts": [
        {
          "PartNumber": 1,
          "PresignedUrl": "[url]"
        },
        {
          "PartNumber": 2,
          "PresignedUrl": "[url]"
        },
        {
          "PartNumber": 3,
          "PresignedUrl": "[url]"
        }
      ],
      "UploadId": "[id]"
    }
    "#);
    let recording = kept(&environment, &answer.body["FileId"]).await;
    assert_eq!((recording.status, recording.origin.end_user_id.clone()), (Status::Pending, None));
    let (_, upload) = recording.file_upload().unwrap();
    assert_eq!(answer.body["UploadId"], upload.id.as_str());
}

#[tokio::test]
async fn reads_the_credential_begins_the_upload_and_writes_once() {
    let environment = TestEnvironment::start().await;
    call(&function(&environment), event("create-file-upload")).await;
    assert_eq!(
        environment.emulators.take_calls(),
        ["dynamodb:GetItem", "s3:CreateMultipartUpload", "dynamodb:PutItem"]
    );
}

#[tokio::test]
async fn a_device_token_brings_its_own_device_and_end_user() {
    let environment = TestEnvironment::start().await;
    let by_device = with_header(event("create-file-upload"), "authorization", DEVICE_TOKEN);
    let answer = call(&function(&environment), by_device).await;
    let recording = kept(&environment, &answer.body["FileId"]).await;
    assert_eq!(recording.origin.device_id.unwrap().as_str(), DEVICE);
    assert_eq!(recording.origin.end_user_id.unwrap().as_str(), END_USER);
}

#[tokio::test]
async fn part_urls_of_a_large_file_fit_one_response() {
    let environment = TestEnvironment::start().await;
    let gibibyte = 1u64 << 30;
    for (size, chunk_size) in [(10 * gibibyte, 5 << 20), (50 * gibibyte, 6 << 20), (500 * gibibyte, 0)] {
        let body = json!({"filesize": size, "filetype": "wav"});
        let answer = call(&function(&environment), with_body(event("create-file-upload"), body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let parts = answer.body["Parts"].as_array().unwrap();
        let chunk = answer.body["ChunkSize"].as_u64().unwrap();
        assert_eq!(u64::try_from(parts.len()).unwrap(), size.div_ceil(chunk));
        assert!(answer.body.to_string().len() < 6_000_000);
        assert!(chunk_size == 0 || chunk == chunk_size || parts.len() < 10_000, "{chunk}");
    }
}

#[tokio::test]
async fn a_repeated_request_resumes_the_saved_upload() {
    let environment = TestEnvironment::start().await;
    let keyed = || with_header(event("create-file-upload"), "idempotency-key", "a");
    let function = function(&environment);
    // Of the three attempts of the SDK the first is kept, and none is answered.
    environment.emulators.faults().fail_next("PutItem", Fault::LoseAnswer, 3);
    assert_eq!(call(&function, keyed()).await.status, 503);
    let answer = call(&function, keyed()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let recording = kept(&environment, &answer.body["FileId"]).await;
    assert_eq!(answer.body["UploadId"], recording.file_upload().unwrap().1.id.as_str());
    assert_eq!(environment.open_uploads().await.len(), 1, "the upload of the second attempt was aborted");
}
