//! A local stack with a project, on which every billable call is counted.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use capstan_domain::{CredentialHash, Timestamp};
use capstan_emulators::Service;
use capstan_emulators::template::Template;
use capstan_lambda::Clock;
use capstan_local::client::Client;
use capstan_local::first_run::FirstProject;
use capstan_local::lambda::Function;
use capstan_local::{Options, Stack, functions, keys};
use capstan_store::Store;
use http::Method;
use serde_json::Value;

use crate::count::Count;

/// Number of invocations by function name. Clones share the counters.
#[derive(Clone, Default)]
struct Invocations(Arc<Mutex<BTreeMap<String, u64>>>);

impl Invocations {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counting(&self, name: &str, function: Function) -> Function {
        let (invocations, name) = (self.clone(), name.to_owned());
        Function::new(move |event, timeout| {
            *invocations.lock().entry(name.clone()).or_default() += 1;
            let function = function.clone();
            async move { function.call(event, timeout).await }
        })
    }
}

pub(crate) struct Metered {
    pub(crate) stack: Stack,
    pub(crate) project: FirstProject,
    client: Client,
    api_requests: AtomicU64,
    invocations: Invocations,
}

impl Metered {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let invocations = Invocations::default();
        let counting = invocations.clone();
        // Keep the clock within one minute: crossing a minute would move the recording in the index of due work, which costs
        // write units. Advance it by 1 ms per reading so that IDs are ordered by creation.
        let (began, readings) = (Clock::system().now().whole_seconds(), AtomicI64::new(0));
        let make = functions::of_this_project(Clock::telling(move || {
            let milliseconds = began.milliseconds() + 1 + readings.fetch_add(1, Ordering::SeqCst).min(998);
            Timestamp::from_milliseconds(milliseconds).unwrap_or(began)
        }));
        let stack = Stack::start(Options::for_tests(Box::new(move |aws, template| {
            Box::pin(async move {
                let functions = make(aws, template).await?.into_iter();
                Ok(functions.map(|(name, function)| (name.clone(), counting.counting(&name, function))).collect())
            })
        })));
        let stack = stack.await?;
        let table = stack.template().tables.first().map(|table| table.name().to_owned()).unwrap_or_default();
        let store = Store::new(stack.emulators().dynamodb(), table);
        let project = FirstProject::new()?;
        project.register(&store).await?;
        // The use of an API key is recorded once an hour. Do so now to exclude that write from the count.
        let hash = CredentialHash::of(&project.api_key);
        let key = store.credential(&hash).await?.ok_or("the API key is not stored")?;
        store.record_use(&hash, &key, keys::now()).await?;
        let client = Client::new(&stack.url());
        let metered = Self { stack, project, client, api_requests: AtomicU64::new(0), invocations };
        let _ = metered.take();
        Ok(metered)
    }

    pub(crate) fn template(&self) -> &Template {
        self.stack.template()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Box<dyn Error>> {
        self.call(Method::GET, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Box<dyn Error>> {
        self.api_requests.fetch_add(1, Ordering::SeqCst);
        Ok(self.client.call(method, path, &self.project.api_key, body).await?)
    }

    /// Upload bytes to a presigned URL with the signed headers.
    pub(crate) async fn put(&self, url: &Value, headers: &Value, bytes: Vec<u8>) -> Result<(), Box<dyn Error>> {
        let headers = headers.as_object().into_iter().flatten();
        let headers: Vec<_> =
            headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        let (url, size) = (url.as_str().ok_or("the response has no presigned URL")?, bytes.len() as u64);
        Ok(self.client.put(url, &headers, std::io::Cursor::new(bytes), size, |_| {}).await?)
    }

    /// Download from a presigned URL.
    pub(crate) async fn fetch(&self, url: &Value) -> Result<(), Box<dyn Error>> {
        let url = url.as_str().ok_or("the response has no presigned URL")?;
        Ok(self.client.get(url, &mut tokio::io::sink()).await?)
    }

    /// Usage since the previous call.
    pub(crate) fn take(&self) -> Count {
        let emulators = self.stack.emulators();
        let mut count = Count {
            api_requests: self.api_requests.swap(0, Ordering::SeqCst),
            invocations: std::mem::take(&mut self.invocations.lock()),
            ..Count::default()
        };
        for call in emulators.calls() {
            match call.service {
                Service::S3 => *count.s3.entry(call.operation).or_default() += 1,
                Service::EventBridge => count.events += 1,
                Service::DynamoDb => {}
            }
        }
        let _ = emulators.take_calls();
        for consumed in emulators.take_consumed() {
            let units = count.dynamodb.entry(consumed.operation).or_default();
            units.calls += 1;
            units.read += consumed.read;
            units.write += consumed.write;
        }
        count
    }
}
