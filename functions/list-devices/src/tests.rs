use capstan_domain::DeviceId;
use capstan_lambda::{Function, http_function};
use capstan_stage::{DEVICE, Stage, call, event, page, with_query};
use serde_json::json;

fn function(stage: &Stage) -> Function {
    http_function(stage.access(), stage.clock(), super::handle)
}

/// `count` devices, a second apart, and the one of the stage; gives their ids, newest first.
async fn devices(stage: &Stage, count: u128) -> Vec<String> {
    let mut ids = vec![DEVICE.to_owned()];
    for number in 0..count {
        stage.advance(1);
        let id = DeviceId::new(stage.now(), number);
        stage.device(&Stage::tenant(), &id).await;
        ids.insert(0, id.to_string());
    }
    let _ = stage.emulators.take_calls();
    ids
}

#[tokio::test]
async fn answers_with_a_page_of_whole_devices() {
    let stage = Stage::set().await;
    let answer = call(&function(&stage), event("list-devices")).await;
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "data": [
        {
          "created_at": "2024-11-20T09:00:00Z",
          "end_user_id": "eu_01jcz695t07xwvpyt3bc2k45jh",
          "firmware_version": null,
          "id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
          "last_heartbeat": null,
          "last_seen_at": null,
          "metadata": {},
          "model": null,
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
    let stage = Stage::set().await;
    let ids = devices(&stage, 11).await;
    let function = function(&stage);
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
async fn the_credential_comes_first_then_one_query_a_shard_then_one_batch() {
    let stage = Stage::set().await;
    page(&function(&stage), "list-devices", &[]).await;
    let mut calls = stage.emulators.take_calls();
    assert_eq!(calls.remove(0), "dynamodb:GetItem");
    assert_eq!(calls.pop().as_deref(), Some("dynamodb:BatchGetItem"));
    assert_eq!(calls, vec!["dynamodb:Query"; 8]);
}

#[tokio::test]
async fn names_the_query_parameter_that_breaks_a_rule() {
    let stage = Stage::set().await;
    let function = function(&stage);
    for (name, value) in
        [("limit", "0"), ("limit", "101"), ("limit", "many"), ("cursor", "nonsense"), ("cursor", "cmVjXzE")]
    {
        let answer = call(&function, with_query(event("list-devices"), &[(name, value)])).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(name)), "{name}={value}");
    }
}
