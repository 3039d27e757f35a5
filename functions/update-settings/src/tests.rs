use capstan_domain::Settings;
use capstan_emulators::Fault;
use capstan_lambda::{Function, http_function};
use capstan_stage::{Stage, call, event, with_body, with_credential};
use serde_json::{Value, json};

fn function_with(stage: &Stage, providers: &str) -> Function {
    let providers: super::ProviderNames = providers.parse().unwrap();
    http_function((stage.access(), providers), stage.clock(), super::handle)
}

fn function(stage: &Stage) -> Function {
    function_with(stage, "whisper,deepgram")
}

fn setting(transcription: Value) -> Value {
    with_body(event("update-settings"), json!({"transcription": transcription}))
}

#[tokio::test]
async fn answers_with_the_settings_as_they_are_now() {
    let stage = Stage::set().await;
    let answer = call(&function(&stage), event("update-settings")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "transcription": {
        "automatic": true,
        "diarization": true,
        "language": "en",
        "provider": null
      },
      "updated_at": "2024-11-20T09:00:00Z"
    }
    "#);
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:PutItem"]);
}

#[tokio::test]
async fn what_is_not_given_gets_its_default_and_a_repeat_changes_nothing() {
    let stage = Stage::set().await;
    let function = function(&stage);
    let all = json!({"automatic": true, "provider": "deepgram", "language": "PT_br", "diarization": false});
    let set = call(&function, setting(all.clone())).await.body;
    assert_eq!(set["transcription"]["language"], "pt-BR");
    assert_eq!(call(&function, setting(all)).await.body, set);
    let language = call(&function, setting(json!({"language": "en"}))).await;
    assert_eq!(
        language.body["transcription"],
        json!({"automatic": false, "provider": null, "language": "en", "diarization": true})
    );
    let unset = Settings { updated_at: Some(stage.now()), ..Settings::unset(Stage::tenant()) };
    for nothing in [json!({}), json!({"transcription": null}), json!({"transcription": {"provider": null}})] {
        assert_eq!(call(&function, with_body(event("update-settings"), nothing)).await.status, 200);
        assert_eq!(stage.store.settings(&Stage::tenant()).await.unwrap(), unset);
    }
}

#[tokio::test]
async fn live_data_test_data_and_each_project_have_their_own() {
    let stage = Stage::set().await;
    let function = function(&stage);
    let [other_project, test_data] = stage.strangers().await;
    for (credential, language) in [(test_data, "de"), (other_project, "fr")] {
        let event = with_credential(setting(json!({"language": language})), &credential);
        assert_eq!(call(&function, event).await.status, 200);
    }
    let language = async |tenant| {
        let settings = stage.store.settings(&tenant).await.unwrap();
        settings.transcription.options.language.map(|language| language.to_string())
    };
    assert_eq!(language(Stage::tenant()).await, None);
    assert_eq!(language(Stage::test_data()).await.as_deref(), Some("de"));
    assert_eq!(language(Stage::other_project()).await.as_deref(), Some("fr"));
}

#[tokio::test]
async fn what_the_deployment_cannot_do_is_refused_and_changes_nothing() {
    let stage = Stage::set().await;
    call(&function(&stage), setting(json!({"language": "en"}))).await;
    let before = stage.store.settings(&Stage::tenant()).await.unwrap();
    for (providers, wanted) in [
        ("", json!({"automatic": true})),
        ("", json!({"provider": "whisper"})),
        ("whisper", json!({"provider": "deepgram"})),
        ("whisper", json!({"automatic": true, "provider": "aws"})),
    ] {
        let answer = call(&function_with(&stage, providers), setting(wanted.clone())).await;
        let told = (answer.status, &answer.body["error"]["code"]);
        assert_eq!(told, (400, &json!("provider_not_configured")), "{providers}: {wanted}");
        assert_eq!(stage.store.settings(&Stage::tenant()).await.unwrap(), before);
    }
    assert_eq!(call(&function_with(&stage, ""), setting(json!({"language": "de"}))).await.status, 200);
}

#[tokio::test]
async fn names_the_field_and_the_rule_that_it_breaks() {
    let stage = Stage::set().await;
    for (field, value) in [
        ("automatic", json!("yes")),
        ("automatic", json!(1)),
        ("provider", json!("otter")),
        ("language", json!("english, please")),
        ("language", json!(["en"])),
        ("diarization", json!("no")),
    ] {
        let answer = call(&function(&stage), setting(json!({field: value.clone()}))).await;
        let told = (answer.status, &answer.body["error"]["param"]);
        assert_eq!(told, (400, &json!(format!("transcription.{field}"))), "{field}: {value}");
    }
    let answer = call(&function(&stage), setting(json!("automatic"))).await;
    assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!("transcription")));
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let stage = Stage::set().await;
    stage.emulators.faults().fail_next("PutItem", Fault::LoseAnswer, 1);
    assert_eq!(call(&function(&stage), event("update-settings")).await.status, 200);
}
