use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{Seen, json, send, stack};

#[tokio::test]
async fn requests_and_responses_use_payload_format_2_0() {
    let seen = Seen::default();
    let function = seen.answering(|_| Ok(json!({"statusCode": 200, "headers": {"x-own": "1"}, "body": "{\"a\":1}"})));
    let stack = stack("get-recording", function).await;
    let request = Request::get(format!("{}/v1/recordings/rec_1?expand=media", stack.url()))
        .header("Authorization", "Bearer x")
        .body(Full::default())
        .unwrap();
    let answer = send(request).await;
    assert_eq!((answer.status(), json(&answer)), (StatusCode::OK, json!({"a": 1})));
    assert_eq!(answer.headers()["x-own"], "1");
    assert!(answer.headers().contains_key("apigw-requestid"));

    let event = seen.take().remove(0);
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "GET /v1/recordings/{id}");
    assert_eq!(event["pathParameters"], json!({"id": "rec_1"}));
    assert_eq!(event["queryStringParameters"], json!({"expand": "media"}));
    assert_eq!(event["headers"]["authorization"], "Bearer x");
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    assert_eq!(answer.headers()["apigw-requestid"], event["requestContext"]["requestId"].as_str().unwrap());
}

#[tokio::test]
async fn a_path_without_a_route_goes_to_the_default_route() {
    let seen = Seen::default();
    let stack = stack("route-not-found", seen.answering(|_| Ok(json!({"statusCode": 404, "body": "ours"})))).await;
    for (method, path) in [("GET", "/nowhere"), ("PUT", "/v1/recordings"), ("GET", "/")] {
        let request = Request::builder().method(method).uri(format!("{}{path}", stack.url()));
        let answer = send(request.body(Full::default()).unwrap()).await;
        assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::NOT_FOUND, b"ours".as_slice()));
        assert_eq!(seen.take()[0]["routeKey"], "$default");
    }
}

type Answer = fn(&Value) -> Result<Value, String>;

#[tokio::test]
async fn a_failing_function_is_500_without_details() {
    let answers: [Answer; 3] =
        [|_| Err("secret reason".to_owned()), |_| panic!("secret reason"), |_| Ok(json!({"statusCode": "soon"}))];
    for answer in answers {
        let stack = stack("get-recording", Seen::default().answering(answer)).await;
        let request = Request::get(format!("{}/v1/recordings/rec_1", stack.url())).body(Full::default()).unwrap();
        let answer = send(request).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(json(&answer), json!({"message": "Internal Server Error"}));
    }
}

#[tokio::test]
async fn a_body_over_10_mb_is_413_and_one_of_10_mb_is_not() {
    let seen = Seen::default();
    let stack = stack("create-recording", seen.answering(|_| Ok(json!({"statusCode": 201})))).await;
    let post = |size: usize| {
        let body = Full::from(vec![b' '; size]);
        send(Request::post(format!("{}/v1/recordings", stack.url())).body(body).unwrap())
    };
    assert_eq!(post(10 * 1024 * 1024).await.status(), StatusCode::CREATED);
    let refused = post(10 * 1024 * 1024 + 1).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(seen.take().len(), 1);
}

#[tokio::test]
async fn cors_headers_follow_the_template() {
    let seen = Seen::default();
    let stack = stack("create-recording", seen.answering(|_| Ok(json!({"statusCode": 201})))).await;
    let request = |method: Method| {
        Request::builder()
            .method(method)
            .uri(format!("{}/v1/recordings", stack.url()))
            .header("origin", "https://app.example")
    };
    let preflight = request(Method::OPTIONS).header("access-control-request-method", "POST");
    let answer = send(preflight.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let allowed = answer.headers()["access-control-allow-headers"].to_str().unwrap();
    assert!(allowed.contains("idempotency-key"), "{allowed}");
    assert!(seen.take().is_empty());

    let answer = send(request(Method::POST).body(Full::default()).unwrap()).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("x-request-id"), "{exposed}");
}
