//! Lambda on one machine: functions by name, with their timeouts and the retries of asynchronous invocations.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use capstan_emulators::template::Template;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// How many asynchronous invocations run at once. The others wait, where Lambda would start more sandboxes.
const ASYNC_SLOTS: usize = 16;

type Answer = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// A function as a value: the event's JSON in, the answer's JSON or an error out.
#[derive(Clone)]
pub struct Function(Arc<dyn Fn(Value, Duration) -> Answer + Send + Sync>);

impl Function {
    /// Takes any async function over JSON and the time that it may take.
    pub fn new<F, A, E>(function: F) -> Self
    where
        F: Fn(Value, Duration) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Value, E>> + Send + 'static,
        E: fmt::Display,
    {
        Self(Arc::new(move |event, timeout| {
            let answer = function(event, timeout);
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        }))
    }

    /// Hands it an event.
    ///
    /// # Errors
    /// What the function returned as its error, as text.
    pub async fn call(&self, event: Value, timeout: Duration) -> Result<Value, String> {
        (self.0)(event, timeout).await
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Function")
    }
}

/// Functions by the name of their folder.
pub type Functions = BTreeMap<String, Function>;

/// Why an invocation gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvocationError {
    /// No function of this name runs here.
    #[error("there is no function {0}")]
    Unknown(String),
    /// The function returned an error.
    #[error("{0}")]
    Failed(String),
    /// The function took longer than its timeout and was stopped.
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
    /// The function panicked.
    #[error("panicked")]
    Panicked,
}

#[derive(Debug)]
struct Deployed {
    function: Function,
    timeout: Duration,
    retries: u64,
}

/// The functions of a template that there is code for.
#[derive(Debug)]
pub struct Lambda {
    deployed: BTreeMap<String, Deployed>,
    running: TaskTracker,
    slots: Semaphore,
    retry_delay: Duration,
}

impl Lambda {
    /// Takes timeouts and retries from the template. `retry_delay` stands for the minutes that Lambda waits.
    #[must_use]
    pub fn new(template: &Template, mut functions: Functions, retry_delay: Duration) -> Self {
        let mut deployed = BTreeMap::new();
        for function in &template.functions {
            match functions.remove(&function.name) {
                Some(code) => {
                    let settings = Deployed { function: code, timeout: function.timeout, retries: function.retries };
                    deployed.insert(function.name.clone(), settings);
                }
                None => tracing::warn!(function = function.name, "the template names a function that is not here"),
            }
        }
        for name in functions.keys() {
            tracing::warn!(function = name, "the template does not name this function");
        }
        Self { deployed, running: TaskTracker::new(), slots: Semaphore::new(ASYNC_SLOTS), retry_delay }
    }

    /// Whether there is code for this function.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.deployed.contains_key(name)
    }

    /// Invokes and waits for the answer. Whoever stops waiting does not stop the function.
    ///
    /// # Errors
    /// [`InvocationError`] when there is no answer.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, InvocationError> {
        let deployed = self.deployed.get(name).ok_or_else(|| InvocationError::Unknown(name.to_owned()))?;
        let timeout = deployed.timeout;
        let function = deployed.function.clone();
        // The call itself may panic too, so it is made inside the task.
        let invocation =
            self.running.spawn(async move { tokio::time::timeout(timeout, function.call(event, timeout)).await });
        match invocation.await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(InvocationError::Failed(error)),
            Ok(Err(_)) => Err(InvocationError::TimedOut(timeout)),
            Err(_) => Err(InvocationError::Panicked),
        }
    }

    /// Invokes without waiting, and again after a failure as often as the template says.
    pub fn invoke_async(self: &Arc<Self>, name: String, event: Value) {
        let lambda = Arc::clone(self);
        self.running.spawn(async move {
            let Ok(_slot) = lambda.slots.acquire().await else { return };
            let retries = lambda.deployed.get(&name).map_or(0, |deployed| deployed.retries);
            for attempt in 0..=retries {
                match lambda.invoke(&name, event.clone()).await {
                    Ok(_) => return,
                    Err(error) => tracing::warn!(function = name, attempt, %error, "asynchronous invocation failed"),
                }
                if attempt < retries {
                    tokio::time::sleep(lambda.retry_delay).await;
                }
            }
            tracing::error!(function = name, "gave up on an event; deployed, it would be in the dead-letter queue");
        });
    }

    /// How many invocations run or wait for their turn.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// Waits until nothing runs.
    pub async fn finish(&self) {
        self.running.close();
        self.running.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use capstan_emulators::template::Trigger;

    use super::*;

    const TEMPLATE: &str = "Resources:
  F: { Type: 'AWS::Serverless::Function', Metadata: { BuildProperties: { Binary: f } }, Properties: { Timeout: 1 } }";

    fn lambda(function: Function) -> Lambda {
        let template = Template::parse(TEMPLATE, &[]).unwrap();
        Lambda::new(&template, Functions::from([("f".to_owned(), function)]), Duration::ZERO)
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_is_stopped_at_its_timeout() {
        let lambda = lambda(Function::new(|_, _| std::future::pending::<Result<Value, String>>()));
        let error = lambda.invoke("f", Value::Null).await.unwrap_err();
        assert_eq!(error, InvocationError::TimedOut(Duration::from_secs(1)));
        assert_eq!(lambda.in_flight(), 0);
    }

    #[test]
    fn timeouts_are_shorter_than_leases() {
        let template = Template::of_this_project().unwrap();
        let timeout = |name: &str| template.functions.iter().find(|function| function.name == name).unwrap().timeout;
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        assert!(pipeline::process_recording::LONGEST < timeout("process-recording"));
        assert!(timeout("run-due-work") < seconds(pipeline::run_due_work::INVOCATION_SECONDS));
        for function in &template.functions {
            let provider = function.environment.get("PROVIDER_TIMEOUT_SECONDS").map(|seconds| seconds.parse().unwrap());
            assert!(
                provider.is_none_or(|provider| Duration::from_secs(provider) < function.timeout),
                "{}",
                function.name
            );
        }
        assert!(timeout("run-transcription") < seconds(capstan_domain::TRANSCRIPTION_LEASE_SECONDS));
        for function in &template.functions {
            let is_called = function.triggers.iter().any(|trigger| matches!(trigger, Trigger::Http { .. }));
            let longest = seconds(capstan_domain::RUNNING_SECONDS);
            assert!(!is_called || function.timeout < longest, "{} holds its Idempotency-Key", function.name);
        }
    }

    #[tokio::test]
    async fn an_unknown_function_is_an_error() {
        let lambda = lambda(Function::new(|event, _| async { Ok::<_, String>(event) }));
        assert!(lambda.has("f") && !lambda.has("g"));
        assert_eq!(lambda.invoke("g", Value::Null).await, Err(InvocationError::Unknown("g".to_owned())));
        assert_eq!(lambda.invoke("f", Value::from(1)).await, Ok(Value::from(1)));
    }

    #[tokio::test]
    async fn whoever_stops_waiting_does_not_stop_the_function() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sender = std::sync::Mutex::new(Some(sender));
        let lambda = lambda(Function::new(move |_, _| {
            let sender = sender.lock().unwrap().take().unwrap();
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                sender.send(()).map(|()| Value::Null).map_err(|()| "nobody waits")
            }
        }));
        let waiting = tokio::time::timeout(Duration::from_millis(5), lambda.invoke("f", Value::Null));
        assert!(waiting.await.is_err());
        receiver.await.unwrap();
    }
}
