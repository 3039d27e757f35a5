//! Lambda's side of the Runtime API, for one sandbox:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;

const PREFIX: &str = "/2018-06-01/runtime";
/// As long as the longest of our functions may run.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a sandbox tells, and when.
#[derive(Debug)]
pub(crate) enum Told {
    /// It asks for the next event.
    Asks(Instant),
    /// It has answered the event.
    Answers(Instant, Bytes),
    /// It could not be made, or the invocation failed.
    Fails(Bytes),
}

/// Lambda as one sandbox knows it.
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    events: mpsc::UnboundedSender<Value>,
    told: mpsc::UnboundedReceiver<Told>,
    task: AbortHandle,
}

struct Desk {
    events: Mutex<mpsc::UnboundedReceiver<Value>>,
    told: mpsc::UnboundedSender<Told>,
}

impl RuntimeApi {
    pub(crate) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (events, received) = mpsc::unbounded_channel();
        let (sender, told) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk { events: Mutex::new(received), told: sender });
        let task = tokio::spawn(serve(listener, desk)).abort_handle();
        Ok(Self { address, events, told, task })
    }

    /// Hands the sandbox an event.
    pub(crate) fn hand(&self, event: Value) -> io::Result<()> {
        self.events.send(event).map_err(io::Error::other)
    }

    /// Waits for what the sandbox tells.
    pub(crate) async fn told(&mut self) -> io::Result<Told> {
        let told = tokio::time::timeout(PATIENCE, self.told.recv()).await?;
        told.ok_or_else(|| io::Error::other("the Runtime API is closed"))
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(Arc::clone(&desk), request));
            // An error here is a sandbox that ended.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(desk: Arc<Desk>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let answer = match (request.method(), path.rsplit('/').next()) {
        (&Method::GET, Some("next")) => next(&desk).await,
        (&Method::POST, Some(told @ ("response" | "error"))) => {
            let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
            let told = match (told, body) {
                ("response", Ok(body)) => Told::Answers(Instant::now(), body),
                (_, body) => Told::Fails(body.unwrap_or_default()),
            };
            let _ = desk.told.send(told);
            empty(StatusCode::ACCEPTED)
        }
        _ => empty(StatusCode::NOT_FOUND),
    };
    Ok(answer)
}

async fn next(desk: &Desk) -> Response<Full<Bytes>> {
    let _ = desk.told.send(Told::Asks(Instant::now()));
    let Some(event) = desk.events.lock().await.recv().await else { return empty(StatusCode::GONE) };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + PATIENCE;
    let mut answer = Response::new(Full::new(Bytes::from(event.to_string())));
    for (name, value) in [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:cold-start"),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"),
    ] {
        if let Ok(value) = value.parse() {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
