//! Functions that act on an event and answer nobody.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use capstan_aws::{Environment, FromEnvironment};
use capstan_domain::Error;
use futures_util::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::panicked;
use crate::{Answer, Clock, Function, Invocation, InvocationError, StartError, runtime};

/// Runs an event handler as the Lambda function `name` until Lambda ends the sandbox.
///
/// # Errors
/// [`StartError`] when the environment lacks what the handler depends on, or the Lambda runtime cannot be reached.
pub fn serve_event<D, E, H, F>(name: &'static str, handler: H) -> Result<(), StartError>
where
    D: Clone + FromEnvironment,
    E: DeserializeOwned,
    H: Fn(D, E, Invocation) -> F,
    F: Future<Output = Result<(), Error>>,
{
    lambda_runtime::tracing::init_default_subscriber();
    runtime()?.block_on(async {
        let dependencies = D::from_environment(&Environment::of_process().await).await?;
        let clock = Clock::system();
        let serve = |event: LambdaEvent<E>| act(name, &dependencies, &clock, &handler, event.payload);
        lambda_runtime::run(service_fn(serve)).await.map_err(StartError)
    })
}

/// A handler as a value.
pub fn event_function<D, E, H, F>(name: &'static str, dependencies: D, clock: Clock, handler: H) -> Function
where
    D: Clone + Send + Sync + 'static,
    E: DeserializeOwned + Send + 'static,
    H: Fn(D, E, Invocation) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    Function(std::sync::Arc::new(move |event: Value, _| -> Answer {
        let (dependencies, clock, handler) = (dependencies.clone(), clock.clone(), handler.clone());
        Box::pin(async move {
            let event = serde_json::from_value(event).map_err(|error| InvocationError(error.to_string()))?;
            act(name, &dependencies, &clock, &handler, event).await.map(|()| Value::Null)
        })
    }))
}

fn act<D, E, H, F>(
    function: &'static str,
    dependencies: &D,
    clock: &Clock,
    handler: &H,
    event: E,
) -> impl Future<Output = Result<(), InvocationError>> + use<D, E, H, F>
where
    D: Clone,
    H: Fn(D, E, Invocation) -> F,
    F: Future<Output = Result<(), Error>>,
{
    let began = Instant::now();
    // Boxed, so that the compiler's limit of nested types counts the handler's futures by themselves.
    let running = Invocation::begin(clock).map(|invocation| Box::pin(handler(dependencies.clone(), event, invocation)));
    async move {
        let result = match running {
            Ok(running) => {
                AssertUnwindSafe(running).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic)))
            }
            Err(error) => Err(error),
        };
        let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
        match result {
            Ok(()) => {
                tracing::info!(function, duration_ms, "event");
                Ok(())
            }
            Err(error) => {
                tracing::error!(function, duration_ms, %error, "event");
                Err(InvocationError(error.to_string()))
            }
        }
    }
}
