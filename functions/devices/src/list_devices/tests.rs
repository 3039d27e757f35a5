use capstan_domain::DeviceId;
use capstan_lambda::Function;
use capstan_test_environment::{DEVICE, TestEnvironment, call, event, page, with_query};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

/// `count` devices, a second apart, and the one of the environment; gives their ids, newest first.
async fn devices(environment: &TestEnvironment, count: u128) -> Vec<String> {
    let mut ids = vec![DEVICE.to_owned()];
    for number in 0..count {
        environment.advance(1);
        let id = DeviceId::new(environment.now(), number);
        environment.device(&TestEnvironment::tenant(), &id).await;
        ids.insert(0, id.to_string());
    }
    let _ = environment.emulators.take_calls();
    ids
}

#[tokio::test]
async fn answers_with_a_page_of_whole_devices() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("list-devices")).await;
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "data": [
        {
          "binding_generation": 1,
          "created_at": "2024-11-20T09:00:00Z",
          "end_user_id": "eu_01jcz695t07xwvpyt3bc2k45jh",
          "firmware_version": null,
          "id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
          "last_heartbeat": null,
          "last_seen_at": null,
          "metadata": {},
          "model": "unknown",
          "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
          "serial_number": "CR2-7F3A-0042",
          "status": "bound",
          "updated_at": "2024-11-20T09:00:00Z"
        }
      ],
      "has_more": false,
      "next_cursor": null
    }
    "#);
}

#[tokio::test]
async fn pages_through_everything_newest_first_and_each_once() {
    let environment = TestEnvironment::start().await;
    let ids = devices(&environment, 11).await;
    let function = function(&environment);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (page, next) = page(&function, "list-devices", &[("limit", "4"), ("cursor", &cursor)]).await;
        assert_eq!(page.len(), 4);
        seen.extend(page);
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn reads_the_credential_then_one_query_per_shard() {
    let environment = TestEnvironment::start().await;
    page(&function(&environment), "list-devices", &[]).await;
    let mut calls = environment.emulators.take_calls();
    assert_eq!(calls.remove(0), "dynamodb:GetItem");
    assert_eq!(calls.pop().as_deref(), Some("dynamodb:BatchGetItem"));
    assert_eq!(calls, vec!["dynamodb:Query"; 8]);
}

#[tokio::test]
async fn names_the_query_parameter_that_breaks_a_rule() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for (name, value) in
        [("limit", "0"), ("limit", "101"), ("limit", "many"), ("cursor", "nonsense"), ("cursor", "cmVjXzE")]
    {
        let answer = call(&function, with_query(event("list-devices"), &[(name, value)])).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(name)), "{name}={value}");
    }
}

#[tokio::test]
async fn lists_the_devices_of_one_end_user() {
    let environment = TestEnvironment::start().await;
    let tenant = TestEnvironment::tenant();
    let end_user = "eu_2".parse().unwrap();
    environment.end_user(&tenant, &end_user).await;
    environment.end_user(&TestEnvironment::other_project(), &"eu_other".parse().unwrap()).await;
    let mut theirs = Vec::new();
    for number in 0..3 {
        environment.advance(1);
        let id = DeviceId::new(environment.now(), number);
        environment.bound_device(&tenant, &id, &end_user, &format!("dtok_{number}")).await;
        theirs.insert(0, id.to_string());
    }
    let function = function(&environment);
    let _ = environment.emulators.take_calls();
    let (first, next) = page(&function, "list-devices", &[("end_user_id", "eu_2"), ("limit", "2")]).await;
    assert_eq!(first, theirs[..2]);
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:BatchGetItem"]);
    let query = [("end_user_id", "eu_2"), ("limit", "2"), ("cursor", &next.unwrap())];
    assert_eq!(page(&function, "list-devices", &query).await, (theirs[2..].to_vec(), None));
    let query = [("end_user_id", "eu_2"), ("offset", "1")];
    assert_eq!(page(&function, "list-devices", &query).await, (theirs[1..].to_vec(), None));
    for nobody in ["eu_unknown", "eu_other"] {
        assert_eq!(page(&function, "list-devices", &[("end_user_id", nobody)]).await, (Vec::new(), None));
    }
    let refused = call(&function, with_query(event("list-devices"), &[("end_user_id", "dev_1")])).await;
    assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!("end_user_id")));
}

#[tokio::test]
async fn an_offset_skips_devices_and_paging_by_it_ends() {
    let environment = TestEnvironment::start().await;
    let ids = devices(&environment, 5).await;
    let function = function(&environment);
    for (offset, expected, has_more) in [("0", &ids[..4], true), ("4", &ids[4..], false), ("6", &ids[6..], false)] {
        let (found, next) = page(&function, "list-devices", &[("limit", "4"), ("offset", offset)]).await;
        assert_eq!((found.as_slice(), next.is_some()), (expected, has_more), "{offset}");
    }
    let (_, next) = page(&function, "list-devices", &[("limit", "1")]).await;
    for query in [[("offset", "10001"), ("limit", "1")], [("offset", "1"), ("cursor", &next.unwrap())]] {
        let refused = call(&function, with_query(event("list-devices"), &query)).await;
        assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!("offset")));
    }
}
