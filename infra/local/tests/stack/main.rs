//! The stack with functions made for the test: gateway, triggers, retries, shutdown.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod areas;
mod crashes;
mod deploy_check;
mod files;
mod flow;
mod gateway;
mod json;
mod keys;
mod kill;
mod leaks;
mod matrix;
mod meetings;
mod notifications;
mod owners;
mod parts;
mod permissions;
mod process;
mod proxy;
mod recorders;
mod repeats;
mod states;
mod throttling;
mod transcription;
mod triggers;
mod upload;
mod uploads;
mod world;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use capstan_local::lambda::{Function, Functions};
use capstan_local::{Options, Stack};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Events in the order in which functions saw them.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<Value>>>);

impl Seen {
    /// A function that notes its event and answers with `answer`.
    fn answering(&self, answer: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static) -> Function {
        let seen = self.clone();
        let answer = Arc::new(answer);
        Function::new(move |event: Value, _| {
            seen.0.lock().unwrap().push(event.clone());
            let answered = answer(&event);
            async move { answered }
        })
    }

    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A stack with one function.
async fn stack(name: &str, function: Function) -> Stack {
    let functions = Functions::from([(name.to_owned(), function)]);
    Stack::start(Options::for_tests(Box::new(move |_, _| Box::pin(async { Ok(functions) })))).await.unwrap()
}

/// How often a state is polled before a test fails: 5 minutes and more, for machines that are busy with other work.
const POLLS: u32 = 30_000;

/// Polls a recording every 10 ms until its status is `completed` or `failed`.
async fn ended(what: &str, get: impl AsyncFn() -> Value) -> Value {
    let mut recording = Value::Null;
    for _ in 0..POLLS {
        recording = get().await;
        if matches!(recording["status"].as_str(), Some("completed" | "failed")) {
            return recording;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: still not processed after {POLLS} polls: {recording}");
}

async fn send(request: Request<Full<Bytes>>) -> Response<Bytes> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}
