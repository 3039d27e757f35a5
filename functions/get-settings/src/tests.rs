use capstan_domain::{ProviderName, Settings, TranscriptionOptions, TranscriptionSettings};
use capstan_lambda::{Function, http_function};
use capstan_stage::{Stage, call, event, with_credential};
use serde_json::json;

fn function(stage: &Stage) -> Function {
    http_function(stage.access(), stage.clock(), super::handle)
}

#[tokio::test]
async fn who_has_set_nothing_gets_the_defaults() {
    let stage = Stage::set().await;
    let answer = call(&function(&stage), event("get-settings")).await;
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
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem"]);
}

#[tokio::test]
async fn live_data_test_data_and_each_project_have_their_own() {
    let stage = Stage::set().await;
    let options = TranscriptionOptions {
        provider: Some(ProviderName::Deepgram),
        language: Some("pt-BR".parse().unwrap()),
        diarization: false,
    };
    let transcription = TranscriptionSettings { automatic: true, options };
    let settings = Settings { tenant: Stage::tenant(), transcription, updated_at: Some(stage.now()) };
    stage.store.put_settings(&settings).await.unwrap();
    let function = function(&stage);
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
    for stranger in stage.strangers().await {
        let answer = call(&function, with_credential(event("get-settings"), &stranger)).await;
        assert_eq!((answer.status, &answer.body["updated_at"]), (200, &json!(null)));
        assert_eq!(answer.body["transcription"]["automatic"], false);
    }
}
