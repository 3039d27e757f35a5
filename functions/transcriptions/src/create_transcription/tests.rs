use capstan_domain::{
    ContentType, Grant, LeaseId, PICK_UP_SECONDS, ProcessingError, ProcessingErrorCode, Recording, Settings, Status,
    Tenant, TranscriptionError, TranscriptionErrorCode, TranscriptionOptions, TranscriptionSettings, Visibility,
};
use capstan_emulators::Fault;
use capstan_lambda::Function;
use capstan_test_environment::{
    Answer, RECORDING, TestEnvironment, call, event, with_body, with_credential, with_header, with_id,
};
use futures_util::future::join_all;
use serde_json::{Value, json};

fn function_with(environment: &TestEnvironment, providers: &str) -> Function {
    environment.set_variable("TRANSCRIPTION_PROVIDERS", providers);
    environment.http_function(super::handle)
}

fn function(environment: &TestEnvironment) -> Function {
    function_with(environment, "whisper,deepgram")
}

/// A processed recording with one audio file.
async fn recording_to_transcribe(environment: &TestEnvironment) -> Recording {
    environment.recording().holding(ContentType::AudioOpus, "x").completed().await
}

fn asking(body: Value) -> Value {
    with_body(event("create-transcription"), body)
}

/// The same on the recording's own path.
fn of_recording(id: &str, body: &str) -> Value {
    let mut event = with_id(event("create-upload-token"), id);
    event["routeKey"] = json!("POST /v1/recordings/{id}/transcribe");
    event["requestContext"]["routeKey"] = event["routeKey"].clone();
    event["rawPath"] = json!(format!("/v1/recordings/{id}/transcribe"));
    event["requestContext"]["http"]["path"] = event["rawPath"].clone();
    event["body"] = json!(body);
    event
}

async fn set(environment: &TestEnvironment, tenant: Tenant, options: TranscriptionOptions) {
    let transcription = TranscriptionSettings { automatic: false, options };
    environment.store.put_settings(&Settings { tenant, transcription, updated_at: None }).await.unwrap();
    let _ = environment.emulators.take_calls();
}

