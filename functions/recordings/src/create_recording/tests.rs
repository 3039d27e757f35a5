use capstan_domain::Scope;
use capstan_lambda::Function;
use capstan_test_environment::{
    DEVICE, DEVICE_TOKEN, END_USER, TestEnvironment, call, event, with_body, with_credential, with_header,
    without_header,
};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

async fn refusal(body: Value) -> (u64, Value) {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), with_body(event("create-recording"), body)).await;
    (answer.status, answer.body["error"].clone())
}

/// The call without an `Idempotency-Key`.
fn plain() -> Value {
    without_header(event("create-recording"), "idempotency-key")
}

#[tokio::test]
async fn answers_201_with_the_whole_recording() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("create-recording")).await;
    assert_eq!(answer.status, 201);
    insta::assert_json_snapshot!(answer.body, {".id" => "[id]"}, @r#"
    {
      "content_sha256": null,
      "content_sha256_verified_at": null,
      "created_at": "2024-11-20T09:00:00Z",
      "deleted_at": null,
      "device_id": "dev_01jcz6b0d032p3wwt3y0b8j32h",
      "duration_ms": null,
      "duration_seconds": null,
      "end_user_id": "eu_01jcz695t07xwvpyt3bc2k45jh",
      "ended_at": "2024-11-20T09:15:14Z",
      "error": null,
      "file_size_bytes": null,
      "id": "[id]",
      "media": [],
      "metadata": {
        "battery_percent": 64,
        "firmware": "2.8.1"
      },
      "mime_type": null,
      "name": "Site visit, first floor",
      "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "recorded_at": "2024-11-20T09:14:58Z",
      "source": "device",
      "started_at": "2024-11-20T09:14:58Z",
      "status": "pending",
      "transcription_id": null,
      "updated_at": "2024-11-20T09:00:00Z",
      "uploaded_at": null
    }
    "#);
}

#[tokio::test]
async fn reads_the_credential_beside_whom_the_body_names_and_then_writes_once() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let (read, put) = ("dynamodb:GetItem", "dynamodb:PutItem");
    call(&function, plain()).await;
    assert_eq!(environment.emulators.take_calls(), [read, read, read, put]);
    call(&function, plain()).await;
    assert_eq!(environment.emulators.take_calls(), [read, read, put], "a key seen within 5 s is not read again");
    environment.advance(5);
    call(&function, plain()).await;
    assert_eq!(environment.emulators.take_calls(), [read, read, read, put]);
}

#[tokio::test]
async fn a_device_token_brings_its_own_device_and_end_user() {
    let environment = TestEnvironment::start().await;
    for (end_user_id, device_id) in [(json!("eu_other"), json!("dev_other")), (json!(7), json!("SN-1234"))] {
        let body = json!({"end_user_id": end_user_id, "device_id": device_id});
        let event = with_credential(with_body(plain(), body), DEVICE_TOKEN);
        let answer = call(&function(&environment), event).await;
        assert_eq!(answer.status, 201);
        assert_eq!((&answer.body["device_id"], &answer.body["end_user_id"]), (&json!(DEVICE), &json!(END_USER)));
    }
}

#[tokio::test]
async fn a_device_token_is_read_every_time_and_is_dead_at_once() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let by_device = || with_credential(with_body(plain(), json!({})), DEVICE_TOKEN);
    for _ in 0..2 {
        assert_eq!(call(&function, by_device()).await.status, 201);
        assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:PutItem"]);
    }
    let device = environment.stored_device(DEVICE).await.unwrap();
    environment.store.unbind_device(device, environment.now()).await.unwrap();
    assert_eq!(call(&function, by_device()).await.status, 401);
}

#[tokio::test]
async fn the_end_user_and_the_device_must_be_the_projects_own() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for (tenant, name) in [(TestEnvironment::test_data(), "test"), (TestEnvironment::other_project(), "other")] {
        environment.end_user(&tenant, &format!("eu_{name}").parse().unwrap()).await;
        environment.device(&tenant, &format!("dev_{name}").parse().unwrap()).await;
    }
    let _ = environment.emulators.take_calls();
    for name in ["unknown", "test", "other"] {
        let no_end_user = json!({"end_user_id": format!("eu_{name}"), "device_id": format!("dev_{name}")});
        let no_device = json!({"end_user_id": END_USER, "device_id": format!("dev_{name}")});
        for (body, param) in [(no_end_user, "end_user_id"), (no_device, "device_id")] {
            let answer = call(&function, with_body(event("create-recording"), body)).await;
            let error = &answer.body["error"];
            assert_eq!((answer.status, &error["code"]), (400, &json!("invalid_request")), "{error}");
            assert_eq!(error["param"], param);
            assert!(error["message"].as_str().unwrap().ends_with("must name one of this project"), "{error}");
        }
    }
    assert!(!environment.emulators.take_calls().contains(&"dynamodb:PutItem".to_owned()));
    let without_device = json!({"end_user_id": END_USER});
    assert_eq!(call(&function, with_body(event("create-recording"), without_device)).await.status, 201);
}

