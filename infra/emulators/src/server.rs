//! HTTP server for all services on one port. For each request, record the call, inject the planned fault, check the
//! caller's permissions, and forward the request to the service.

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
use crate::faults::{Fault, Faults, error_response};
use crate::objects::CorsRules;
use crate::outbox::Outbox;
use crate::policy::{self, Policies, Refusal};

type ResponseBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
type HttpResponse = Response<ResponseBody>;

/// Closes the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped by fault injection")]
struct Dropped;

/// Dependencies shared by all requests.
pub(crate) struct Services {
    pub(crate) calls: Log<Call>,
    pub(crate) consumed: Log<Consumed>,
    pub(crate) faults: Faults,
    pub(crate) policies: Policies,
    pub(crate) s3: S3Service,
    pub(crate) cors: CorsRules,
    /// Address of the internal DynamoDB server, as `127.0.0.1:port`.
    pub(crate) dynamodb: String,
    pub(crate) client: Client<HttpConnector, Full<Bytes>>,
    pub(crate) events: Outbox<BusEvent>,
}

/// Serve requests until the returned future is dropped. Dropping it closes every connection.
pub(crate) async fn serve(listener: TcpListener, services: Arc<Services>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // For example, the process is out of file descriptors: wait for connections to close.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let services = Arc::clone(&services);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let services = Arc::clone(&services);
                async move { services.handle(request).await }
            });
            // Fails only if the client disconnected or fault injection dropped the connection.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Services {
    async fn handle(&self, request: Request<Incoming>) -> Result<HttpResponse, Dropped> {
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
                // Read the whole body first: a client that is still sending would get a connection reset.
                let _ = body.collect().await;
                return Ok(boxed(error_response(call.service, fault)));
            }
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::LoseAnswer) | None => {}
        }
        let response = match call.service {
            // `s3s` calls the permission check itself, after it has parsed bucket and key.
            Service::S3 => self.s3(&call, parts, body).await,
            Service::DynamoDb | Service::EventBridge => {
                let Ok(body) = body.collect().await else { return Err(Dropped) };
                let body = body.to_bytes();
                let request = serde_json::from_slice(&body).unwrap_or_default();
                match self.authorise(&call, &parts, &request) {
                    Err(refusal) => boxed(denied(&refusal)),
                    Ok(()) if call.service == Service::DynamoDb => self.dynamodb(&call, parts, body, request).await,
                    Ok(()) => boxed(events::handle(&call.operation, &body, &self.events)),
                }
            }
        };
        if fault == Some(Fault::LoseAnswer) {
            return Err(Dropped);
        }
        Ok(response)
    }

    fn authorise(&self, call: &Call, parts: &http::request::Parts, request: &Value) -> Result<(), Refusal> {
        let demands = match call.service {
            Service::EventBridge => policy::put_events(request),
            _ => policy::dynamodb(&call.operation, request, &|table| self.policies.partition_key(table)),
        };
        self.policies.authorise(policy::access_key_id(parts), &demands)
    }

    async fn dynamodb(
        &self,
        call: &Call,
        mut parts: http::request::Parts,
        body: Bytes,
        mut request: Value,
    ) -> HttpResponse {
        capacity::request_report(&call.operation, &mut request);
        let body = if request.is_object() { Bytes::from(request.to_string()) } else { body };
        let Ok(uri) = http::Uri::builder().scheme("http").authority(self.dynamodb.as_str()).path_and_query("/").build()
        else {
            return unavailable();
        };
        parts.uri = uri;
        // The client sets these headers for the rewritten body.
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts.headers.remove(header::CONTENT_LENGTH);
        match self.client.request(Request::from_parts(parts, Full::new(body))).await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let Ok(body) = body.collect().await else { return unavailable() };
                let body = body.to_bytes();
                let response = serde_json::from_slice(&body).unwrap_or_default();
                self.consumed.record(capacity::consumed(&call.operation, &request, &response));
                boxed(Response::from_parts(parts, Full::new(body)))
            }
            Err(error) => {
                tracing::error!(%error, "DynamoDB request failed");
                unavailable()
            }
        }
    }

    async fn s3(&self, call: &Call, parts: http::request::Parts, body: Incoming) -> HttpResponse {
        if call.operation == "Preflight" {
            let mut response = boxed(Response::new(Full::default()));
            match self.cors.for_preflight(&parts) {
                Some(headers) => response.headers_mut().extend(headers),
                None => *response.status_mut() = StatusCode::FORBIDDEN,
            }
            return response;
        }
        let cors = self.cors.for_response(&parts);
        let request = Request::from_parts(parts, s3s::Body::from(body));
        let mut response = match self.s3.call(request).await {
            Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(error) => {
                tracing::error!(?error, "S3 request failed");
                unavailable()
            }
        };
        response.headers_mut().extend(cors);
        response.headers_mut().entry("x-amz-request-id").or_insert_with(|| HeaderValue::from_static("EMULATED"));
        response
    }
}

/// The error response that DynamoDB and EventBridge return to a caller without permission.
fn denied(refusal: &Refusal) -> Response<Full<Bytes>> {
    let (kind, message) = match refusal {
        Refusal::UnknownAccessKey => {
            ("UnrecognizedClientException", "The security token included in the request is invalid.".to_owned())
        }
        Refusal::Denied(denial) => ("AccessDeniedException", denial.to_string()),
    };
    let body = json!({"__type": format!("com.amazon.coral.service#{kind}"), "Message": message});
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

fn boxed(response: Response<Full<Bytes>>) -> HttpResponse {
    response.map(|body| body.map_err(|never: Infallible| match never {}).boxed_unsync())
}

fn unavailable() -> HttpResponse {
    let mut response = boxed(Response::new(Full::default()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
