//! Server of the Lambda Runtime API for one sandbox:
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
/// Timeout of an invocation: the longest timeout of the project's functions.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Request of a sandbox to the Runtime API, with its time.
#[derive(Debug)]
pub(crate) enum Report {
    /// The sandbox requests the next event.
    NextRequested(Instant),
    /// The sandbox sent the response to an event.
    Response(Instant, Bytes),
    /// Initialization or an invocation failed, with the error body.
    Error(Bytes),
}

/// Running Runtime API server. Dropping it stops the server.
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    events: mpsc::UnboundedSender<Value>,
    reports: mpsc::UnboundedReceiver<Report>,
    task: AbortHandle,
}

struct Channels {
    events: Mutex<mpsc::UnboundedReceiver<Value>>,
    reports: mpsc::UnboundedSender<Report>,
}

impl RuntimeApi {
    pub(crate) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (events, received) = mpsc::unbounded_channel();
        let (sender, reports) = mpsc::unbounded_channel();
        let channels = Arc::new(Channels { events: Mutex::new(received), reports: sender });
        let task = tokio::spawn(serve(listener, channels)).abort_handle();
        Ok(Self { address, events, reports, task })
    }

    /// Send an event to the sandbox.
    pub(crate) fn send(&self, event: Value) -> io::Result<()> {
        self.events.send(event).map_err(io::Error::other)
    }

    /// Wait for the next report of the sandbox.
    pub(crate) async fn next_report(&mut self) -> io::Result<Report> {
        let report = tokio::time::timeout(TIMEOUT, self.reports.recv()).await?;
        report.ok_or_else(|| io::Error::other("the Runtime API is closed"))
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, channels: Arc<Channels>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let channels = Arc::clone(&channels);
        tokio::spawn(async move {
            let service = service_fn(|request| handle(Arc::clone(&channels), request));
            // Fails only if the sandbox ended.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(channels: Arc<Channels>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let response = match (request.method(), path.rsplit('/').next()) {
        (&Method::GET, Some("next")) => next(&channels).await,
        (&Method::POST, Some(kind @ ("response" | "error"))) => {
            let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
            let report = match (kind, body) {
                ("response", Ok(body)) => Report::Response(Instant::now(), body),
                (_, body) => Report::Error(body.unwrap_or_default()),
            };
            let _ = channels.reports.send(report);
            empty(StatusCode::ACCEPTED)
        }
        _ => empty(StatusCode::NOT_FOUND),
    };
    Ok(response)
}

async fn next(channels: &Channels) -> Response<Full<Bytes>> {
    let _ = channels.reports.send(Report::NextRequested(Instant::now()));
    let Some(event) = channels.events.lock().await.recv().await else { return empty(StatusCode::GONE) };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + TIMEOUT;
    let mut response = Response::new(Full::new(Bytes::from(event.to_string())));
    for (name, value) in [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:cold-start"),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"),
    ] {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