#[tokio::test]
async fn unknown_credential_is_401_and_missing_scope_403() {
    let environment = TestEnvironment::start().await;
    let reader = environment.restricted_key(Scope::RecordingsRead).await;
    let _ = environment.emulators.take_calls();
    let function = function(&environment);
    for (credential, status) in [("sk_live_unknown", 401), ("nonsense", 401), (reader.as_str(), 403)] {
        let answer = call(&function, with_credential(event("create-recording"), credential)).await;
        assert_eq!(answer.status, status, "{credential}");
    }
    assert!(!environment.emulators.take_calls().contains(&"dynamodb:PutItem".to_owned()));
}

#[tokio::test]
async fn names_the_invalid_field_and_its_rule() {
    for (body, param, rule) in [
        (json!({}), "end_user_id", "is required"),
        (json!({"end_user_id": "rec_1"}), "end_user_id", "must be `eu_`"),
        (json!({"end_user_id": 7}), "end_user_id", "expected a string"),
        (json!({"end_user_id": END_USER, "name": "x".repeat(256)}), "name", "at most 255 characters"),
        (json!({"end_user_id": END_USER, "started_at": "noon"}), "started_at", "ISO 8601"),
        (
            json!({"end_user_id": END_USER, "started_at": "2025-01-15T09:00:01Z", "recorded_at": "2025-01-15T09:00:00Z"}),
            "recorded_at",
            "must be the same as started_at",
        ),
        (
            json!({"end_user_id": END_USER, "started_at": "2025-01-15T09:00:01Z", "ended_at": "2025-01-15T09:00:00Z"}),
            "ended_at",
            "must not be before started_at",
        ),
        (json!({"end_user_id": END_USER, "metadata": []}), "metadata", "expected a map"),
        (json!({"end_user_id": END_USER, "metadata": {"a": "x".repeat(16_400)}}), "metadata", "at most 16 KiB"),
        (json!({"end_user_id": END_USER, "source": "dream"}), "source", "unknown variant"),
    ] {
        let (status, error) = refusal(body).await;
        assert_eq!((status, &error["code"], &error["param"]), (400, &json!("invalid_request"), &json!(param)));
        assert!(error["message"].as_str().unwrap().contains(rule), "{error}");
    }
}

#[tokio::test]
async fn a_busy_table_is_503_with_retry_after_and_no_cause() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("PutItem", capstan_emulators::Fault::Throttle, 10);
    let answer = call(&function(&environment), event("create-recording")).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (503, &json!("temporarily_unavailable")));
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_from_the_table_is_asked_for_again() {
    let environment = TestEnvironment::start().await;
    environment.emulators.faults().fail_next("PutItem", capstan_emulators::Fault::LoseAnswer, 1);
    let answer = call(&function(&environment), event("create-recording")).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(environment.emulators.take_calls().iter().filter(|call| *call == "dynamodb:PutItem").count(), 2);
}

#[tokio::test]
async fn a_replaced_token_creates_nothing() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let begun = with_credential(event("create-recording"), DEVICE_TOKEN);
    environment.emulators.faults().fail_next("PutItem", capstan_emulators::Fault::Internal, 20);
    assert_eq!(call(&function, begun.clone()).await.status, 503);
    environment.emulators.faults().clear();
    let device = environment.stored_device(DEVICE).await.unwrap();
    let caller = capstan_domain::Caller {
        tenant: TestEnvironment::tenant(),
        grant: device.grant(&TestEnvironment::end_user_id()),
        credential: capstan_domain::CredentialHash::of(DEVICE_TOKEN),
    };
    let new = capstan_domain::CredentialHash::of("dtok_new");
    environment.store.replace_device_token(device, &caller, new, true, environment.now()).await.unwrap();
    environment.advance(60);
    let new = with_header(begun.clone(), "idempotency-key", "another");
    // Twice, so that what a refusal left behind would be found.
    for event in [&begun, &new, &begun, &new] {
        assert_eq!(call(&function, event.clone()).await.status, 401);
    }
}

#[tokio::test]
async fn recorded_at_is_another_name_of_started_at() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let time = "2025-01-15T09:00:00Z";
    for body in [json!({"recorded_at": time}), json!({"recorded_at": time, "started_at": "2025-01-15T10:00:00+01:00"})]
    {
        let mut body = body;
        body["end_user_id"] = json!(END_USER);
        let new = without_header(event("create-recording"), "idempotency-key");
        let answer = call(&function, with_body(new, body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!((&answer.body["started_at"], &answer.body["recorded_at"]), (&json!(time), &json!(time)));
    }
}
