use capstan_domain::Settings;
use capstan_emulators::Fault;
use capstan_lambda::Function;
use capstan_test_environment::{TestEnvironment, call, event, with_body, with_credential};
use serde_json::{Value, json};

fn function_with(environment: &TestEnvironment, providers: &str) -> Function {
    environment.set_variable("TRANSCRIPTION_PROVIDERS", providers);
    environment.http_function(super::handle)
}

fn function(environment: &TestEnvironment) -> Function {
    function_with(environment, "whisper,deepgram")
}

fn setting(transcription: Value) -> Value {
    with_body(event("update-settings"), json!({"transcription": transcription}))
}

#[tokio::test]
async fn answers_with_the_settings_as_they_are_now() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("update-settings")).await;
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
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:PutItem"]);
}

#[tokio::test]
async fn absent_fields_get_defaults_and_a_repeat_changes_nothing() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let all = json!({"automatic": true, "provider": "deepgram", "language": "PT_br", "diarization": false});
    let set = call(&function, setting(all.clone())).await.body;
    assert_eq!(set["transcription"]["language"], "pt-BR");
    assert_eq!(call(&function, setting(all)).await.body, set);
    let language = call(&function, setting(json!({"language": "en"}))).await;
    assert_eq!(
        language.body["transcription"],
        json!({"automatic": false, "provider": null, "language": "en", "diarization": true})
    );
    let unset = Settings { updated_at: Some(environment.now()), ..Settings::unset(TestEnvironment::tenant()) };
    for nothing in [json!({}), json!({"transcription": null}), json!({"transcription": {"provider": null}})] {
        assert_eq!(call(&function, with_body(event("update-settings"), nothing)).await.status, 200);
        assert_eq!(environment.store.settings(&TestEnvironment::tenant()).await.unwrap(), unset);
    }
}

#[tokio::test]
async fn live_data_test_data_and_each_project_have_their_own() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let [other_project, test_data] = environment.other_tenants().await;
    for (credential, language) in [(test_data, "de"), (other_project, "fr")] {
        let event = with_credential(setting(json!({"language": language})), &credential);
        assert_eq!(call(&function, event).await.status, 200);
    }
    let language = async |tenant| {
        let settings = environment.store.settings(&tenant).await.unwrap();
        settings.transcription.options.language.map(|language| language.to_string())
    };
    assert_eq!(language(TestEnvironment::tenant()).await, None);
    assert_eq!(language(TestEnvironment::test_data()).await.as_deref(), Some("de"));
    assert_eq!(language(TestEnvironment::other_project()).await.as_deref(), Some("fr"));
}

#[tokio::test]
async fn settings_without_a_provider_are_refused() {
    let environment = TestEnvironment::start().await;
    call(&function(&environment), setting(json!({"language": "en"}))).await;
    let before = environment.store.settings(&TestEnvironment::tenant()).await.unwrap();
    for (providers, wanted) in [
        ("", json!({"automatic": true})),
        ("", json!({"provider": "whisper"})),
        ("whisper", json!({"provider": "deepgram"})),
        ("whisper", json!({"automatic": true, "provider": "aws"})),
    ] {
        let answer = call(&function_with(&environment, providers), setting(wanted.clone())).await;
        let refusal = (answer.status, &answer.body["error"]["code"]);
        assert_eq!(refusal, (400, &json!("provider_not_configured")), "{providers}: {wanted}");
        assert_eq!(environment.store.settings(&TestEnvironment::tenant()).await.unwrap(), before);
    }
    assert_eq!(call(&function_with(&environment, ""), setting(json!({"language": "de"}))).await.status, 200);
}

#[tokio::test]
async fn names_the_invalid_field_and_its_rule() {
    let environment = TestEnvironment::start().await;
    for (field, value) in [
        ("automatic", json!("yes")),
        ("automatic", json!(1)),
        ("provider", json!("otter")),
        ("language", json!("english, please")),
        ("language", json!(["en"])),
        ("diarization", json!("no")),
    ] {
        let answer = call(&function(&environment), setting(json!({field: value.clone()}))).await;
        let refusal = (answer.status, &answer.body["error"]["param"]);
        assert_eq!(refusal, (400, &json!(format!("transcription.{field}"))), "{field}: {value}");
    }
    let answer = call(&function(&environment), setting(json!("automatic"))).await;
    assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!("transcription")));
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("PutItem", Fault::LoseAnswer, 1);
    assert_eq!(call(&function(&environment), event("update-settings")).await.status, 200);
}
