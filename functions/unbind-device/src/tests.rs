use capstan_lambda::{Function, http_function};
use capstan_stage::{DEVICE, DEVICE_TOKEN, END_USER, Stage, call, event, with_credential, with_id};
use serde_json::json;

fn function(stage: &Stage) -> Function {
    http_function(stage.access(), stage.clock(), super::handle)
}

#[tokio::test]
async fn answers_with_the_unbound_device_and_its_token_is_dead() {
    let stage = Stage::set().await;
    stage.advance(1);
    let answer = call(&function(&stage), event("unbind-device")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "created_at": "2024-11-20T09:00:00Z",
      "end_user_id": null,
      "firmware_version": null,
      "id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
      "last_heartbeat": null,
      "last_seen_at": null,
      "metadata": {},
      "model": null,
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "serial_number": "CR2-7F3A-0042",
      "status": "unbound",
      "updated_at": "2024-11-20T09:00:01Z"
    }
    "#);
    assert!(!stage.is_valid(DEVICE_TOKEN).await);
    assert!(stage.stored_device(DEVICE).await.unwrap().binding.is_none());
    assert!(stage.stored_end_user(END_USER).await.unwrap().devices.is_empty());
}

#[tokio::test]
async fn reads_the_credential_and_the_device_and_then_writes_once_unless_nothing_changes() {
    let stage = Stage::set().await;
    let function = function(&stage);
    call(&function, event("unbind-device")).await;
    let calls = ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:TransactWriteItems"];
    assert_eq!(stage.emulators.take_calls(), calls);
    stage.advance(1);
    let again = call(&function, event("unbind-device")).await;
    assert_eq!((again.status, &again.body["updated_at"]), (200, &json!("2024-11-20T09:00:00Z")));
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem"]);
}

#[tokio::test]
async fn a_binding_that_was_made_meanwhile_is_undone_too() {
    let stage = Stage::set().await;
    let as_read = stage.stored_device(DEVICE).await.unwrap();
    stage.store.unbind_device(as_read.clone(), stage.now()).await.unwrap();
    stage.bound_device(&Stage::tenant(), &Stage::device_id(), &Stage::end_user_id(), "dtok_new").await;
    let after = stage.store.unbind_device(as_read, stage.now()).await.unwrap();
    assert_eq!((after.binding.is_some(), stage.is_valid("dtok_new").await), (false, false));
}

#[tokio::test]
async fn several_at_once_all_see_it_unbound() {
    let stage = Stage::set().await;
    let function = function(&stage);
    let unbind = || call(&function, event("unbind-device"));
    let (first, second, third) = tokio::join!(unbind(), unbind(), unbind());
    for answer in [first, second, third] {
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("unbound")));
    }
}

#[tokio::test]
async fn an_unknown_caller_is_told_so_before_anything_else() {
    let stage = Stage::set().await;
    let function = function(&stage);
    for id in ["dev_unknown", "nonsense"] {
        let event = with_id(with_credential(event("unbind-device"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let stage = Stage::set().await;
    stage.emulators.faults().fail_next("TransactWriteItems", capstan_emulators::Fault::LoseAnswer, 1);
    let answer = call(&function(&stage), event("unbind-device")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(stage.emulators.take_calls().iter().filter(|call| *call == "dynamodb:TransactWriteItems").count(), 2);
}
