use capstan_domain::{ProviderName, Settings, TranscriptionOptions, TranscriptionSettings};
use capstan_lambda::Function;
use capstan_test_environment::{TestEnvironment, call, event, with_credential};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn unset_settings_have_defaults() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("get-settings")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "transcription": {
        "automatic": false,
        "diarization": true,
        "language": null,
        "provider": null
      },
      "updated_at": null
    }
    "#);
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}

#[tokio::test]
async fn live_data_test_data_and_each_project_have_their_own() {
    let environment = TestEnvironment::start().await;
    let options = TranscriptionOptions {
        provider: Some(ProviderName::Deepgram),
        language: Some("pt-BR".parse().unwrap()),
        diarization: false,
    };
    let transcription = TranscriptionSettings { automatic: true, options };
    let settings = Settings { tenant: TestEnvironment::tenant(), transcription, updated_at: Some(environment.now()) };
    environment.store.put_settings(&settings).await.unwrap();
    let function = function(&environment);
    insta::assert_json_snapshot!(call(&function, event("get-settings")).await.body, @r#"
    {
      "transcription": {
        "automatic": true,
        "diarization": false,
        "language": "pt-BR",
        "provider": "deepgram"
      },
      "updated_at": "2024-11-20T09:00:00Z"
    }
    "#);
    for credential in environment.other_tenants().await {
        let answer = call(&function, with_credential(event("get-settings"), &credential)).await;
        assert_eq!((answer.status, &answer.body["updated_at"]), (200, &json!(null)));
        assert_eq!(answer.body["transcription"]["automatic"], false);
    }
}