fn refused(answer: &Answer) -> (u64, &str) {
    (answer.status, answer.body["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn returns_201_with_the_transcription_and_publishes_it() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    let answer = call(&function(&environment), event("create-transcription")).await;
    assert_eq!(answer.status, 201);
    insta::assert_json_snapshot!(answer.body, {".id" => "[id]"}, @r#"
    {
      "completed_at": null,
      "created_at": "2024-11-20T09:00:00Z",
      "diarization": true,
      "duration_ms": null,
      "error": null,
      "full_text": null,
      "id": "[id]",
      "language": "en",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "provider": "whisper",
      "recording_id": "rec_01jd4dny168n1mks12y199e68y",
      "segments": null,
      "started_at": null,
      "status": "pending",
      "text": null,
      "updated_at": "2024-11-20T09:00:00Z",
      "word_count": null
    }
    "#);
    let id = answer.body["id"].as_str().unwrap();
    let kept = environment.stored_transcription(id).await.unwrap();
    assert_eq!((kept.tenant, kept.attempts), (TestEnvironment::tenant(), 0));
    assert_eq!(environment.stored(RECORDING).await.unwrap().transcription_id().unwrap().as_str(), id);
    let events = environment.emulators.take_events().await;
    insta::assert_json_snapshot!(events[0].event["detail"], {".transcription_id" => "[id]"}, @r#"
    {
      "mode": "live",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "recording_id": "rec_01jd4dny168n1mks12y199e68y",
      "transcription_id": "[id]"
    }
    "#);
    assert_eq!((events.len(), &events[0].event["detail-type"]), (1, &json!("transcription.due")));
}

#[tokio::test]
async fn reads_settings_and_newest_transcription_then_writes_once() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    let function = function(&environment);
    let first = call(&function, event("create-transcription")).await;
    let get = "dynamodb:GetItem";
    // The credential beside the recording, then the settings.
    let calls = [get, get, get, "dynamodb:TransactWriteItems", "events:PutEvents"];
    assert_eq!(environment.emulators.take_calls(), calls);
    let failed = TranscriptionError::new(TranscriptionErrorCode::ProcessingError, "x");
    let id = first.body["id"].as_str().unwrap().parse().unwrap();
    environment.store.fail_transcription(&id, &failed, environment.now()).await.unwrap();
    environment.advance(10);
    let _ = environment.emulators.take_calls();
    assert_eq!(call(&function, event("create-transcription")).await.status, 201);
    let calls = [get, get, get, get, "dynamodb:TransactWriteItems", "events:PutEvents"];
    assert_eq!(environment.emulators.take_calls(), calls);
}

#[tokio::test]
async fn the_recordings_own_path_takes_the_same_body_or_none() {
    let environment = TestEnvironment::start().await;
    for (id, body) in [("rec_1", ""), ("rec_2", "{}"), ("rec_3", r#"{"provider": "deepgram", "diarization": false}"#)] {
        environment.recording().id(id).holding(ContentType::AudioOpus, "x").completed().await;
        let answer = call(&function(&environment), of_recording(id, body)).await;
        assert_eq!((answer.status, &answer.body["recording_id"]), (201, &json!(id)), "{body}");
        let given = id == "rec_3";
        let provider = if given { "deepgram" } else { "whisper" };
        assert_eq!((&answer.body["provider"], &answer.body["diarization"]), (&json!(provider), &json!(!given)));
    }
    let answer = call(&function(&environment), of_recording("nonsense", "")).await;
    assert_eq!(refused(&answer), (404, "not_found"));
}

#[tokio::test]
async fn absent_fields_take_the_settings_of_the_mode() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let options = TranscriptionOptions {
        provider: Some(super::ProviderName::Deepgram),
        language: Some("pt-BR".parse().unwrap()),
        diarization: false,
    };
    set(&environment, TestEnvironment::tenant(), options).await;
    let asked = async |credential: &str, tenant: Tenant, id: &str, mut body: Value| {
        environment.recording().id(id).of(tenant).holding(ContentType::AudioOpus, "x").completed().await;
        body["recording_id"] = json!(id);
        let answer = call(&function, with_credential(asking(body), credential)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        [&answer.body["provider"], &answer.body["language"], &answer.body["diarization"]].map(Clone::clone)
    };
    let own = capstan_test_environment::SECRET_KEY;
    assert_eq!(
        asked(own, TestEnvironment::tenant(), "rec_1", json!({})).await,
        [json!("deepgram"), json!("pt-BR"), json!(false)]
    );
    let given = json!({"provider": "whisper", "language": "EN_gb", "diarization": true});
    assert_eq!(
        asked(own, TestEnvironment::tenant(), "rec_2", given).await,
        [json!("whisper"), json!("en-GB"), json!(true)]
    );
    let [_, test] = environment.other_tenants().await;
    assert_eq!(
        asked(&test, TestEnvironment::test_data(), "rec_3", json!({})).await,
        [json!("whisper"), Value::Null, json!(true)]
    );
}

#[tokio::test]
async fn a_provider_that_the_deployment_does_not_have_makes_nothing() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    let none = call(&function_with(&environment, ""), event("create-transcription")).await;
    insta::assert_json_snapshot!(none.body["error"], {".request_id" => "[id]"}, @r#"
    {
      "code": "provider_not_configured",
      "message": "This deployment is not set up for any provider.",
      "request_id": "[id]"
    }
    "#);
    let other = json!({"recording_id": RECORDING, "provider": "assemblyai"});
    let other = call(&function(&environment), asking(other)).await;
    assert_eq!((none.status, refused(&other)), (400, (400, "provider_not_configured")));
    assert!(environment.stored(RECORDING).await.unwrap().transcriptions.is_empty());
}

#[tokio::test]
async fn one_transcription_runs_at_a_time() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let pending = environment.transcription().id("txn_1").pending().await;
    let answer = call(&function, event("create-transcription")).await;
    insta::assert_json_snapshot!(answer.body["error"], {".request_id" => "[id]"}, @r#"
    {
      "code": "conflict",
      "message": "the recording's transcription txn_1 is pending; wait for its end",
      "request_id": "[id]"
    }
    "#);
    let lease = LeaseId::new(environment.now(), 1);
    environment.store.claim_transcription(&pending.id, &lease, environment.now()).await.unwrap().unwrap();
    assert_eq!(refused(&call(&function, event("create-transcription")).await), (409, "conflict"));
    let failed = TranscriptionError::new(TranscriptionErrorCode::ProcessingError, "x");
    environment.store.fail_transcription(&pending.id, &failed, environment.now()).await.unwrap();
    environment.advance(1);
    assert_eq!(call(&function, event("create-transcription")).await.status, 201);
    let recording = environment.stored(RECORDING).await.unwrap();
    assert_eq!((recording.transcriptions.len(), recording.updated_at), (2, environment.now()));
}

#[tokio::test]
async fn concurrent_requests_create_one() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    let functions: Vec<_> = (0..20).map(|_| function(&environment)).collect();
    let answers = join_all(functions.iter().map(|function| call(function, event("create-transcription")))).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(refused(answer), (409, "conflict"));
    }
    let kept = environment.stored(RECORDING).await.unwrap().transcriptions;
    assert_eq!(kept.iter().map(ToString::to_string).collect::<Vec<_>>(), [made[0].body["id"].as_str().unwrap()]);
    assert_eq!(environment.emulators.take_events().await.len(), 1);
}

#[tokio::test]
async fn the_hundredth_is_the_last_and_found_again_by_its_repeat() {
    let environment = TestEnvironment::start().await;
    let failed = TranscriptionError::new(TranscriptionErrorCode::ProcessingError, "x");
    for number in 0..99 {
        environment.transcription().id(&format!("txn_{number:03}")).failed(&failed).await;
    }
    let function = function(&environment);
    let keyed = || with_header(event("create-transcription"), "idempotency-key", "a");
    let hundredth = call(&function, keyed()).await;
    environment.credential("sk_live_second", Grant::Secret).await;
    let again = call(&function, with_credential(keyed(), "sk_live_second")).await;
    assert_eq!((hundredth.status, again.status, &again.body), (201, 201, &hundredth.body));
    let id = hundredth.body["id"].as_str().unwrap().parse().unwrap();
    environment.store.fail_transcription(&id, &failed, environment.now()).await.unwrap();
    assert_eq!(refused(&call(&function, event("create-transcription")).await), (409, "conflict"));
}

#[tokio::test]
async fn only_a_processed_recording_with_audio_can_be_transcribed() {
    let environment = TestEnvironment::start().await;
    let holding = |id| environment.recording().id(id).holding(ContentType::AudioOpus, "x");
    holding("rec_pending").pending().await;
    holding("rec_uploaded").uploaded().await;
    holding("rec_processing").processing().await;
    environment.recording().id("rec_picture").holding(ContentType::ImagePng, "x").completed().await;
    let short = ProcessingError { code: ProcessingErrorCode::AudioTooShort, message: "Too short.".to_owned() };
    let fail = |recording: &mut Recording| (recording.status, recording.end.error) = (Status::Failed, Some(short));
    environment.recording().id("rec_failed").with(fail).pending().await;
    for (id, expected) in [
        ("rec_pending", (409, "conflict")),
        ("rec_uploaded", (409, "conflict")),
        ("rec_processing", (409, "conflict")),
        ("rec_picture", (400, "unsupported_format")),
        ("rec_failed", (400, "audio_too_short")),
    ] {
        let answer = call(&function(&environment), asking(json!({"recording_id": id}))).await;
        assert_eq!(refused(&answer), expected, "{id}");
    }
}

#[tokio::test]
async fn unknown_deleted_and_foreign_recordings_are_404() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    let function = function(&environment);
    for credential in environment.other_tenants().await {
        let answer = call(&function, with_credential(event("create-transcription"), &credential)).await;
        assert_eq!(refused(&answer), (404, "not_found"));
    }
    let unknown = call(&function, asking(json!({"recording_id": "rec_unknown"}))).await;
    assert_eq!(refused(&unknown), (404, "not_found"));
    let visibility = Visibility::Tenant { tenant: TestEnvironment::tenant() };
    environment
        .store
        .delete_recording(&visibility, &TestEnvironment::recording_id(RECORDING), environment.now())
        .await
        .unwrap();
    assert_eq!(refused(&call(&function, event("create-transcription")).await), (404, "not_found"));
}

#[tokio::test]
async fn names_the_invalid_field_and_its_rule() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    for (field, value) in [
        ("recording_id", Value::Null),
        ("recording_id", json!("txn_1")),
        ("recording_id", json!(1)),
        ("language", json!("english, please")),
        ("language", json!(1)),
        ("diarization", json!("yes")),
        ("provider", json!("otter")),
        ("provider", json!(["whisper"])),
    ] {
        let mut body = json!({"recording_id": RECORDING});
        body[field] = value.clone();
        let answer = call(&function(&environment), asking(body)).await;
        let refusal = (refused(&answer), &answer.body["error"]["param"]);
        assert_eq!(refusal, ((400, "invalid_request"), &json!(field)), "{field}: {value}");
    }
}

