//! Scriptable HTTP server that stands in for a third party, such as a transcription provider, and records its requests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "an unexpected request fails the test")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Reply to one request.
pub enum Reply {
    /// A complete response.
    Answer {
        /// HTTP status code.
        status: u16,
        /// Response headers.
        headers: Vec<(&'static str, String)>,
        /// Response body.
        body: Bytes,
    },
    /// Wait for this duration, then close the connection without a response.
    Slow(Duration),
    /// Wait for this duration, then send the reply.
    After(Duration, Box<Reply>),
    /// Close the connection without a response.
    Drop,
    /// Send this text with a larger `Content-Length`, then close the connection.
    Truncated(&'static str),
    /// Send a large body. [`Peer::sent`] counts the bytes.
    Huge {
        /// Size of the body in bytes.
        size: u64,
        /// Whether to send `Content-Length`.
        declares_length: bool,
    },
    /// Read the request body only after the notification, then send the reply.
    Unread(Arc<Notify>, Box<Reply>),
}

impl Reply {
    /// Response with a JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.into().into(),
        }
    }

    /// Add a header to an [`Self::Answer`]. Other replies are unchanged.
    pub fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name, value.into()));
                Self::Answer { status, headers, body }
            }
            other => other,
        }
    }

    /// 200 response with this body.
    pub fn bytes(body: impl Into<Bytes>) -> Self {
        Self::Answer { status: 200, headers: Vec::new(), body: body.into() }
    }
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and URI, such as `GET /v1/jobs?limit=1`.
    pub line: String,
    /// Request headers.
    pub headers: HeaderMap,
    /// Request body.
    pub body: Bytes,
}

impl Seen {
    /// Value of a header. `None` if the header is missing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Body as text. Invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Handler = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

#[derive(Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    handler: Option<Handler>,
    seen: Mutex<Vec<Seen>>,
    sent: AtomicU64,
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
}

/// HTTP server on loopback. Dropping this value stops the server.
pub struct Peer {
    /// Base URL of the server.
    pub url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Start a server that sends these replies in order. Further requests fail.
    pub async fn replying(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(State { replies: Mutex::new(replies.into_iter().collect()), ..State::default() }).await
    }

    /// Start a server that computes each reply from the request.
    pub async fn answering(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(State { handler: Some(Box::new(answer)), ..State::default() }).await
    }

    async fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(state);
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { url, state, task }
    }

    /// Remove and return the received requests.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }

    /// Number of bytes sent in [`Reply::Huge`] bodies.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// Maximum number of concurrent requests so far.
    pub fn most_at_once(&self) -> usize {
        self.state.max_in_flight.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| handle(Arc::clone(&state), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

async fn handle(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let now = state.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
    state.max_in_flight.fetch_max(now, Ordering::SeqCst);
    let response = respond(&state, request).await;
    state.in_flight.fetch_sub(1, Ordering::SeqCst);
    response
}

async fn respond(state: &Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (parts, body) = request.into_parts();
    let mut reply = state.replies.lock().unwrap().pop_front();
    if let Some(Reply::Unread(read, then)) = reply {
        read.notified().await;
        reply = Some(*then);
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let seen = Seen { line: format!("{} {}", parts.method, parts.uri), headers: parts.headers, body };
    let reply = reply.unwrap_or_else(|| match &state.handler {
        Some(handler) => handler(&seen),
        None => panic!("unexpected request: {}", seen.line),
    });
    state.seen.lock().unwrap().push(seen);
    let reply = match reply {
        Reply::After(wait, then) => {
            tokio::time::sleep(wait).await;
            *then
        }
        other => other,
    };
    let aborted = || io::Error::other("connection dropped on purpose");
    match reply {
        Reply::Answer { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync()).unwrap())
        }
        Reply::Slow(wait) => {
            tokio::time::sleep(wait).await;
            Err(aborted())
        }
        Reply::Truncated(start) => {
            let frames = stream::iter([Ok(Frame::data(Bytes::from(start)))]).chain(stream::once(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(aborted())
            }));
            let response = Response::builder().header("content-length", start.len() + 1000);
            Ok(response.body(BodyExt::boxed_unsync(StreamBody::new(frames))).unwrap())
        }
        Reply::Huge { size, declares_length } => {
            let state = Arc::clone(state);
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            let frames = stream::iter(0..size / chunk.len() as u64).map(move |_| {
                state.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                Ok(Frame::data(chunk.clone()))
            });
            let mut response = Response::builder();
            if declares_length {
                response = response.header("content-length", size);
            }
            Ok(response.body(BodyExt::boxed_unsync(StreamBody::new(frames))).unwrap())
        }
        Reply::Drop | Reply::Unread(..) | Reply::After(..) => Err(aborted()),
    }
}
