use std::sync::Arc;
use std::time::Duration;

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_s3::primitives::ByteStream;
use capstan_local::Stack;
use capstan_local::lambda::{Function, InvocationError};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{Seen, stack};

async fn put_object(stack: &Stack, key: &str) {
    let bucket = &stack.template().buckets[0].name;
    let put = stack.emulators().s3().put_object().bucket(bucket).key(key);
    put.body(ByteStream::from_static(b"x")).send().await.unwrap();
}

async fn put_event(stack: &Stack, bus: &str, detail_type: &str) {
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(bus)
        .source("capstan")
        .detail_type(detail_type)
        .detail(r#"{"recording_id":"rec_1"}"#)
        .build();
    stack.emulators().eventbridge().put_events().entries(entry).send().await.unwrap();
}

fn keys(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["Records"][0]["s3"]["object"]["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_stored_object_invokes_the_function_that_the_template_names() {
    let seen = Seen::default();
    let stack = stack("on-object-created", seen.answering(|_| Ok(Value::Null))).await;
    put_object(&stack, "a b").await;
    stack.bus().settle().await;
    assert_eq!(keys(&seen.take()), ["a+b"]);
}

#[tokio::test]
async fn an_event_reaches_only_the_rules_of_its_bus_whose_pattern_it_matches() {
    let seen = Seen::default();
    let stack = stack("process-recording", seen.answering(|_| Ok(Value::Null))).await;
    put_event(&stack, "capstan", "recording.uploaded").await;
    put_event(&stack, "capstan", "recording.completed").await;
    put_event(&stack, "default", "recording.uploaded").await;
    stack.bus().settle().await;
    let events = seen.take();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["detail"], json!({"recording_id": "rec_1"}));
}

#[tokio::test]
async fn retries_a_failed_invocation_as_the_template_says() {
    let seen = Seen::default();
    let failing = seen.answering(|_| Err("not today".to_owned()));
    let with_two_retries = stack("on-object-created", failing.clone()).await;
    put_object(&with_two_retries, "k").await;
    with_two_retries.bus().settle().await;
    let events = seen.take();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| *event == events[0]), "a retry brings the same event");

    let without_retries = stack("process-recording", failing).await;
    put_event(&without_retries, "capstan", "recording.uploaded").await;
    without_retries.bus().settle().await;
    assert_eq!(seen.take().len(), 1);
}

#[tokio::test]
async fn held_events_are_delivered_on_demand() {
    let seen = Seen::default();
    let stack = stack("on-object-created", seen.answering(|_| Ok(Value::Null))).await;
    stack.bus().hold();
    for key in ["1", "2", "3"] {
        put_object(&stack, key).await;
    }
    stack.bus().settle().await;
    assert!(seen.take().is_empty());
    let held = stack.bus().take_held();
    for index in [2, 0, 0] {
        stack.bus().deliver(&held[index]).await.unwrap();
    }
    assert_eq!(keys(&seen.take()), ["3", "1", "1"]);

    stack.bus().stop_holding();
    put_object(&stack, "4").await;
    stack.bus().settle().await;
    assert_eq!(keys(&seen.take()), ["4"]);
}

#[tokio::test]
async fn a_tick_invokes_scheduled_functions_and_returns_failures() {
    let seen = Seen::default();
    let stack = stack("run-due-work", seen.answering(|_| Err("no".to_owned()))).await;
    assert_eq!(stack.bus().tick().await, Err(InvocationError::Failed("no".to_owned())));
    assert_eq!(seen.take()[0]["detail-type"], "Scheduled Event");
}

#[tokio::test]
async fn stopping_waits_for_running_invocations() {
    let seen = Seen::default();
    let (started, finished) = (Arc::new(Semaphore::new(0)), seen.clone());
    let signal = Arc::clone(&started);
    let slow = Function::new(move |event: Value, _| {
        let (started, finished) = (Arc::clone(&signal), finished.clone());
        async move {
            started.add_permits(1);
            tokio::time::sleep(Duration::from_millis(100)).await;
            finished.0.lock().unwrap().push(event);
            Ok::<_, String>(Value::Null)
        }
    });
    let stack = stack("on-object-created", slow).await;
    put_object(&stack, "k").await;
    started.acquire().await.unwrap().forget();
    assert!(seen.take().is_empty());
    stack.stop(Duration::from_secs(600)).await;
    assert_eq!(seen.take().len(), 1);
}

#[tokio::test]
async fn stopping_gives_up_on_an_invocation_that_never_ends() {
    let started = Arc::new(Semaphore::new(0));
    let signal = Arc::clone(&started);
    let endless = Function::new(move |_: Value, _| {
        signal.add_permits(1);
        std::future::pending::<Result<Value, String>>()
    });
    let stack = stack("on-object-created", endless).await;
    put_object(&stack, "k").await;
    started.acquire().await.unwrap().forget();
    // Returns although the invocation still runs.
    stack.stop(Duration::from_millis(10)).await;
}
