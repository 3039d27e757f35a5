use capstan_domain::{EndUser, EndUserId};
use capstan_lambda::Function;
use capstan_test_environment::{END_USER, TestEnvironment, call, event, page, with_credential, with_query};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

/// `count` end users, a second apart, and the one of the environment; gives their ids, newest first.
async fn end_users(environment: &TestEnvironment, count: u128) -> Vec<String> {
    let mut ids = vec![END_USER.to_owned()];
    for number in 0..count {
        environment.advance(1);
        let id = EndUserId::new(environment.now(), number);
        environment.end_user(&TestEnvironment::tenant(), &id).await;
        ids.insert(0, id.to_string());
    }
    let _ = environment.emulators.take_calls();
    ids
}

async fn called(environment: &TestEnvironment, id: &str, external_id: &str) {
    let new = EndUser::new(id.parse().unwrap(), TestEnvironment::tenant(), environment.now());
    let named = EndUser { external_id: Some(external_id.parse().unwrap()), ..new };
    environment.store.create_end_user(named.clone()).await.unwrap();
    let _ = environment.emulators.take_calls();
}

#[tokio::test]
async fn answers_with_a_page_of_whole_end_users() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("list-end-users")).await;
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
    let environment = TestEnvironment::start().await;
    let ids = end_users(&environment, 11).await;
    let function = function(&environment);
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
async fn reads_the_credential_then_one_query_per_shard() {
    let environment = TestEnvironment::start().await;
    page(&function(&environment), "list-end-users", &[]).await;
    let mut calls = environment.emulators.take_calls();
    assert_eq!(calls.remove(0), "dynamodb:GetItem");
    assert_eq!(calls.pop().as_deref(), Some("dynamodb:BatchGetItem"));
    assert_eq!(calls, vec!["dynamodb:Query"; 8]);
}

#[tokio::test]
async fn an_external_id_finds_its_end_user_by_two_reads() {
    let environment = TestEnvironment::start().await;
    called(&environment, "eu_1", "crm 1#é").await;
    let function = function(&environment);
    assert_eq!(page(&function, "list-end-users", &[("external_id", "crm 1#é")]).await, (vec!["eu_1".to_owned()], None));
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem"; 3]);
    assert_eq!(page(&function, "list-end-users", &[("external_id", "crm 1")]).await, (vec![], None));
    for credential in environment.other_tenants().await {
        let asked = with_query(event("list-end-users"), &[("external_id", "crm 1#é")]);
        assert_eq!(call(&function, with_credential(asked, &credential)).await.body["data"], json!([]));
    }
}

#[tokio::test]
async fn names_the_query_parameter_that_breaks_a_rule() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
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
