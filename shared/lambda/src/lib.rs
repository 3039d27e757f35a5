//! A handler as a Lambda function: it gets the time, randomness and what it stands on; its failures are logged once.
//!
//! The same function runs behind Lambda's runtime ([`serve_http`], [`serve_event`]) and as a plain value that takes an
//! event's JSON and gives the answer's ([`http_function`], [`event_function`]), which is how the one-machine stack
//! and the tests call it.

mod clock;
mod event;
mod http;
mod registration;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use clock::{Clock, Invocation};
pub use event::{event_function, serve_event};
pub use http::{http_function, serve_http};
pub use registration::Registration;

/// A sandbox has one request at a time: more threads would only cost their start.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Why a function could not start, or why its runtime ended. The end of the line: `main` prints it.
pub struct StartError(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Debug for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for StartError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// An invocation that Lambda would count as failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvocationError(String);

/// A function as a value: the event's JSON in, the answer's JSON out.
#[derive(Clone)]
pub struct Function(Arc<dyn Fn(Value, Option<Duration>) -> Answer + Send + Sync>);

type Answer = Pin<Box<dyn Future<Output = Result<Value, InvocationError>> + Send>>;

impl Function {
    /// Hands the function an event.
    ///
    /// # Errors
    /// [`InvocationError`] when the event is not of its kind and, for a function that answers no request, when it
    /// failed.
    pub async fn invoke(&self, event: Value) -> Result<Value, InvocationError> {
        (self.0)(event, None).await
    }

    /// As [`Self::invoke`], with the time after which Lambda ends the invocation.
    ///
    /// # Errors
    /// Those of [`Self::invoke`].
    pub async fn invoke_within(&self, event: Value, timeout: Duration) -> Result<Value, InvocationError> {
        (self.0)(event, Some(timeout)).await
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Function")
    }
}

impl From<InvocationError> for lambda_runtime::Diagnostic {
    fn from(error: InvocationError) -> Self {
        Self { error_type: "InvocationError".to_owned(), error_message: error.0 }
    }
}
