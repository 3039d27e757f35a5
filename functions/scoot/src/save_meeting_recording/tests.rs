use capstan_domain::{ContentType, ExternalLocation, Mode, Recording, Scope, Status, Tenant};
use capstan_lambda::Function;
use capstan_test_environment::{
    Answer, DEVICE_TOKEN, PROJECT, TestEnvironment, call, event, with_body, with_credential, without_header,
};
use serde_json::{Value, json};

const OPUS: &[u8] = include_bytes!("../../../../shared/audio/fixtures/opus-16k-mono.ogg");
const OTHER_BUCKET: &str = "meetings";

fn function(environment: &TestEnvironment) -> Function {
    let buckets = format!("arn:aws:s3:::{},arn:aws:s3:::{OTHER_BUCKET}", environment.bucket());
    environment.set_variable("SCOOT_BUCKETS", buckets);
    environment.http_function(super::handle)
}

fn body() -> Value {
    serde_json::from_str(event("save-meeting-recording")["body"].as_str().unwrap()).unwrap()
}

/// The example's body with other fields.
fn body_with(fields: Value) -> Value {
    let mut body = body();
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

async fn tell(environment: &TestEnvironment, body: Value) -> Answer {
    call(&function(environment), with_body(event("save-meeting-recording"), body)).await
}

/// What a worker puts there itself.
async fn put(environment: &TestEnvironment, bucket: &str, key: &str) {
    let s3 = environment.emulators.s3();
    s3.put_object().bucket(bucket).key(key).body(OPUS.to_vec().into()).send().await.unwrap();
    let _ = environment.emulators.take_calls();
}

/// An environment that stores the object of the example.
async fn set() -> TestEnvironment {
    let environment = TestEnvironment::start().await;
    environment.emulators.create_bucket(OTHER_BUCKET, Vec::new()).unwrap();
    put(&environment, environment.bucket(), body()["recordingId"].as_str().unwrap()).await;
    environment
}

/// The one recording of the project.
async fn recording(environment: &TestEnvironment) -> Recording {
    let mut all = recordings(environment).await;
    assert_eq!(all.len(), 1);
    all.remove(0)
}

async fn recordings(environment: &TestEnvironment) -> Vec<Recording> {
    let query = capstan_store::ListQuery {
        visibility: capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() },
        device_id: None,
        end_user_id: None,
        status: None,
        created_after: None,
        updated_after: None,
        page: capstan_store::PageQuery { after: None, offset: 0, limit: 100 },
    };
    let found = environment.store.list_recordings(&query).await.unwrap().entities;
    let _ = environment.emulators.take_calls();
    found
}

fn refusal(answer: &Answer) -> String {
    let error = &answer.body["error"];
    format!("{} {} {}", answer.status, error["code"].as_str().unwrap(), error["param"].as_str().unwrap_or("-"))
}

