use capstan_domain::{
    DeviceId, EndUserId, MeetingPayload, MeetingRecording, MeetingRecordingId, Mode, RecordingId, Tenant,
};
use capstan_lambda::Function;
use capstan_test_environment::{TestEnvironment, call, event, page, with_query};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

/// `count` recordings, a second apart; gives their ids, newest first.
async fn recordings(environment: &TestEnvironment, count: u128) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        environment.advance(1);
        let id = RecordingId::new(environment.now(), number).to_string();
        environment.recording().id(&id).pending().await;
        ids.insert(0, id);
    }
    ids
}

#[tokio::test]
async fn pages_through_everything_newest_first_and_each_once() {
    let environment = TestEnvironment::start().await;
    let ids = recordings(&environment, 23).await;
    let function = function(&environment);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (page, next) = page(&function, "list-recordings", &[("limit", "5"), ("cursor", &cursor)]).await;
        assert!(page.len() <= 5);
        seen.extend(page);
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(seen, ids);
    assert_eq!(
        page(&function, "list-recordings", &[("limit", "5"), ("offset", "20")]).await,
        (ids[20..].to_vec(), None)
    );
    assert_eq!(page(&function, "list-recordings", &[("offset", "10000")]).await, (Vec::new(), None));
}

#[tokio::test]
async fn reads_the_credential_then_one_query_per_shard() {
    let environment = TestEnvironment::start().await;
    recordings(&environment, 3).await;
    page(&function(&environment), "list-recordings", &[]).await;
    let mut calls = environment.emulators.take_calls();
    assert_eq!(calls.remove(0), "dynamodb:GetItem");
    assert_eq!(calls.pop().as_deref(), Some("dynamodb:BatchGetItem"));
    assert_eq!(calls, vec!["dynamodb:Query"; 8]);
}

#[tokio::test]
async fn filters_by_device_and_end_user_with_one_query() {
    let environment = TestEnvironment::start().await;
    let device: DeviceId = "dev_1".parse().unwrap();
    let end_user: EndUserId = "eu_1".parse().unwrap();
    environment.recording().id("rec_1").with(|recording| recording.origin.device_id = Some(device)).pending().await;
    environment.recording().id("rec_2").with(|recording| recording.origin.end_user_id = Some(end_user)).pending().await;
    let function = function(&environment);
    assert_eq!(page(&function, "list-recordings", &[("device_id", "dev_1")]).await.0, ["rec_1"]);
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem"]);
    assert_eq!(page(&function, "list-recordings", &[("end_user_id", "eu_1")]).await.0, ["rec_2"]);
    assert_eq!(
        page(&function, "list-recordings", &[("end_user_id", "eu_1"), ("device_id", "dev_1")]).await.0,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_page_of_large_items_ends_early() {
    let environment = TestEnvironment::start().await;
    let payload = MeetingPayload::new([("note".to_owned(), json!("x".repeat(200_000)))].into_iter().collect()).unwrap();
    let id = MeetingRecordingId::new(0);
    let large = MeetingRecording { id, payload, revision: 0, reported_at: None };
    for number in 0..110 {
        let id = RecordingId::new(environment.now(), number).to_string();
        environment
            .recording()
            .id(&id)
            .with(|recording| recording.meeting = (number >= 60).then(|| large.clone()))
            .pending()
            .await;
    }
    let function = function(&environment);
    let (found, next) = page(&function, "list-recordings", &[("status", "failed")]).await;
    assert!(found.is_empty());
    let (found, last) = page(&function, "list-recordings", &[("status", "failed"), ("cursor", &next.unwrap())]).await;
    assert_eq!((found, last), (Vec::new(), None));
}

#[tokio::test]
async fn a_filter_that_no_index_serves_leaves_nothing_out() {
    let environment = TestEnvironment::start().await;
    let ids = recordings(&environment, 12).await;
    let completed = "rec_00000000000000000000000001";
    environment.recording().id(completed).holding(capstan_domain::ContentType::AudioOpus, "x").completed().await;
    let function = function(&environment);
    assert_eq!(
        page(&function, "list-recordings", &[("status", "completed")]).await,
        (vec![completed.to_owned()], None)
    );
    let (pending, next) = page(&function, "list-recordings", &[("status", "pending"), ("limit", "10")]).await;
    assert_eq!(pending, ids[..10]);
    let rest =
        page(&function, "list-recordings", &[("status", "pending"), ("limit", "10"), ("cursor", &next.unwrap())]).await;
    assert_eq!(rest, (ids[10..].to_vec(), None));
    let (after, _) = page(&function, "list-recordings", &[("created_after", "2024-11-20T09:00:10Z")]).await;
    assert_eq!(after, ids[..2]);
    let (after, _) = page(&function, "list-recordings", &[("updated_after", "2024-11-20T09:00:11.500Z")]).await;
    assert_eq!(after.len(), 2, "the newest and the completed one");
}

#[tokio::test]
async fn an_offset_skips_pages_that_a_filter_empties() {
    let environment = TestEnvironment::start().await;
    let oldest = environment.now();
    let completed = |number: u128| RecordingId::new(oldest, number).to_string();
    for number in 0..3 {
        let recording = environment.recording().id(&completed(number));
        recording.holding(capstan_domain::ContentType::AudioOpus, "x").completed().await;
    }
    recordings(&environment, 1005).await;
    let function = function(&environment);
    let filter = |more| [[("status", "completed"), ("limit", "10")].as_slice(), more].concat();
    let (first, next) = page(&function, "list-recordings", &filter(&[("offset", "2")])).await;
    assert_eq!(first, Vec::<String>::new(), "a page looks at no more than a thousand");
    let (second, next) = page(&function, "list-recordings", &filter(&[("cursor", &next.unwrap())])).await;
    assert_eq!((second, next), (vec![completed(0)], None));
}

#[tokio::test]
async fn others_recordings_and_deleted_ones_are_not_listed() {
    let environment = TestEnvironment::start().await;
    environment.recording().id("rec_mine").pending().await;
    let test_data = Tenant { mode: Mode::Test, ..TestEnvironment::tenant() };
    environment.recording().id("rec_test").of(test_data).pending().await;
    let deleted = environment.recording().id("rec_deleted").pending().await;
    let visibility = capstan_domain::Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment.store.delete_recording(&visibility, &deleted.id, environment.now()).await.unwrap();
    assert_eq!(page(&function(&environment), "list-recordings", &[]).await, (vec!["rec_mine".to_owned()], None));
}

#[tokio::test]
async fn names_the_invalid_query_parameter_and_its_rule() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for (name, value) in [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "many"),
        ("offset", "10001"),
        ("offset", "-1"),
        ("cursor", "nonsense"),
        ("status", "lost"),
        ("device_id", "eu_1"),
        ("end_user_id", "x"),
        ("created_after", "noon"),
        ("updated_after", "2025-01-15"),
    ] {
        let answer = call(&function, with_query(event("list-recordings"), &[(name, value)])).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(name)), "{name}={value}");
    }
}
