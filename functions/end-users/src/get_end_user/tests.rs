use capstan_lambda::Function;
use capstan_test_environment::{TestEnvironment, call, event, with_credential, with_id};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn answers_with_the_end_user() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("get-end-user")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
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
    "#);
}

#[tokio::test]
async fn reads_the_credential_and_the_end_user_once_each() {
    let environment = TestEnvironment::start().await;
    call(&function(&environment), event("get-end-user")).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}

#[tokio::test]
async fn an_unknown_credential_is_401_before_validation() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for id in ["eu_unknown", "nonsense"] {
        let event = with_id(with_credential(event("get-end-user"), "sk_live_unknown"), id);
        assert_eq!(call(&function, event).await.status, 401, "{id}");
    }
}
