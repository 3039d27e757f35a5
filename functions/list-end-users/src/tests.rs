use capstan_domain::{EndUser, EndUserId};
use capstan_lambda::{Function, http_function};
use capstan_stage::{END_USER, Stage, call, event, page, with_credential, with_query};
use serde_json::json;

fn function(stage: &Stage) -> Function {
    http_function(stage.access(), stage.clock(), super::handle)
}

/// `count` end users, a second apart, and the one of the stage; gives their ids, newest first.
async fn end_users(stage: &Stage, count: u128) -> Vec<String> {
    let mut ids = vec![END_USER.to_owned()];
    for number in 0..count {
        stage.advance(1);
        let id = EndUserId::new(stage.now(), number);
        stage.end_user(&Stage::tenant(), &id).await;
        ids.insert(0, id.to_string());
    }
    let _ = stage.emulators.take_calls();
    ids
}

async fn called(stage: &Stage, id: &str, external_id: &str) {
    let new = EndUser::new(id.parse().unwrap(), Stage::tenant(), stage.now());
    let named = EndUser { external_id: Some(external_id.parse().unwrap()), ..new };
    stage.store.create_end_user(named.clone()).await.unwrap();
    let _ = stage.emulators.take_calls();
}

#[tokio::test]
async fn answers_with_a_page_of_whole_end_users() {
    let stage = Stage::set().await;
    let answer = call(&function(&stage), event("list-end-users")).await;
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "data": [
        {
          "created_at": "2024-11-20T09:00:00Z",
          "email": null,
          "external_id": null,
          "id": "eu_01jcz695t07xwvpyt3bc2k45jh",
          "metadata": {},
          "name": null,
          "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
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
    let ids = end_users(&stage, 11).await;
    let function = function(&stage);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (page, next) = page(&function, "list-end-users", &[("limit", "4"), ("cursor", &cursor)]).await;
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
    page(&function(&stage), "list-end-users", &[]).await;
    let mut calls = stage.emulators.take_calls();
    assert_eq!(calls.remove(0), "dynamodb:GetItem");
    assert_eq!(calls.pop().as_deref(), Some("dynamodb:BatchGetItem"));
    assert_eq!(calls, vec!["dynamodb:Query"; 8]);
}

#[tokio::test]
async fn an_external_id_finds_its_end_user_by_two_reads() {
    let stage = Stage::set().await;
    called(&stage, "eu_1", "crm 1#é").await;
    let function = function(&stage);
    assert_eq!(page(&function, "list-end-users", &[("external_id", "crm 1#é")]).await, (vec!["eu_1".to_owned()], None));
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem"; 3]);
    assert_eq!(page(&function, "list-end-users", &[("external_id", "crm 1")]).await, (vec![], None));
    for stranger in stage.strangers().await {
        let asked = with_query(event("list-end-users"), &[("external_id", "crm 1#é")]);
        assert_eq!(call(&function, with_credential(asked, &stranger)).await.body["data"], json!([]));
    }
}

#[tokio::test]
async fn names_the_query_parameter_that_breaks_a_rule() {
    let stage = Stage::set().await;
    let function = function(&stage);
    let too_long = "x".repeat(256);
    for (name, value) in [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "many"),
        ("cursor", "nonsense"),
        ("cursor", "cmVjXzE"),
        ("external_id", too_long.as_str()),
    ] {
        let answer = call(&function, with_query(event("list-end-users"), &[(name, value)])).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(name)), "{name}={value}");
    }
}
