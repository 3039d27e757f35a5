use capstan_domain::{Transcription, TranscriptionStatus, TranscriptionWork};
use capstan_lambda::{Function, http_function};
use capstan_stage::{Answer, Stage, call, event, with_body};
use serde_json::{Value, json};

fn function(stage: &Stage) -> Function {
    http_function((stage.access(), stage.events.clone()), stage.clock(), super::handle)
}

fn body_with(fields: Value) -> Value {
    let mut body: Value = serde_json::from_str(event("save-social-transcription")["body"].as_str().unwrap()).unwrap();
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

async fn tell(stage: &Stage, body: Value) -> Answer {
    call(&function(stage), with_body(event("save-social-transcription"), body)).await
}

async fn transcriptions(stage: &Stage) -> Vec<Transcription> {
    let found = stage.store.list_transcriptions(&Stage::tenant(), None, 100).await.unwrap().entities;
    let _ = stage.emulators.take_calls();
    found
}

#[tokio::test]
async fn keeps_all_that_was_told_and_gives_it_back() {
    let stage = Stage::set().await;
    let answer = call(&function(&stage), event("save-social-transcription")).await;
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
    let kept = &transcriptions(&stage).await[0];
    assert_eq!((kept.status, &kept.recording_id), (TranscriptionStatus::Processing, &None));
    assert_eq!(stage.told().await, ["transcription.started"]);
}

#[tokio::test]
async fn looks_the_name_up_writes_once_tells_and_notes_that() {
    let stage = Stage::set().await;
    tell(&stage, body_with(json!({}))).await;
    let (get, update) = ("dynamodb:GetItem", "dynamodb:UpdateItem");
    let (write, tell_bus) = ("dynamodb:TransactWriteItems", "events:PutEvents");
    assert_eq!(stage.emulators.take_calls(), [get, get, write, tell_bus, update]);
    tell(&stage, body_with(json!({}))).await;
    assert_eq!(stage.emulators.take_calls(), [get, get, get], "a repeat");
    tell(&stage, body_with(json!({"status": "COMPLETE"}))).await;
    assert_eq!(stage.emulators.take_calls(), [get, get, get, update, tell_bus, update], "an end");
    assert_eq!(stage.told().await, ["transcription.started", "transcription.completed"]);
}

#[tokio::test]
async fn after_an_end_the_same_end_is_a_repeat_and_any_other_status_a_conflict() {
    for (first, then) in [
        ("PROCESSING", ["PROCESSING 200", "COMPLETE 200", "FAILED 200"]),
        ("COMPLETE", ["PROCESSING 409", "COMPLETE 200", "FAILED 409"]),
        ("FAILED", ["PROCESSING 409", "COMPLETE 409", "FAILED 200"]),
    ] {
        for expected in then {
            let stage = Stage::set().await;
            tell(&stage, body_with(json!({"status": first}))).await;
            let (second, _) = expected.split_once(' ').unwrap();
            let answer = tell(&stage, body_with(json!({"status": second, "name": "later"}))).await;
            assert_eq!(format!("{second} {}", answer.status), expected, "after {first}");
            let kept = transcriptions(&stage).await;
            assert_eq!(kept.len(), 1);
            assert_eq!(kept[0].social.as_ref().unwrap().told.text("name") == Some("later"), answer.status == 200);
            assert_eq!(kept[0].error.is_some(), kept[0].status == TranscriptionStatus::Failed);
        }
    }
}

#[tokio::test]
async fn nobody_else_works_on_it_and_an_end_that_the_bus_did_not_take_is_owed() {
    let stage = Stage::set().await;
    stage.emulators.faults().fail_next("PutEvents", capstan_emulators::Fault::Throttle, 100);
    assert_eq!(tell(&stage, body_with(json!({"status": "COMPLETE"}))).await.status, 200);
    stage.emulators.faults().clear();
    let kept = transcriptions(&stage).await.remove(0);
    assert!(matches!(kept.work(stage.now()), TranscriptionWork::Announce(_)));
    stage.advance(3600);
    assert_eq!(stage.store.due(stage.now(), 10).await.unwrap().len(), 1);

    let lease = capstan_domain::LeaseId::new(stage.now(), 1);
    tell(&stage, json!({})).await;
    let open = transcriptions(&stage).await.remove(0);
    assert_eq!(open.work(stage.now().plus_seconds(90_000)), TranscriptionWork::Rest);
    assert!(stage.store.claim_transcription(&open.id, &lease, stage.now()).await.unwrap().is_none());
}

#[tokio::test]
async fn each_field_says_which_rule_it_breaks() {
    let stage = Stage::set().await;
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
        let refused = tell(&stage, body_with(json!({field: value}))).await;
        assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!(field)), "{}", refused.body);
    }
    assert!(transcriptions(&stage).await.is_empty());
}

#[tokio::test]
async fn twenty_at_once_make_one() {
    let stage = Stage::set().await;
    let function = function(&stage);
    let calls = (0..20).map(|number| {
        let told = body_with(json!({format!("field{number}"): number}));
        call(&function, with_body(event("save-social-transcription"), told))
    });
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(transcriptions(&stage).await.len(), 1);
    assert_eq!(stage.told().await, ["transcription.started"]);
}