#[tokio::test]
async fn a_transcription_is_created_although_the_bus_fails() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    environment.emulators.faults().fail_next("PutEvents", Fault::Unavailable, 10);
    assert_eq!(call(&function(&environment), event("create-transcription")).await.status, 201);
    let due = environment.store.due(environment.now().plus_seconds(PICK_UP_SECONDS), 10).await.unwrap();
    assert!(format!("{due:?}").contains("txn_"), "{due:?}");
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_makes_no_second_one() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    environment.emulators.faults().fail_next("TransactWriteItems", Fault::LoseAnswer, 1);
    assert_eq!(call(&function(&environment), event("create-transcription")).await.status, 201);
    assert_eq!(environment.stored(RECORDING).await.unwrap().transcriptions.len(), 1);
}

#[tokio::test]
async fn a_second_attempt_finds_the_result_of_the_first() {
    let environment = TestEnvironment::start().await;
    recording_to_transcribe(&environment).await;
    let keyed = || with_header(event("create-transcription"), "idempotency-key", "a");
    let first = call(&function(&environment), keyed()).await;
    let (id, lease) = (first.body["id"].as_str().unwrap().parse().unwrap(), LeaseId::new(environment.now(), 1));
    environment.store.claim_transcription(&id, &lease, environment.now()).await.unwrap().unwrap();
    let transcript = TestEnvironment::transcript(1);
    let kept = capstan_store::transcript_location(&transcript);
    environment.store.complete_transcription(&id, &transcript, &kept, environment.now()).await.unwrap();
    // Another key of the project cannot open the answer that is kept: it makes the same call again.
    environment.credential("sk_live_second", Grant::Secret).await;
    let again = call(&function(&environment), with_credential(keyed(), "sk_live_second")).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(environment.stored(RECORDING).await.unwrap().transcriptions.len(), 1);
}
