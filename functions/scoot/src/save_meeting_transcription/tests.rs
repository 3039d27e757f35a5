use capstan_domain::{Transcription, TranscriptionStatus, TranscriptionWork};
use capstan_lambda::Function;
use capstan_test_environment::{Answer, TestEnvironment, call, event, with_body};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

fn body_with(fields: Value) -> Value {
    let mut body: Value = serde_json::from_str(event("save-meeting-transcription")["body"].as_str().unwrap()).unwrap();
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

async fn tell(environment: &TestEnvironment, body: Value) -> Answer {
    call(&function(environment), with_body(event("save-meeting-transcription"), body)).await
}

async fn transcriptions(environment: &TestEnvironment) -> Vec<Transcription> {
    let query = capstan_store::PageQuery { after: None, offset: 0, limit: 100 };
    let found = environment.store.list_transcriptions(&TestEnvironment::tenant(), &query).await.unwrap().entities;
    let _ = environment.emulators.take_calls();
    found
}

#[tokio::test]
async fn saves_and_returns_every_field() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("save-meeting-transcription")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "name": "Standup",
      "processingStartDateTime": "2024-11-20T09:00:00Z",
      "s3Bucket": "meetings",
      "socialRoomSetId": "c2a4d9f8-3f0e-4d61-9f44-7b1b8c5e9a20",
      "socialTranscriptionId": "5a9b2c7e-1c52-4a0f-8f5e-2f6f1b0a7d83",
      "startDateTime": "2024-11-20T09:00:00Z",
      "status": "PROCESSING",
      "user": {
        "active": true,
        "emailAddress": "ada@example.com",
        "name": "Ada Example",
        "timeZone": "Europe/Berlin",
        "userId": "7d1c5b0e-52f7-4a34-9a51-0c4f3ad2b6f1"
      }
    }
    "#);
    let kept = &transcriptions(&environment).await[0];
    assert_eq!((kept.status, &kept.recording_id), (TranscriptionStatus::Processing, &None));
    assert_eq!(environment.published().await, ["transcription.started"]);
}

#[tokio::test]
async fn looks_the_name_up_writes_once_tells_and_notes_that() {
    let environment = TestEnvironment::start().await;
    tell(&environment, body_with(json!({}))).await;
    let (get, update) = ("dynamodb:GetItem", "dynamodb:UpdateItem");
    let (write, tell_bus) = ("dynamodb:TransactWriteItems", "events:PutEvents");
    assert_eq!(environment.emulators.take_calls(), [get, get, write, tell_bus, update]);
    tell(&environment, body_with(json!({}))).await;
    assert_eq!(environment.emulators.take_calls(), [get, get, get], "a repeat");
    tell(&environment, body_with(json!({"status": "COMPLETE"}))).await;
    assert_eq!(environment.emulators.take_calls(), [get, get, get, update, tell_bus, update], "an end");
    assert_eq!(environment.published().await, ["transcription.started", "transcription.completed"]);
}

#[tokio::test]
async fn after_an_end_the_same_end_is_a_repeat_and_any_other_status_a_conflict() {
    for (first, then) in [
        ("PROCESSING", ["PROCESSING 200", "COMPLETE 200", "FAILED 200"]),
        ("COMPLETE", ["PROCESSING 409", "COMPLETE 200", "FAILED 409"]),
        ("FAILED", ["PROCESSING 409", "COMPLETE 409", "FAILED 200"]),
    ] {
        for expected in then {
            let environment = TestEnvironment::start().await;
            tell(&environment, body_with(json!({"status": first}))).await;
            let (second, _) = expected.split_once(' ').unwrap();
            let answer = tell(&environment, body_with(json!({"status": second, "name": "later"}))).await;
            assert_eq!(format!("{second} {}", answer.status), expected, "after {first}");
            let kept = transcriptions(&environment).await;
            assert_eq!(kept.len(), 1);
            assert_eq!(
                kept[0].meeting.as_ref().unwrap().payload.text("name").as_deref() == Some("later"),
                answer.status == 200
            );
            assert_eq!(kept[0].error.is_some(), kept[0].status == TranscriptionStatus::Failed);
        }
    }
}

#[tokio::test]
async fn an_unpublished_end_is_published_later() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("PutEvents", capstan_emulators::Fault::Throttle, 100);
    assert_eq!(tell(&environment, body_with(json!({"status": "COMPLETE"}))).await.status, 200);
    environment.emulators.faults().clear();
    let kept = transcriptions(&environment).await.remove(0);
    assert!(matches!(kept.work(environment.now()), TranscriptionWork::Publish(_)));
    environment.advance(3600);
    assert_eq!(environment.store.due(environment.now(), 10).await.unwrap().len(), 1);

    let lease = capstan_domain::LeaseId::new(environment.now(), 1);
    tell(&environment, json!({})).await;
    let open = transcriptions(&environment).await.remove(0);
    assert_eq!(open.work(environment.now().plus_seconds(90_000)), TranscriptionWork::Nothing);
    assert!(environment.store.claim_transcription(&open.id, &lease, environment.now()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_invalid_field_is_named_with_its_rule() {
    let environment = TestEnvironment::start().await;
    for (field, value) in [
        ("socialTranscriptionId", json!("x")),
        ("socialRoomSetId", json!(1)),
        ("status", json!("complete")),
        ("name", json!("x".repeat(256))),
        ("s3Bucket", json!({})),
        ("startDateTime", json!("today")),
        ("processingStartDateTime", json!("today")),
        ("processingEndDateTime", json!("today")),
        ("user", json!([])),
    ] {
        let refused = tell(&environment, body_with(json!({field: value}))).await;
        assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!(field)), "{}", refused.body);
    }
    assert!(transcriptions(&environment).await.is_empty());
}

#[tokio::test]
async fn twenty_at_once_make_one() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let calls = (0..20).map(|number| {
        let payload = body_with(json!({format!("field{number}"): number}));
        call(&function, with_body(event("save-meeting-transcription"), payload))
    });
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(transcriptions(&environment).await.len(), 1);
    assert_eq!(environment.published().await, ["transcription.started"]);
}
