//! API Gateway's payload format 2.0: a request as the event of a function, and the function's answer as a response.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use capstan_emulators::ACCOUNT;
use http::header::{CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Response, StatusCode, request};
use http_body_util::Full;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

const API_ID: &str = "local";

/// The event of a request.
pub(crate) fn event(
    request: &request::Parts,
    body: &[u8],
    route_key: &str,
    path_parameters: &BTreeMap<String, String>,
    source_ip: &str,
    request_id: &str,
) -> Value {
    let now = Timestamp::now();
    let mut headers = joined_headers(&request.headers);
    let host = headers.get("host").and_then(Value::as_str).unwrap_or_default().to_owned();
    let user_agent = headers.get("user-agent").cloned().unwrap_or_else(|| "".into());
    headers.insert("x-forwarded-for".to_owned(), source_ip.into());
    headers.insert("x-forwarded-proto".to_owned(), "http".into());
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    headers.insert("x-forwarded-port".to_owned(), port.into());
    let path = request.uri.path();
    let query = request.uri.query().unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "domainName": host,
            "domainPrefix": API_ID,
            "http": {
                "method": request.method.as_str(),
                "path": path,
                "protocol": format!("{:?}", request.version),
                "sourceIp": source_ip,
                "userAgent": user_agent,
            },
            "requestId": request_id,
            "routeKey": route_key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": false,
    });
    let cookies: Vec<&str> = texts(&request.headers, &COOKIE).flat_map(|value| value.split("; ")).collect();
    // API Gateway leaves out what is empty.
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = query_parameters(query);
    }
    if !path_parameters.is_empty() {
        event["pathParameters"] = json!(path_parameters);
    }
    if !body.is_empty() {
        match std::str::from_utf8(body) {
            Ok(text) if is_text(&request.headers) => event["body"] = text.into(),
            _ => {
                event["body"] = BASE64.encode(body).into();
                event["isBase64Encoded"] = true.into();
            }
        }
    }
    event
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// Headers by lower-case name, several of one name joined; cookies have a place of their own.
fn joined_headers(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .keys()
        .filter(|name| **name != COOKIE)
        .map(|name| (name.as_str().to_owned(), texts(headers, name).collect::<Vec<_>>().join(",").into()))
        .collect()
}

fn query_parameters(query: &str) -> Value {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut parameters = BTreeMap::<String, String>::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters
            .entry(decoded(name))
            .and_modify(|joined| *joined = format!("{joined},{}", decoded(value)))
            .or_insert_with(|| decoded(value));
    }
    json!(parameters)
}

/// The types that API Gateway hands over as they are; everything else is Base64, forms included.
fn is_text(headers: &HeaderMap) -> bool {
    let given = texts(headers, &CONTENT_TYPE).next().unwrap_or("text/plain").to_ascii_lowercase();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    media_type.starts_with("text/")
        || matches!(media_type, "application/json" | "application/xml" | "application/javascript")
}

/// The response that a function's answer stands for. `None` when it is no answer that API Gateway understands.
pub(crate) fn response(answer: &Value) -> Option<Response<Full<Bytes>>> {
    let Some(status) = answer.get("statusCode") else {
        // What is no response is the body of one.
        let mut response = Response::new(Full::from(answer.to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Some(response);
    };
    let body = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true {
        Bytes::from(BASE64.decode(body).ok()?)
    } else {
        Bytes::copy_from_slice(body.as_bytes())
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(u16::try_from(status.as_u64()?).ok()?).ok()?;
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        response.headers_mut().insert(name.parse::<HeaderName>().ok()?, text.parse().ok()?);
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        response.headers_mut().append(SET_COOKIE, cookie.as_str()?.parse().ok()?);
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(request: http::Request<&[u8]>) -> Value {
        let (parts, body) = request.into_parts();
        event(&parts, body, "POST /v1/x", &BTreeMap::new(), "127.0.0.1", "id")
    }

    #[test]
    fn the_event_reads_back_as_aws_defines_it() {
        let request = http::Request::post("/v1/x?a=1&a=2&b=%C3%BC+c")
            .header("Content-Type", "application/json")
            .header("X-Two", "1")
            .header("X-Two", "2")
            .header("Cookie", "k=v; l=w")
            .header("Host", "127.0.0.1:3000");
        let event = of(request.body(br#"{"n":1}"#.as_slice()).unwrap());
        assert_eq!(event["headers"]["x-two"], "1,2");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["cookies"], json!(["k=v", "l=w"]));
        assert_eq!(event["queryStringParameters"], json!({"a": "1,2", "b": "ü c"}));
        assert_eq!(event["rawQueryString"], "a=1&a=2&b=%C3%BC+c");
        assert_eq!(event["body"], r#"{"n":1}"#);
        assert_eq!(event["headers"]["x-forwarded-port"], "3000");
        let read: aws_lambda_events::apigw::ApiGatewayV2httpRequest = serde_json::from_value(event).unwrap();
        assert_eq!(read.request_context.http.method, "POST");
    }

    #[test]
    fn binary_bodies_are_base64() {
        let binary = http::Request::post("/v1/x").header("Content-Type", "audio/ogg").body(b"OggS".as_slice()).unwrap();
        let event = of(binary);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("T2dnUw=="), &json!(true)));
        let broken = http::Request::post("/v1/x").header("Content-Type", "text/plain").body([0xff].as_slice()).unwrap();
        assert_eq!(of(broken)["isBase64Encoded"], true);
        let none = http::Request::post("/v1/x").body([].as_slice()).unwrap();
        assert_eq!(of(none).get("body"), None);
    }

    #[test]
    fn a_reply_becomes_a_lambda_response() {
        let answer = json!({"statusCode": 201, "headers": {"x-a": "1", "x-n": 2}, "cookies": ["a=b"],
                            "body": "aGk=", "isBase64Encoded": true});
        let response = response(&answer).unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["x-a"], "1");
        assert_eq!(response.headers()["x-n"], "2");
        assert_eq!(response.headers()["set-cookie"], "a=b");
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_none() {
        assert!(response(&json!({"statusCode": "soon"})).is_none());
        assert!(response(&json!({"statusCode": 200, "headers": {"bad name": "x"}})).is_none());
        assert_eq!(response(&json!({"hello": 1})).unwrap().status(), 200);
    }
}
