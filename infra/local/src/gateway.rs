//! The HTTP API on one machine: API Gateway's routes, payload, limits, CORS and error answers.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use capstan_emulators::template::{ApiCors, Template};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::lambda::Lambda;
use crate::payload;
use crate::routes::Routes;
use crate::throttle::Buckets;

const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// Of the request line and all headers together.
const MAX_HEAD_BYTES: usize = 10_240;
/// API Gateway gives up on a function after this.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

type Answer = Response<Full<Bytes>>;

/// The HTTP API of a template.
#[derive(Debug)]
pub(crate) struct Gateway {
    routes: Routes,
    cors: Option<ApiCors>,
    buckets: Buckets,
    lambda: Arc<Lambda>,
    integration_timeout: Duration,
}

impl Gateway {
    pub(crate) fn new(template: &Template, lambda: Arc<Lambda>) -> Self {
        Self {
            routes: Routes::of(template),
            cors: template.api_cors.clone(),
            buckets: Buckets::of(&template.throttles),
            lambda,
            integration_timeout: INTEGRATION_TIMEOUT,
        }
    }

    /// Serves until `stop`, then until the requests that are under way have been answered.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of file descriptors, for one: wait for connections to close.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let gateway = Arc::clone(&self);
            let answer = service_fn(move |request| {
                let gateway = Arc::clone(&gateway);
                async move { Ok::<_, std::convert::Infallible>(gateway.answer(request, peer).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // An error here is a client that went away.
                let _ = connection.await;
            });
        }
        drop(listener);
        graceful.shutdown().await;
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let (parts, body) = request.into_parts();
        let cors = self.cors_headers(&parts.headers);
        if parts.method == Method::OPTIONS
            && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && self.cors.is_some()
        {
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer.headers_mut().extend(cors);
            return answer;
        }
        let request_id = uuid::Uuid::new_v4().to_string();
        let mut answer = self.invoke(&parts, body, peer, &request_id).await;
        // API Gateway's CORS headers replace the function's.
        for name in cors.keys() {
            answer.headers_mut().remove(name);
        }
        answer.headers_mut().extend(cors);
        insert(answer.headers_mut(), HeaderName::from_static("apigw-requestid"), &request_id);
        answer
    }

    async fn invoke(&self, parts: &http::request::Parts, body: Incoming, peer: SocketAddr, request_id: &str) -> Answer {
        if head_bytes(parts) > MAX_HEAD_BYTES {
            return message(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large");
        }
        // Behind API Gateway the host is always one of its own names; functions fail at what is none.
        if !parts.headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(is_host) {
            return message(StatusCode::BAD_REQUEST, "Bad Request");
        }
        let path = parts.uri.path();
        let Some((route, parameters)) = self.routes.find(parts.method.as_str(), path) else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        if !self.buckets.take(&route.key, Instant::now()) {
            return message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
        }
        let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
            }
            Err(_) => return message(StatusCode::BAD_REQUEST, "Bad Request"),
        };
        let source_ip = peer.ip().to_string();
        let event = payload::event(parts, &body, &route.key, &parameters, &source_ip, request_id);
        let invocation = self.lambda.invoke(&route.function, event);
        match tokio::time::timeout(self.integration_timeout, invocation).await {
            Ok(Ok(answer)) => payload::response(&answer).unwrap_or_else(|| {
                tracing::error!(route = route.key, "the function's answer is no response");
                message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }),
            Ok(Err(error)) => {
                tracing::error!(route = route.key, %error, "invocation failed");
                message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
            Err(_) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }

    /// What a browser's request from another origin is told; nothing for any other request.
    fn cors_headers(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let (Some(cors), Some(origin)) = (&self.cors, request.get(ORIGIN).and_then(|origin| origin.to_str().ok()))
        else {
            return headers;
        };
        let any = cors.allow_origins.iter().any(|allowed| allowed == "*");
        if !any && !cors.allow_origins.iter().any(|allowed| allowed == origin) {
            return headers;
        }
        insert(&mut headers, ACCESS_CONTROL_ALLOW_ORIGIN, if any { "*" } else { origin });
        if cors.allow_credentials {
            insert(&mut headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if !cors.expose_headers.is_empty() {
            insert(&mut headers, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers.join(","));
        }
        if request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            insert(&mut headers, ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods.join(","));
            insert(&mut headers, ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers.join(","));
            if let Some(seconds) = cors.max_age {
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
            }
        }
        headers
    }
}

fn head_bytes(parts: &http::request::Parts) -> usize {
    let headers: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    parts.uri.path_and_query().map_or(0, |target| target.as_str().len()) + headers
}

/// Whether this is an address or a name, with or without a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_v6 = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with("xn--")
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // A last label that begins with a digit would be taken for a part of an address.
    let is_name = host.split('.').all(is_label)
        && host.rsplit('.').next().is_some_and(|l| l.starts_with(|c: char| c.is_ascii_alphabetic()));
    (is_name || is_v6(host) || host.parse::<Ipv4Addr>().is_ok()) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// An error of API Gateway's own.
fn message(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::from(serde_json::json!({"message": text}).to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lambda::{Function, Functions};

    const TEMPLATE: &str = "Resources:
  F:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: f } }
    Properties:
      Timeout: 900
      Events: { R: { Type: HttpApi, Properties: { Method: GET, Path: /slow } } }
  Api:
    Type: AWS::Serverless::HttpApi
    Properties: { RouteSettings: { GET /slow: { ThrottlingRateLimit: 0.01, ThrottlingBurstLimit: 1 } } }";

    #[tokio::test]
    async fn a_function_that_keeps_a_client_waiting_is_503_a_throttled_route_429_and_no_route_404() {
        let template = Template::parse(TEMPLATE, &[]).unwrap();
        let slow = Function::new(|_, _| std::future::pending::<Result<serde_json::Value, String>>());
        let functions = Functions::from([("f".to_owned(), slow)]);
        let lambda = Arc::new(Lambda::new(&template, functions, Duration::ZERO));
        let mut gateway = Gateway::new(&template, lambda);
        gateway.integration_timeout = Duration::from_millis(10);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(Arc::new(gateway).serve(listener, stop.clone()));

        let client = crate::client::Client::new(&url);
        let get = |path| client.call(Method::GET, path, "", None);
        let slow = get("/slow").await.unwrap_err().to_string();
        assert!(slow.contains(r#"503: {"message":"Service Unavailable"}"#), "{slow}");
        let throttled = get("/slow").await.unwrap_err().to_string();
        assert!(throttled.contains(r#"429: {"message":"Too Many Requests"}"#), "{throttled}");
        let missing = get("/nowhere").await.unwrap_err().to_string();
        assert!(missing.contains(r#"404: {"message":"Not Found"}"#), "{missing}");

        stop.cancel();
        serving.await.unwrap();
        let stopped = get("/slow").await.unwrap_err().to_string();
        assert!(stopped.contains("does not answer"), "{stopped}");
    }
}
