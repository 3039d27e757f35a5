//! The one listener behind which all services answer: it records each call, injects the planned fault, asks whether the
//! caller may, and hands over.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::calls::{Call, Log, Service};
use crate::capacity::{self, Consumed};
use crate::events::{self, BusEvent};
use crate::faults::{Fault, Faults, error_answer};
use crate::objects::CorsRules;
use crate::outbox::Outbox;
use crate::policy::{self, Policies, Refusal};

type AnswerBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
type Answer = Response<AnswerBody>;

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
struct Dropped;

/// What every request needs.
pub(crate) struct Services {
    pub(crate) calls: Log<Call>,
    pub(crate) consumed: Log<Consumed>,
    pub(crate) faults: Faults,
    pub(crate) policies: Policies,
    pub(crate) s3: S3Service,
    pub(crate) cors: CorsRules,
    /// Where DynamoDB listens, as `127.0.0.1:port`.
    pub(crate) dynamodb: String,
    pub(crate) client: Client<HttpConnector, Full<Bytes>>,
    pub(crate) events: Outbox<BusEvent>,
}

/// Serves until the returned future is dropped, which closes every connection.
pub(crate) async fn serve(listener: TcpListener, services: Arc<Services>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, for one: wait for connections to close.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let services = Arc::clone(&services);
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let services = Arc::clone(&services);
                async move { services.answer(request).await }
            });
            // An error here is a client that went away, or a connection that was dropped on purpose.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

impl Services {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Dropped> {
        let (parts, body) = request.into_parts();
        let call = Call::classify(&parts);
        let fault = if call.operation == "Preflight" { None } else { self.faults.next(&call) };
        self.calls.record(call.clone());
        match fault {
            Some(Fault::DropConnection) => return Err(Dropped),
            Some(
                fault @ (Fault::Throttle
                | Fault::Refuse(_)
                | Fault::Internal
                | Fault::InternalInBody
                | Fault::Unavailable),
            ) => {
                // Read to the end first: a client that is still sending would see a reset instead of this answer.
                let _ = body.collect().await;
                return Ok(boxed(error_answer(call.service, fault)));
            }
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::LoseAnswer) | None => {}
        }
        let answer = match call.service {
            // S3 looks at who calls by itself, as it knows a request's object only once it has read it.
            Service::S3 => self.s3(&call, parts, body).await,
            Service::DynamoDb | Service::EventBridge => {
                let Ok(body) = body.collect().await else { return Err(Dropped) };
                let body = body.to_bytes();
                let request = serde_json::from_slice(&body).unwrap_or_default();
                match self.authorise(&call, &parts, &request) {
                    Err(refusal) => boxed(denied(&refusal)),
                    Ok(()) if call.service == Service::DynamoDb => self.dynamodb(&call, parts, body, request).await,
                    Ok(()) => boxed(events::answer(&call.operation, &body, &self.events)),
                }
            }
        };
        if fault == Some(Fault::LoseAnswer) {
            return Err(Dropped);
        }
        Ok(answer)
    }

    fn authorise(&self, call: &Call, parts: &http::request::Parts, request: &Value) -> Result<(), Refusal> {
        let demands = match call.service {
            Service::EventBridge => policy::put_events(request),
            _ => policy::dynamodb(&call.operation, request, &|table| self.policies.partition_key(table)),
        };
        self.policies.authorise(policy::access_key_id(parts), &demands)
    }

    async fn dynamodb(&self, call: &Call, mut parts: http::request::Parts, body: Bytes, mut request: Value) -> Answer {
        capacity::ask(&call.operation, &mut request);
        let body = if request.is_object() { Bytes::from(request.to_string()) } else { body };
        let Ok(uri) = http::Uri::builder().scheme("http").authority(self.dynamodb.as_str()).path_and_query("/").build()
        else {
            return unavailable();
        };
        parts.uri = uri;
        // The length is known to be the same, the way of sending it is not.
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts.headers.remove(header::CONTENT_LENGTH);
        match self.client.request(Request::from_parts(parts, Full::new(body))).await {
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                let Ok(body) = body.collect().await else { return unavailable() };
                let body = body.to_bytes();
                let answer = serde_json::from_slice(&body).unwrap_or_default();
                self.consumed.record(capacity::consumed(&call.operation, &request, &answer));
                boxed(Response::from_parts(parts, Full::new(body)))
            }
            Err(error) => {
                tracing::error!(%error, "DynamoDB does not answer");
                unavailable()
            }
        }
    }

    async fn s3(&self, call: &Call, parts: http::request::Parts, body: Incoming) -> Answer {
        if call.operation == "Preflight" {
            let mut answer = boxed(Response::new(Full::default()));
            match self.cors.for_preflight(&parts) {
                Some(headers) => answer.headers_mut().extend(headers),
                None => *answer.status_mut() = StatusCode::FORBIDDEN,
            }
            return answer;
        }
        let cors = self.cors.for_answer(&parts);
        let request = Request::from_parts(parts, s3s::Body::from(body));
        let mut answer = match self.s3.call(request).await {
            Ok(answer) => answer.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(error) => {
                tracing::error!(?error, "S3 does not answer");
                unavailable()
            }
        };
        answer.headers_mut().extend(cors);
        answer.headers_mut().entry("x-amz-request-id").or_insert_with(|| HeaderValue::from_static("EMULATED"));
        answer
    }
}

/// How DynamoDB and EventBridge word it.
fn denied(refusal: &Refusal) -> Response<Full<Bytes>> {
    let (kind, message) = match refusal {
        Refusal::UnknownAccessKey => {
            ("UnrecognizedClientException", "The security token included in the request is invalid.".to_owned())
        }
        Refusal::Denied(denial) => ("AccessDeniedException", denial.to_string()),
    };
    let body = json!({"__type": format!("com.amazon.coral.service#{kind}"), "Message": message});
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    answer
}

fn boxed(answer: Response<Full<Bytes>>) -> Answer {
    answer.map(|body| body.map_err(|never: Infallible| match never {}).boxed_unsync())
}

fn unavailable() -> Answer {
    let mut answer = boxed(Response::new(Full::default()));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}
