use aws_sdk_dynamodb::types::AttributeValue;
use capstan_domain::{ContentType, CredentialHash, PENDING_SECONDS};
use capstan_emulators::Fault;
use capstan_lambda::{Function, http_function};
use capstan_test_environment::{TestEnvironment, call, event, with_credential, with_id};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

async fn token(environment: &TestEnvironment) -> String {
    let answer = call(&function(environment), event("create-upload-token")).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["upload_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn answers_with_the_token_of_which_only_the_hash_is_kept_and_only_for_a_while() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let answer = call(&function(&environment), event("create-upload-token")).await;
    assert_eq!(answer.status, 201);
    insta::assert_json_snapshot!(answer.body, {".upload_token" => "[token]"}, @r#"
    {
      "expires_at": "2024-11-20T09:15:00Z",
      "expires_in": 900,
      "recording_id": "rec_01jd4dny168n1mks12y199e68y",
      "upload_token": "[token]"
    }
    "#);
    let token = answer.body["upload_token"].as_str().unwrap();
    assert_eq!(token.strip_prefix("up_").unwrap().len(), 43);
    assert!(environment.is_valid(token).await);
    let scanned = environment.emulators.dynamodb().scan().table_name(environment.table()).send().await.unwrap();
    let items = scanned.items();
    assert!(!format!("{items:?}").contains(&token[3..]));
    let hash = AttributeValue::S(format!("KEY#{}", CredentialHash::of(token)));
    let kept = items.iter().find(|item| item["PK"] == hash).unwrap();
    assert_eq!(kept["ttl"], AttributeValue::N("1732094100".to_owned()));
}

#[tokio::test]
async fn reads_credential_and_recording_and_writes_once() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    token(&environment).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:PutItem"]);
}

#[tokio::test]
async fn only_a_pending_recording_that_has_not_expired_gets_one() {
    let environment = TestEnvironment::start().await;
    let holding = |id| environment.recording().id(id).holding(ContentType::AudioOpus, "x");
    holding("rec_1").uploaded().await;
    holding("rec_2").processing().await;
    holding("rec_3").completed().await;
    environment
        .recording()
        .id("rec_4")
        .with(|recording| recording.upload.expires_at = recording.created_at)
        .pending()
        .await;
    let function = function(&environment);
    for (id, code) in [
        ("rec_1", "recording_not_pending"),
        ("rec_2", "recording_not_pending"),
        ("rec_3", "recording_not_pending"),
        ("rec_4", "upload_expired"),
    ] {
        let answer = call(&function, with_id(event("create-upload-token"), id)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!(code)), "{id}");
    }
    assert!(!environment.emulators.take_calls().contains(&"dynamodb:PutItem".to_owned()));
}

#[tokio::test]
async fn it_ends_to_the_second_whatever_a_sandbox_remembers() {
    let environment = TestEnvironment::start().await;
    let far = |recording: &mut capstan_domain::Recording| {
        recording.upload.expires_at = recording.created_at.plus_seconds(2 * PENDING_SECONDS);
    };
    environment.recording().with(far).pending().await;
    let token = token(&environment).await;
    let upload = http_function(environment.access(), environment.clock(), uploads);
    environment.advance(899);
    assert_eq!(call(&upload, with_credential(event("create-upload-url"), &token)).await.status, 204);
    environment.advance(1);
    assert_eq!(call(&upload, with_credential(event("create-upload-url"), &token)).await.status, 401);
}

/// What an upload token is for, as far as permission goes.
async fn uploads(access: capstan_http::Access, request: capstan_http::Request) -> Result<super::Reply, super::Error> {
    access.caller(&request, super::Action::Upload).await?;
    Ok(super::Reply::no_content())
}

#[tokio::test]
async fn each_call_makes_another_and_all_are_good() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    let (first, second) = tokio::join!(token(&environment), token(&environment));
    assert_ne!(first, second);
    assert!(environment.is_valid(&first).await && environment.is_valid(&second).await);
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let environment = TestEnvironment::start().await;
    environment.recording().pending().await;
    environment.emulators.faults().fail_next("PutItem", Fault::LoseAnswer, 1);
    assert!(environment.is_valid(&token(&environment).await).await);
}
