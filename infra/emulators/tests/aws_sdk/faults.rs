use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::ByteStream;
use capstan_emulators::{Crash, Emulators, Fault};

use super::{bucket, emulators, table};

fn item() -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("PK".to_owned(), AttributeValue::S("REC#1".to_owned())),
        ("SK".to_owned(), AttributeValue::S("REC".to_owned())),
    ])
}

/// DynamoDB client without retries.
fn client_without_retries(emulators: &Emulators) -> aws_sdk_dynamodb::Client {
    let config = emulators.sdk_config().into_builder();
    aws_sdk_dynamodb::Client::new(&config.retry_config(RetryConfig::disabled()).build())
}

async fn put(client: &aws_sdk_dynamodb::Client) -> bool {
    let put = client.put_item().table_name(table());
    put.set_item(Some(item())).send().await.is_ok()
}

async fn count(emulators: &Emulators) -> i32 {
    let scan = emulators.dynamodb().scan().table_name(table());
    scan.send().await.unwrap().count
}

#[tokio::test]
async fn sdk_retries_each_fault() {
    for fault in [Fault::Throttle, Fault::Internal, Fault::Unavailable, Fault::DropConnection, Fault::LoseAnswer] {
        let emulators = emulators().await;
        emulators.faults().fail_next("PutItem", fault, 1);
        emulators.faults().fail_next("PutObject", fault, 1);
        emulators.faults().fail_next("PutEvents", fault, 1);
        assert!(put(&emulators.dynamodb()).await, "{fault:?}");
        assert_eq!(emulators.take_calls(), ["dynamodb:PutItem"; 2], "{fault:?}");

        let s3 = emulators.s3();
        let object = s3.put_object().bucket(bucket()).key("k");
        object.body(ByteStream::from_static(b"x")).send().await.unwrap();
        assert_eq!(emulators.take_calls(), ["s3:PutObject"; 2], "{fault:?}");

        let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder();
        let entry = entry.source("s").detail_type("t").detail("{}").build();
        let events = emulators.eventbridge();
        events.put_events().entries(entry).send().await.unwrap();
        assert_eq!(emulators.take_calls(), ["events:PutEvents"; 2], "{fault:?}");
    }
}

#[tokio::test]
async fn lost_response_has_an_effect_and_dropped_call_has_none() {
    let emulators = emulators().await;
    emulators.faults().fail_next("PutItem", Fault::DropConnection, 1);
    assert!(!put(&client_without_retries(&emulators)).await);
    assert_eq!(count(&emulators).await, 0);
    emulators.faults().fail_next("PutItem", Fault::LoseAnswer, 1);
    assert!(!put(&client_without_retries(&emulators)).await);
    assert_eq!(count(&emulators).await, 1);
}

#[tokio::test]
async fn all_calls_after_an_injected_crash_fail() {
    let emulators = emulators().await;
    emulators.faults().crash_after(1, Crash::After);
    let client = client_without_retries(&emulators);
    assert!(put(&client).await);
    assert!(!emulators.faults().has_crashed());
    assert!(!put(&client).await);
    assert!(emulators.faults().has_crashed());
    assert!(!put(&client).await);
    emulators.faults().clear();
    assert!(put(&client).await);
}

#[tokio::test]
async fn fault_can_hit_a_later_call_and_delay_is_applied() {
    let emulators = emulators().await;
    emulators.faults().fail_after(1, "PutItem", Fault::Internal, 1);
    let client = client_without_retries(&emulators);
    assert!(put(&client).await);
    assert!(!put(&client).await);
    assert!(put(&client).await);

    let delay = Duration::from_millis(60);
    emulators.faults().fail_next("*", Fault::Delay(delay), 1);
    let start = std::time::Instant::now();
    assert!(put(&client).await);
    assert!(start.elapsed() >= delay);
}