#[tokio::test]
async fn starts_processing_and_returns_every_field() {
    let environment = set().await;
    let answer = call(&function(&environment), event("save-meeting-recording")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    insta::assert_json_snapshot!(answer.body, { ".s3Bucket" => "[bucket]" }, @r#"
    {
      "endDateTime": "2024-11-20T09:15:00Z",
      "name": "Standup",
      "participants": [
        {
          "endDateTime": "2024-11-20T09:14:58Z",
          "startDateTime": "2024-11-20T09:00:04Z",
          "type": "VIDEO",
          "user": {
            "active": true,
            "emailAddress": "ada@example.com",
            "name": "Ada Example",
            "timeZone": "Europe/Berlin",
            "userId": "7d1c5b0e-52f7-4a34-9a51-0c4f3ad2b6f1"
          },
          "userId": "7d1c5b0e-52f7-4a34-9a51-0c4f3ad2b6f1"
        }
      ],
      "processingStartDateTime": "2024-11-20T09:00:00Z",
      "recordingId": "proj_01jcz4j8002j6ykhd7mh6hksbc/live/standup.ogg",
      "recordingSize": 6958,
      "s3Bucket": "[bucket]",
      "socialId": "0e6f3f0c-9a58-4d0b-8a35-6a4c1f8f3c11",
      "socialRecordingId": "b0f3a3c2-6b0e-4f55-9f0a-3f1f6a1f9b52",
      "startDateTime": "2024-11-20T09:00:00Z",
      "status": "PROCESSING",
      "user": {
        "active": true,
        "emailAddress": "ada@example.com",
        "name": "Ada Example",
        "timeZone": "Europe/Berlin",
        "userId": "7d1c5b0e-52f7-4a34-9a51-0c4f3ad2b6f1"
      },
      "userId": "7d1c5b0e-52f7-4a34-9a51-0c4f3ad2b6f1"
    }
    "#);
    let recording = recording(&environment).await;
    assert_eq!((recording.status, recording.name.unwrap().as_str()), (Status::Uploaded, "Standup"));
    let media = recording.media.values().next().unwrap();
    let key = format!("{PROJECT}/live/standup.ogg");
    assert_eq!(media.location, Some(ExternalLocation { bucket: environment.bucket().parse().unwrap(), key }));
    assert_eq!((media.content_type, media.size_bytes()), (ContentType::AudioOgg, Some(OPUS.len() as u64)));
    let owner = environment.stored_end_user(recording.origin.end_user_id.unwrap().as_str()).await.unwrap();
    assert_eq!(owner.external_id.unwrap().as_str(), body()["userId"]);
    assert_eq!(environment.published().await, ["recording.uploaded"]);
}

#[tokio::test]
async fn reads_name_object_and_owner_writes_once_and_publishes() {
    let environment = set().await;
    call(&function(&environment), event("save-meeting-recording")).await;
    let (get, transact) = ("dynamodb:GetItem", "dynamodb:TransactWriteItems");
    assert_eq!(
        environment.emulators.take_calls(),
        [get, get, "s3:HeadObject", get, transact, transact, "events:PutEvents"],
        "the owner is new"
    );
    call(&function(&environment), event("save-meeting-recording")).await;
    assert_eq!(environment.emulators.take_calls(), [get, get, get], "a repeat");
    tell(&environment, body_with(json!({"status": "COMPLETE"}))).await;
    let update = "dynamodb:UpdateItem";
    assert_eq!(environment.emulators.take_calls(), [get, get, get, update, "events:PutEvents", update], "an end");
    assert_eq!(environment.published().await, ["recording.uploaded", "recording.completed"]);
}

#[tokio::test]
async fn without_a_uuid_each_request_creates_a_recording() {
    let environment = set().await;
    let made = tell(&environment, json!({})).await;
    assert_eq!((made.status, &made.body["status"]), (200, &json!("PROCESSING")), "{}", made.body);
    let waiting = recording(&environment).await;
    assert_eq!((waiting.status, &waiting.origin.end_user_id), (Status::Pending, &None));
    assert!(environment.published().await.is_empty());
    let later = json!({
        "socialRecordingId": made.body["socialRecordingId"], "recordingId": body()["recordingId"], "name": null,
    });
    assert_eq!(tell(&environment, later).await.status, 200);
    let begun = recording(&environment).await;
    assert_eq!((&begun.id, begun.status), (&waiting.id, Status::Uploaded));
    assert_eq!(environment.published().await, ["recording.uploaded"]);
    tell(&environment, json!({})).await;
    assert_eq!(recordings(&environment).await.len(), 2);
}

#[tokio::test]
async fn an_invalid_field_is_named_and_nothing_is_created() {
    let environment = set().await;
    put(&environment, environment.bucket(), "proj_other/live/a.ogg").await;
    put(&environment, environment.bucket(), &format!("{PROJECT}/test/a.ogg")).await;
    for (fields, expected) in [
        (json!({"socialRecordingId": "x"}), "400 invalid_request socialRecordingId"),
        (json!({"socialId": "x"}), "400 invalid_request socialId"),
        (json!({"userId": 5}), "400 invalid_request userId"),
        (json!({"status": "DONE"}), "400 invalid_request status"),
        (json!({"name": "x".repeat(256)}), "400 invalid_request name"),
        (json!({"recordingSize": -1}), "400 invalid_request recordingSize"),
        (json!({"startDateTime": "yesterday"}), "400 invalid_request startDateTime"),
        (json!({"endDateTime": "2024-11-20T08:00:00Z"}), "400 invalid_request endDateTime"),
        (json!({"processingEndDateTime": 7}), "400 invalid_request processingEndDateTime"),
        (json!({"participants": [1]}), "400 invalid_request participants[0]"),
        (json!({"user": "Ada"}), "400 invalid_request user"),
        (json!({"s3Bucket": "strangers"}), "400 invalid_request s3Bucket"),
        (json!({"recordingId": ""}), "400 invalid_request recordingId"),
        (json!({"recordingId": "proj_other/live/a.ogg"}), "400 invalid_request recordingId"),
        (json!({"recordingId": format!("{PROJECT}/test/a.ogg")}), "400 invalid_request recordingId"),
        (json!({"recordingId": format!("{PROJECT}/live/none.ogg")}), "400 invalid_request recordingId"),
        (json!({"s3Bucket": OTHER_BUCKET, "recordingId": "none.ogg"}), "400 invalid_request recordingId"),
        (json!({"user": {"name": "x".repeat(300_000)}}), "413 request_too_large -"),
    ] {
        assert_eq!(refusal(&tell(&environment, body_with(fields.clone())).await), expected, "{fields}");
    }
    assert!(recordings(&environment).await.is_empty() && environment.published().await.is_empty());
}

#[tokio::test]
async fn after_an_end_the_same_end_is_a_repeat_and_any_other_status_a_conflict() {
    for (first, then) in [
        ("PROCESSING", ["PROCESSING 200", "COMPLETE 200", "FAILED 200"]),
        ("COMPLETE", ["PROCESSING 409", "COMPLETE 200", "FAILED 409"]),
        ("FAILED", ["PROCESSING 409", "COMPLETE 409", "FAILED 200"]),
    ] {
        for expected in then {
            let environment = set().await;
            tell(&environment, body_with(json!({"status": "PROCESSING"}))).await;
            tell(&environment, body_with(json!({"status": first}))).await;
            let (second, _) = expected.split_once(' ').unwrap();
            let answer = tell(&environment, body_with(json!({"status": second, "name": "later"}))).await;
            assert_eq!(format!("{second} {}", answer.status), expected, "after {first}");
            if answer.status == 200 {
                assert_eq!((&answer.body["status"], &answer.body["name"]), (&json!(second), &json!("later")));
                let is_open = recording(&environment).await.status == Status::Uploaded;
                assert_eq!(is_open, second == "PROCESSING");
            } else {
                assert_eq!(refusal(&answer), "409 conflict -");
                assert_ne!(recording(&environment).await.name.unwrap().as_str(), "later");
            }
        }
    }
}

#[tokio::test]
async fn the_first_reported_end_is_final_and_failures_have_reasons() {
    let environment = set().await;
    let answer = tell(&environment, json!({"status": "FAILED", "processingEndDateTime": "2024-11-20T09:20:00Z"})).await;
    assert_eq!(answer.body["processingEndDateTime"], "2024-11-20T09:20:00Z");
    let failed = recording(&environment).await;
    assert_eq!(failed.end.error.unwrap().code, capstan_domain::ProcessingErrorCode::ProcessingError);
    assert!(failed.media.is_empty());
    assert_eq!(environment.published().await, ["recording.failed"]);
    environment.advance(3600);
    assert!(environment.store.due(environment.now(), 10).await.unwrap().is_empty(), "nothing is owed");
}

#[tokio::test]
async fn owner_and_object_cannot_change() {
    let environment = set().await;
    put(&environment, OTHER_BUCKET, "a.ogg").await;
    tell(&environment, body()).await;
    let other = "11111111-1111-4111-8111-111111111111";
    for (fields, expected) in [
        (json!({"userId": other}), "400 invalid_request userId"),
        (json!({"recordingId": "a.ogg"}), "400 invalid_request recordingId"),
        (json!({"s3Bucket": OTHER_BUCKET}), "400 invalid_request s3Bucket"),
    ] {
        assert_eq!(refusal(&tell(&environment, body_with(fields)).await), expected);
    }
    assert_eq!(
        tell(&environment, body_with(json!({"s3Bucket": environment.bucket()}))).await.status,
        200,
        "the same, said"
    );
}

#[tokio::test]
async fn a_name_is_its_tenants_own_and_free_again_when_its_recording_is_deleted() {
    let environment = set().await;
    tell(&environment, body()).await;
    let first = recording(&environment).await;
    let test = Tenant { mode: Mode::Test, ..TestEnvironment::tenant() };
    environment.credential_of(test, "sk_test_other", capstan_domain::Grant::Secret).await;
    let of_test = with_body(event("save-meeting-recording"), body_with(json!({"status": "COMPLETE"})));
    let of_test = capstan_test_environment::with_header(of_test, "x-api-key", "sk_test_other");
    assert_eq!(call(&function(&environment), of_test).await.body["status"], "COMPLETE");
    assert_eq!(recording(&environment).await, first);

    let visibility = capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &first.id, environment.now()).await.unwrap();
    environment.advance(1);
    tell(&environment, body()).await;
    let second = recording(&environment).await;
    assert_ne!(second.id, first.id);
    let gone = environment.stored(first.id.as_str()).await.unwrap();
    environment.store.delete_recording_item(&gone).await.unwrap();
    tell(&environment, body()).await;
    assert_eq!(
        recording(&environment).await.id,
        second.id,
        "the old one takes no name with it that is not its own any more"
    );
    let visibility = capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &second.id, environment.now()).await.unwrap();
    environment.store.delete_recording_item(&environment.stored(second.id.as_str()).await.unwrap()).await.unwrap();
    let names = environment.emulators.dynamodb().scan().table_name(environment.table()).send().await.unwrap();
    let named = |item: &std::collections::HashMap<String, _>| format!("{:?}", item["PK"]);
    let left: Vec<_> = names.items().iter().map(named).filter(|key| key.contains("live#meeting-recording")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn concurrent_reports_merge_into_one_recording() {
    let environment = set().await;
    let function = function(&environment);
    let calls = (0..20).map(|number| {
        let payload = body_with(json!({format!("field{number}"): number}));
        call(&function, with_body(event("save-meeting-recording"), payload))
    });
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    recording(&environment).await;
    let payload = tell(&environment, json!({"socialRecordingId": body()["socialRecordingId"]})).await.body;
    assert!((0..20).all(|number| payload[format!("field{number}")] == number), "{payload}");
    assert_eq!(environment.published().await, ["recording.uploaded"]);
}

#[tokio::test]
async fn the_key_may_be_shown_in_either_header_and_no_token_will_do() {
    let environment = set().await;
    let bare = without_header(event("save-meeting-recording"), "x-api-key");
    assert_eq!(call(&function(&environment), bare.clone()).await.status, 401);
    assert_eq!(call(&function(&environment), with_credential(bare.clone(), DEVICE_TOKEN)).await.status, 403);
    let narrow = environment.restricted_key(Scope::RecordingsRead).await;
    assert_eq!(call(&function(&environment), with_credential(bare.clone(), &narrow)).await.status, 403);
    let enough = environment.restricted_key(Scope::RecordingsWrite).await;
    assert_eq!(call(&function(&environment), with_credential(bare, &enough)).await.status, 200);
}

#[tokio::test]
async fn rejects_a_payload_with_over_10_000_values() {
    let environment = set().await;
    let values = |count: usize| body_with(json!({"cursors": vec![json!({"a": 0}); count]}));
    assert_eq!(tell(&environment, values(4_900)).await.status, 200);
    let refused = tell(&environment, values(5_000)).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("invalid_request")));
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("at most 10,000 values"), "{message}");
    // A later request cannot add more either.
    let more = json!({"socialRecordingId": body()["socialRecordingId"], "others": vec![json!({"a": 0}); 4_900]});
    assert_eq!(tell(&environment, more).await.status, 400);
}
