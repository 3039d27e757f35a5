use capstan_lambda::Function;
use capstan_test_environment::{SERIAL_NUMBER, TestEnvironment, call, event, with_body};
use serde_json::{Value, json};

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

#[tokio::test]
async fn makes_both_known_and_answers_with_the_device_bound() {
    let environment = TestEnvironment::start().await;
    let answer = call(&function(&environment), event("bind-device-by-serial-number")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    insta::assert_json_snapshot!(answer.body, {".id" => "[id]"}, @r#"
    {
      "battery": null,
      "capacity": null,
      "client_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
      "config": {},
      "config_system": {},
      "free_space": null,
      "id": "[id]",
      "is_bind": true,
      "model": "notepin",
      "name": null,
      "owner_id": "crm-4711",
      "setting": {},
      "sn": "CR2-7F3A-0043",
      "type": "notepin",
      "updated_at": "2024-11-20T09:00:00Z",
      "version": null
    }
    "#);
    let device = environment.stored_device(answer.body["id"].as_str().unwrap()).await.unwrap();
    let end_user = environment.stored_end_user(device.binding.unwrap().end_user_id.as_str()).await.unwrap();
    assert_eq!(end_user.external_id.unwrap().as_str(), "crm-4711");
}

#[tokio::test]
async fn looks_up_or_makes_each_and_then_binds() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    let (read, write) = ("dynamodb:GetItem", "dynamodb:TransactWriteItems");
    call(&function, event("bind-device-by-serial-number")).await;
    assert_eq!(environment.emulators.take_calls(), [read, read, write, write, write]);
    call(&function, event("bind-device-by-serial-number")).await;
    assert_eq!(environment.emulators.take_calls(), [read, read, write, read], "a repeat binds nothing");
}

#[tokio::test]
async fn a_device_of_another_end_user_is_409() {
    let environment = TestEnvironment::start().await;
    let body = json!({"sn": SERIAL_NUMBER, "owner_id": "crm-4711"});
    let answer = call(&function(&environment), with_body(event("bind-device-by-serial-number"), body)).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (409, &json!("device_already_bound")));
}

#[tokio::test]
async fn names_the_field_that_is_wrong() {
    let environment = TestEnvironment::start().await;
    for (body, param) in [
        (json!({"owner_id": "a"}), json!("sn")),
        (json!({"sn": "a"}), json!("owner_id")),
        (json!({"sn": "a", "owner_id": ""}), json!("owner_id")),
        (json!({"sn": "a", "owner_id": "a", "sn_type": "watch"}), json!("sn_type")),
        (json!({"sn": Value::Null, "owner_id": "a"}), json!("sn")),
    ] {
        let answer = call(&function(&environment), with_body(event("bind-device-by-serial-number"), body)).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &param));
    }
}
