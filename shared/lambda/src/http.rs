//! Functions that answer a request.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use capstan_aws::{Environment, FromEnvironment, busy};
use capstan_domain::{DeviceId, EndUserId, Error, RecordingId, TranscriptionId};
use capstan_http::{Reply, Request};
use capstan_idempotency::{Dependencies, idempotent};
use futures_util::FutureExt;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, Body, LambdaEvent, RequestExt, Response, Service, service_fn};
use serde_json::Value;

use crate::{Answer, Clock, Function, Invocation, InvocationError, StartError, runtime};

/// Runs a request handler as a Lambda function until Lambda ends the sandbox.
///
/// # Errors
/// [`StartError`] when the environment lacks what the handler depends on, or the Lambda runtime cannot be reached.
pub fn serve_http<D, H, F>(handler: H) -> Result<(), StartError>
where
    D: Clone + Dependencies + FromEnvironment + Send + Sync,
    H: Fn(D, Request) -> F + Clone + Send + Sync,
    F: Future<Output = Result<Reply, Error>> + Send,
{
    lambda_http::tracing::init_default_subscriber();
    runtime()?.block_on(async {
        let dependencies = D::from_environment(&Environment::of_process().await).await?;
        let clock = Clock::system();
        lambda_http::run(service_fn(|event| answer(&dependencies, &clock, &handler, event))).await.map_err(StartError)
    })
}

/// A handler as a value. Goes through the same adapter as behind Lambda's runtime.
pub fn http_function<D, H, F>(dependencies: D, clock: Clock, handler: H) -> Function
where
    D: Clone + Dependencies + Send + Sync + 'static,
    H: Fn(D, Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Reply, Error>> + Send + 'static,
{
    Function(std::sync::Arc::new(move |event: Value, timeout| -> Answer {
        let (dependencies, clock, handler) = (dependencies.clone(), clock.clone(), handler.clone());
        Box::pin(async move {
            let request: LambdaRequest = serde_json::from_value(event).map_err(invalid_event)?;
            let service = service_fn(|event| answer(&dependencies, &clock, &handler, event));
            let mut context = lambda_http::Context::default();
            context.deadline = timeout.map_or(0, deadline_after);
            let Ok(response) = Adapter::from(service).call(LambdaEvent::new(request, context)).await;
            serde_json::to_value(response).map_err(invalid_event)
        })
    }))
}

/// Time before the invocation's deadline at which its handler is stopped. Enough to release an idempotency key.
const HANDLER_MARGIN: Duration = Duration::from_millis(1_000);
/// Time before the invocation's deadline at which the request is answered in any case. Behind it, API Gateway answers 500.
const ANSWER_MARGIN: Duration = Duration::from_millis(400);

fn deadline_after(timeout: Duration) -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + timeout;
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// Time until Lambda ends the invocation; `None` when it does not say.
fn remaining(event: &lambda_http::Request) -> Option<Duration> {
    let deadline = event.lambda_context_ref().map(|context| context.deadline).filter(|deadline| *deadline > 0)?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_millis(deadline).saturating_sub(since_1970))
}

/// The result of a future, or 503 when it takes longer. One limit for all its calls to AWS: each client has timeouts and
/// retries of its own, which add up to more than an invocation has.
async fn within<T>(
    limit: Option<Duration>,
    future: impl Future<Output = Result<T, Error>> + Unpin,
) -> Result<T, Error> {
    let Some(limit) = limit else { return future.await };
    let late = |_| Err(busy("the request took as long as the function may run"));
    tokio::time::timeout(limit, future).await.unwrap_or_else(late)
}

fn invalid_event(error: serde_json::Error) -> InvocationError {
    InvocationError(format!("not an event or answer of the HTTP API: {error}"))
}

fn answer<D, H, F>(
    dependencies: &D,
    clock: &Clock,
    handler: &H,
    event: lambda_http::Request,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<D, H, F>
where
    D: Clone + Dependencies,
    H: Fn(D, Request) -> F + Clone,
    F: Future<Output = Result<Reply, Error>>,
{
    let line = AccessLine::begin(&event);
    let remaining = remaining(&event);
    let margin = |margin| remaining.map(|remaining| remaining.saturating_sub(margin));
    let (handler_limit, answer_limit) = (margin(HANDLER_MARGIN), margin(ANSWER_MARGIN));
    let running = Invocation::begin(clock).map(|at| {
        let request = Request::new(event, at.now, at.entropy, at.secret_bits);
        let handler = handler.clone();
        // Boxed where they are made: futures of the AWS SDK are large, and each wrapper would move them.
        let limited = move |dependencies, request| within(handler_limit, Box::pin(handler(dependencies, request)));
        within(answer_limit, Box::pin(idempotent(dependencies.clone(), request, limited)))
    });
    async move {
        let result = match running {
            // A panic is answered like any other fault, and the sandbox lives on.
            Ok(running) => {
                AssertUnwindSafe(running).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic)))
            }
            Err(error) => Err(error),
        };
        let reply = result.unwrap_or_else(|error| Reply::failed(error, &line.request_id));
        line.write(&reply);
        Ok(reply.into_response(&line.request_id))
    }
}

pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("panicked: {}", text.unwrap_or("without words")))
}

/// What the path names, if it is an identifier of that kind: a confused client may put anything there, its credential
/// too, and that is not logged.
fn named<I: FromStr>(event: &lambda_http::Request) -> Option<I> {
    event.path_parameters_ref()?.first("id")?.parse().ok()
}

/// What is logged of a request: one line, neither credential nor URL nor body.
struct AccessLine {
    route: String,
    recording_id: Option<RecordingId>,
    transcription_id: Option<TranscriptionId>,
    device_id: Option<DeviceId>,
    end_user_id: Option<EndUserId>,
    request_id: String,
    began: Instant,
}

impl AccessLine {
    fn begin(event: &lambda_http::Request) -> Self {
        let (route, request_id) = match event.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => (context.route_key.clone(), context.request_id.clone()),
            _ => (None, None),
        };
        Self {
            route: route.unwrap_or_default(),
            recording_id: named(event),
            transcription_id: named(event),
            device_id: named(event),
            end_user_id: named(event),
            request_id: request_id.unwrap_or_default(),
            began: Instant::now(),
        }
    }

    fn write(&self, reply: &Reply) {
        let duration_ms = self.began.elapsed().as_secs_f64() * 1000.0;
        let (status, code) = (reply.status().as_u16(), reply.code());
        let (route, request_id) = (&self.route, &self.request_id);
        let recording_id = self.recording_id.as_ref().map(RecordingId::as_str);
        let transcription_id = self.transcription_id.as_ref().map(TranscriptionId::as_str);
        let device_id = self.device_id.as_ref().map(DeviceId::as_str);
        let end_user_id = self.end_user_id.as_ref().map(EndUserId::as_str);
        match reply.failure().filter(|_| reply.status().is_server_error()) {
            Some(error) => {
                tracing::error!(
                    route, status, code, duration_ms, request_id, recording_id, transcription_id, device_id,
                    end_user_id, %error,
                    "request"
                );
            }
            None => tracing::info!(
                route,
                status,
                code,
                duration_ms,
                request_id,
                recording_id,
                transcription_id,
                device_id,
                end_user_id,
                "request"
            ),
        }
    }
}
