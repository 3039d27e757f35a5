use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use capstan_emulators::{Emulators, Storage};

use super::{emulators, table};

fn item(name: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("PK".to_owned(), AttributeValue::S("REC#1".to_owned())),
        ("SK".to_owned(), AttributeValue::S("REC".to_owned())),
        ("name".to_owned(), AttributeValue::S(name.to_owned())),
    ])
}

#[tokio::test]
async fn failed_condition_returns_the_existing_item() {
    let emulators = emulators().await;
    let client = emulators.dynamodb();
    let put = |name| {
        client
            .put_item()
            .table_name(table())
            .set_item(Some(item(name)))
            .condition_expression("attribute_not_exists(PK)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    };
    put("first").await.unwrap();
    let error = put("second").await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failure) = error else {
        panic!("{error:?}");
    };
    assert_eq!(failure.item.unwrap(), item("first"));
    assert_eq!(emulators.take_calls(), ["dynamodb:PutItem", "dynamodb:PutItem"]);
}

#[tokio::test]
async fn items_in_a_directory_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().join("data"));
    let template = capstan_emulators::template::Template::of_this_project().unwrap();
    {
        let emulators = Emulators::start(storage.clone()).await.unwrap();
        emulators.create_resources(&template).unwrap();
        let put = emulators.dynamodb().put_item().table_name(table());
        put.set_item(Some(item("kept"))).send().await.unwrap();
    }
    let emulators = Emulators::start(storage).await.unwrap();
    emulators.create_resources(&template).unwrap();
    let mut key = item("");
    key.remove("name");
    let get = emulators.dynamodb().get_item().table_name(table());
    let answer = get.set_key(Some(key)).send().await.unwrap();
    assert_eq!(answer.item.unwrap(), item("kept"));
}

#[tokio::test]
async fn starting_and_creating_resources_makes_no_calls() {
    let emulators = emulators().await;
    assert!(emulators.calls().is_empty());
    assert_eq!(emulators.sent(), 0);
}

#[tokio::test]
async fn published_event_has_the_form_that_rule_targets_receive() {
    let emulators = emulators().await;
    let entry = |detail: &str| {
        PutEventsRequestEntry::builder()
            .event_bus_name("arn:aws:events:us-east-1:000000000000:event-bus/capstan")
            .source("capstan")
            .detail_type("recording.uploaded")
            .detail(detail)
            .build()
    };
    let answer = emulators
        .eventbridge()
        .put_events()
        .entries(entry(r#"{"id":"rec_1"}"#))
        .entries(entry("no JSON"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.failed_entry_count, 1);
    assert_eq!(answer.entries()[1].error_code(), Some("MalformedDetail"));

    let events = emulators.take_events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].bus, "capstan");
    let event: aws_lambda_events::event::eventbridge::EventBridgeEvent =
        serde_json::from_value(events[0].event.clone()).unwrap();
    assert_eq!(event.id.as_deref(), answer.entries()[0].event_id());
    assert_eq!(event.detail_type, "recording.uploaded");
    assert_eq!(event.detail["id"], "rec_1");
    assert_eq!(emulators.take_calls(), ["events:PutEvents"]);
}

#[tokio::test]
async fn consumed_capacity_is_recorded_per_call() {
    let emulators = emulators().await;
    let dynamodb = emulators.dynamodb();
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let item = |size: usize| {
        let put = dynamodb.put_item().table_name(table()).item("PK", text("REC#1")).item("SK", text("REC"));
        put.item("filling", text(&"x".repeat(size)))
    };
    item(10).send().await.unwrap();
    item(1500).item("id", text("a")).item("device_key", text("b")).send().await.unwrap();
    let new = item(10).condition_expression("attribute_not_exists(PK)");
    new.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).send().await.unwrap_err();
    let get = || dynamodb.get_item().table_name(table()).key("PK", text("REC#1")).key("SK", text("REC"));
    get().send().await.unwrap();
    get().consistent_read(true).send().await.unwrap();
    let consumed: Vec<_> =
        emulators.take_consumed().into_iter().map(|call| (call.operation, call.read, call.write)).collect();
    let expected = [
        ("PutItem", 0.0, 1.0),
        // Two for the table, one for the index that the item is added to.
        ("PutItem", 0.0, 3.0),
        ("PutItem", 0.0, 2.0),
        ("GetItem", 0.5, 0.0),
        ("GetItem", 1.0, 0.0),
    ];
    assert_eq!(consumed, expected.map(|(operation, read, write)| (operation.to_owned(), read, write)));
}
