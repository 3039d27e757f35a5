//! A plain HTTP client, as a device or a server of the user's has one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::io::ReaderStream;

const CHUNK: usize = 256 * 1024;
const CONNECT: Duration = Duration::from_secs(10);

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer came.
    #[error("{url} does not answer: {reason}")]
    Unreachable {
        /// Where the request went, without its query, which may hold a signature.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The answer is a refusal.
    #[error("{method} {url} was answered with {status}: {message}")]
    Refused {
        /// The method.
        method: Method,
        /// Where the request went, without its query.
        url: String,
        /// The status code.
        status: u16,
        /// What the answer says, shortened.
        message: Box<str>,
        /// Its `error.code`, where it is one of Capstan's.
        code: Option<Box<str>>,
        /// The field that is wrong, by its `error.param`.
        param: Option<Box<str>>,
        /// How long to wait before asking again, where it says so in seconds.
        retry_after: Option<Duration>,
    },
    /// What was fetched cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

/// A client. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    hyper: Hyper<HttpsConnector<HttpConnector>, Body>,
    api: Arc<str>,
}

impl Client {
    /// A client of the API at `url`, `http` or `https`. It follows no redirects.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(tcp);
        Self { hyper: Hyper::builder(TokioExecutor::new()).build(connector), api: url.trim_end_matches('/').into() }
    }

    /// Calls the API and reads the JSON that it answers; null when there is none.
    ///
    /// # Errors
    /// [`ClientError`] when it does not answer or refuses.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        credential: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        self.ask(self.request(method, path, credential), body).await
    }

    /// POSTs to the API under an `Idempotency-Key`, so that a repeat after a lost answer does nothing more.
    ///
    /// # Errors
    /// [`ClientError`] when it does not answer or refuses.
    pub async fn post_once(
        &self,
        path: &str,
        credential: &str,
        idempotency_key: &str,
        body: &Value,
    ) -> Result<Value, ClientError> {
        let request = self.request(Method::POST, path, credential).header("idempotency-key", idempotency_key);
        self.ask(request, Some(body)).await
    }

    fn request(&self, method: Method, path: &str, credential: &str) -> request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api))
            .header(AUTHORIZATION, format!("Bearer {credential}"))
            .header(CONTENT_TYPE, "application/json")
    }

    async fn ask(&self, request: request::Builder, body: Option<&Value>) -> Result<Value, ClientError> {
        let answer = self.send(request.body(whole(body.map(ToString::to_string).unwrap_or_default()))).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// Sends `source`, which holds `size` bytes, to a signed URL with the headers that were signed.
    /// Calls `sent` with the number of bytes of each block.
    ///
    /// # Errors
    /// [`ClientError`] when S3 does not answer or refuses.
    pub async fn put(
        &self,
        url: &str,
        headers: &[(String, String)],
        source: impl AsyncRead + Send + 'static,
        size: u64,
        sent: impl Fn(u64) + Send + 'static,
    ) -> Result<(), ClientError> {
        let frames = ReaderStream::with_capacity(source, CHUNK).map(move |chunk| {
            let chunk = chunk?;
            sent(chunk.len() as u64);
            Ok(Frame::data(chunk))
        });
        let mut request = Request::put(url).header(CONTENT_LENGTH, size);
        for (name, value) in headers {
            if !name.eq_ignore_ascii_case("content-length") {
                request = request.header(name, value);
            }
        }
        self.send(request.body(StreamBody::new(frames).boxed_unsync())).await.map(drop)
    }

    /// Fetches what is at a signed URL, chunk by chunk into `sink`.
    ///
    /// # Errors
    /// [`ClientError`] when S3 does not answer or refuses, or what `sink` cannot take.
    pub async fn get(&self, url: &str, sink: &mut (impl AsyncWrite + Unpin)) -> Result<(), ClientError> {
        let mut body = self.begin(Request::get(url).body(whole(String::new()))).await?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreachable(url, error.to_string()))?;
            if let Ok(bytes) = frame.into_data() {
                sink.write_all(&bytes).await?;
            }
        }
        Ok(sink.flush().await?)
    }

    async fn send(&self, request: http::Result<Request<Body>>) -> Result<Bytes, ClientError> {
        let body = self.begin(request).await?.collect().await;
        Ok(body.map_err(|error| unreachable("the server", error.to_string()))?.to_bytes())
    }

    /// The body of the answer to `request`, if it is no refusal.
    async fn begin(&self, request: http::Result<Request<Body>>) -> Result<Incoming, ClientError> {
        let request = request.map_err(|error| unreachable("the request", error.to_string()))?;
        let method = request.method().clone();
        let url = request.uri().to_string().split('?').next().unwrap_or_default().to_owned();
        let answered = self.hyper.request(request).await;
        let answer: Response<Incoming> = answered.map_err(|error| unreachable(&url, reason(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let retry_after = retry_after(answer.headers());
        let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let of_error = |name: &str| answer["error"][name].as_str().map(Box::from);
        Err(ClientError::Refused {
            method,
            url,
            status: status.as_u16(),
            message: String::from_utf8_lossy(&body).chars().take(300).collect(),
            code: of_error("code"),
            param: of_error("param"),
            retry_after,
        })
    }
}

/// Only seconds: a moment would have to be compared with a clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Without the query, which may hold a signature.
fn unreachable(url: &str, reason: String) -> ClientError {
    ClientError::Unreachable { url: url.split('?').next().unwrap_or_default().to_owned(), reason }
}

fn whole(text: String) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed_unsync()
}

/// The innermost cause, which is what a person can act on: "connection refused".
fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
