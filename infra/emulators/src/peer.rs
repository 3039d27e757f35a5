//! A server of somebody else's, such as a transcription provider: it says what it is told to, and remembers what it was
//! asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a peer that is asked what nobody expects ends the test")]

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

/// What a server does with one request.
pub enum Reply {
    /// Answers.
    Answer {
        /// The status.
        status: u16,
        /// The headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Bytes,
    },
    /// Answers nothing for as long.
    Slow(Duration),
    /// Answers as told after a while.
    After(Duration, Box<Reply>),
    /// Closes the connection instead.
    Drop,
    /// Announces more than it sends.
    Truncated(&'static str),
    /// Sends so many bytes, and counts them. Announces how many, or does not.
    Huge {
        /// How many bytes.
        size: u64,
        /// Whether it says so.
        event_published: bool,
    },
    /// Answers as told, but reads nothing of the request before it is notified.
    Unread(Arc<Notify>, Box<Reply>),
}

impl Reply {
    /// JSON.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.into().into(),
        }
    }

    /// The same with a header.
    pub fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name, value.into()));
                Self::Answer { status, headers, body }
            }
            other => other,
        }
    }

    /// 200 with these bytes.
    pub fn bytes(body: impl Into<Bytes>) -> Self {
        Self::Answer { status: 200, headers: Vec::new(), body: body.into() }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method and where it went.
    pub line: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// JSON.
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answer = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

#[derive(Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    otherwise: Option<Answer>,
    seen: Mutex<Vec<Seen>>,
    sent: AtomicU64,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// A server on loopback. It ends when this is dropped.
pub struct Peer {
    /// Where it is.
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
    /// Gives these replies, one by one.
    pub async fn replying(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(State { replies: Mutex::new(replies.into_iter().collect()), ..State::default() }).await
    }

    /// Gives the reply that this makes of each request.
    pub async fn answering(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(State { otherwise: Some(Box::new(answer)), ..State::default() }).await
    }

    async fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(state);
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { url, state, task }
    }

    /// The requests so far, which are then forgotten.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }

    /// Bytes that were taken from it in huge answers.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// The most requests that it had at a time.
    pub fn most_at_once(&self) -> usize {
        self.state.most_at_once.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| reply(Arc::clone(&state), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

async fn reply(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let now = state.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    state.most_at_once.fetch_max(now, Ordering::SeqCst);
    let answer = answer(&state, request).await;
    state.at_once.fetch_sub(1, Ordering::SeqCst);
    answer
}

async fn answer(state: &Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (parts, body) = request.into_parts();
    let mut reply = state.replies.lock().unwrap().pop_front();
    if let Some(Reply::Unread(read, then)) = reply {
        read.notified().await;
        reply = Some(*then);
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let seen = Seen { line: format!("{} {}", parts.method, parts.uri), headers: parts.headers, body };
    let reply = reply.unwrap_or_else(|| match &state.otherwise {
        Some(answer) => answer(&seen),
        None => panic!("nobody expects {}", seen.line),
    });
    state.seen.lock().unwrap().push(seen);
    let reply = match reply {
        Reply::After(wait, then) => {
            tokio::time::sleep(wait).await;
            *then
        }
        other => other,
    };
    let aborted = || io::Error::other("on purpose");
    match reply {
        Reply::Answer { status, headers, body } => {
            let mut answer = Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            Ok(answer.body(Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync()).unwrap())
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
            let answer = Response::builder().header("content-length", start.len() + 1000);
            Ok(answer.body(BodyExt::boxed_unsync(StreamBody::new(frames))).unwrap())
        }
        Reply::Huge { size, event_published } => {
            let state = Arc::clone(state);
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            let frames = stream::iter(0..size / chunk.len() as u64).map(move |_| {
                state.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                Ok(Frame::data(chunk.clone()))
            });
            let mut answer = Response::builder();
            if event_published {
                answer = answer.header("content-length", size);
            }
            Ok(answer.body(BodyExt::boxed_unsync(StreamBody::new(frames))).unwrap())
        }
        Reply::Drop | Reply::Unread(..) | Reply::After(..) => Err(aborted()),
    }
}
