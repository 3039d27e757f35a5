//! Functions as values, for the local stack.

use std::pin::Pin;

use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::Error;
use capstan_http::{Reply, Request};
use capstan_idempotency::Dependencies;
use serde::de::DeserializeOwned;

use crate::{Clock, Function, Invocation, event_function, http_function};

type Construct = dyn Fn(Environment, Clock) -> Constructing + Send + Sync;
type Constructing = Pin<Box<dyn Future<Output = Result<Function, EnvironmentError>> + Send>>;

/// A handler under the name of its Lambda function.
pub struct Registration {
    name: &'static str,
    construct: Box<Construct>,
}

impl Registration {
    /// A handler of requests. `name` is that of its binary in `template.yaml`.
    pub fn http<D, H, F>(name: &'static str, handler: H) -> Self
    where
        D: Clone + Dependencies + FromEnvironment + Send + Sync + 'static,
        H: Fn(D, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        Self {
            name,
            construct: Box::new(move |environment, clock| {
                let handler = handler.clone();
                Box::pin(async move { Ok(http_function(D::from_environment(&environment).await?, clock, handler)) })
            }),
        }
    }

    /// A handler of events. `name` is that of its binary in `template.yaml`.
    pub fn event<D, E, H, F>(name: &'static str, handler: H) -> Self
    where
        D: Clone + FromEnvironment + Send + Sync + 'static,
        E: DeserializeOwned + Send + 'static,
        H: Fn(D, E, Invocation) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self {
            name,
            construct: Box::new(move |environment, clock| {
                let handler = handler.clone();
                Box::pin(
                    async move { Ok(event_function(name, D::from_environment(&environment).await?, clock, handler)) },
                )
            }),
        }
    }

    /// The name of the function's binary.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The function, with dependencies from `environment`, as its `main` constructs it.
    ///
    /// # Errors
    /// [`EnvironmentError`] when a variable is missing or invalid.
    pub async fn construct(&self, environment: Environment, clock: Clock) -> Result<Function, EnvironmentError> {
        (self.construct)(environment, clock).await
    }
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registration({})", self.name)
    }
}
