//! In-process emulators of DynamoDB, S3 and EventBridge on loopback, for tests and for the local stack.
//!
//! All three services share one port; the `X-Amz-Target` header selects the service. An unmodified AWS SDK works with
//! the emulators once its endpoint is set. Each function's requests are checked against its IAM policies from the
//! template.

mod calls;
mod capacity;
mod events;
mod faults;
mod objects;
mod outbox;
pub mod peer;
mod policy;
mod server;
mod table;
pub mod template;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use s3s::service::S3ServiceBuilder;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

pub use calls::{Call, Service};
pub use capacity::Consumed;
pub use events::BusEvent;
pub use faults::{Crash, Fault, Faults};
pub use objects::CorsRule;
pub use policy::{Denial, Permission};
pub use table::TableDefinition;

use crate::calls::Log;
use crate::objects::{CorsRules, Objects};
use crate::outbox::Outbox;
use crate::policy::Policies;
use crate::server::Services;
use crate::template::Template;

/// AWS region of all emulated resources.
pub const REGION: &str = "us-east-1";
/// AWS account ID of all emulated resources.
pub const ACCOUNT: &str = "000000000000";
/// Access key of the operator, which has all permissions. Each function in the template has its own access key.
pub const ACCESS_KEY_ID: &str = "capstan-local";
/// Secret key of every access key. It need not be secret because the emulators listen on loopback only.
pub const SECRET_ACCESS_KEY: &str = "capstan-local-secret";

/// Where the emulators store data.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory and a temporary directory. Deleted when the emulators are dropped.
    Memory,
    /// In this directory, which is created if it does not exist.
    Directory(PathBuf),
}

/// The emulators failed to start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is in use, or binding to loopback failed.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The requested port; 0 means any free port.
        port: u16,
        /// The error from the operating system.
        source: io::Error,
    },
    /// The directory for S3 objects cannot be read or written.
    #[error("cannot open the object store: {0}")]
    Objects(#[from] io::Error),
    /// The database cannot be opened, or creating a table failed.
    #[error("cannot open the database: {0}")]
    Database(String),
}

/// Running emulators. Dropping this value stops them.
#[derive(Debug)]
pub struct Emulators {
    address: SocketAddr,
    calls: Log<Call>,
    consumed: Log<Consumed>,
    faults: Faults,
    cors: CorsRules,
    policies: Policies,
    objects: Objects,
    database: table::Database,
    object_created: Mutex<UnboundedReceiver<Value>>,
    events: Mutex<UnboundedReceiver<BusEvent>>,
    put_events: Outbox<BusEvent>,
    /// Number of S3 notifications and events sent so far.
    sent: Arc<AtomicU64>,
    tasks: [AbortHandle; 2],
    /// Temporary directory for [`Storage::Memory`]. Deleted on drop.
    _scratch: Option<tempfile::TempDir>,
}

impl Emulators {
    /// Start the emulators on a free port.
    ///
    /// # Errors
    ///
    /// Returns an error if the stored data cannot be opened.
    pub async fn start(storage: Storage) -> Result<Self, StartError> {
        Self::start_on(0, storage).await
    }

    /// Start the emulators on `port`; 0 means any free port.
    ///
    /// # Errors
    ///
    /// Returns an error if the port is in use or the stored data cannot be opened.
    pub async fn start_on(port: u16, storage: Storage) -> Result<Self, StartError> {
        let listener = listen(port).await?;
        let address = local_address(&listener)?;
        let (scratch, database, objects_root) = match storage {
            Storage::Memory => {
                let scratch = tempfile::tempdir()?;
                let root = scratch.path().to_owned();
                (Some(scratch), table::Database::in_memory()?, root)
            }
            Storage::Directory(root) => {
                std::fs::create_dir_all(&root)?;
                let database = table::Database::in_file(&root.join("dynamodb.sqlite"))?;
                (None, database, root.join("s3"))
            }
        };
        let sent = Arc::new(AtomicU64::new(0));
        let (created_sender, object_created) = Outbox::new(&sent);
        let (event_sender, events) = Outbox::new(&sent);
        let policies = Policies::default();
        let objects = Objects::open(&objects_root, created_sender, policies.clone())?;

        let database_listener = listen(0).await?;
        let database_address = local_address(&database_listener)?;
        let serving = database.clone().serve(database_listener);
        let database_task = tokio::spawn(serving).abort_handle();

        let mut s3 = S3ServiceBuilder::new(objects.clone());
        s3.set_auth(policies.clone());
        s3.set_access(policies.clone());
        let (calls, consumed) = (Log::default(), Log::default());
        let faults = Faults::default();
        let cors = CorsRules::default();
        let services = Services {
            calls: calls.clone(),
            consumed: consumed.clone(),
            faults: faults.clone(),
            policies: policies.clone(),
            s3: s3.build(),
            cors: cors.clone(),
            dynamodb: database_address.to_string(),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            events: event_sender.clone(),
        };
        let server_task = tokio::spawn(server::serve(listener, Arc::new(services))).abort_handle();
        Ok(Self {
            address,
            calls,
            consumed,
            faults,
            cors,
            policies,
            objects,
            database,
            object_created: Mutex::new(object_created),
            events: Mutex::new(events),
            put_events: event_sender,
            sent,
            tasks: [server_task, database_task],
            _scratch: scratch,
        })
    }

    /// Create the missing tables and buckets of `template`, and enforce its IAM policies.
    ///
    /// # Errors
    ///
    /// Returns an error if a table or a bucket cannot be created.
    pub fn create_resources(&self, template: &Template) -> Result<(), StartError> {
        for table in &template.tables {
            self.create_table(table)?;
        }
        for bucket in &template.buckets {
            self.create_bucket(&bucket.name, bucket.cors.clone())?;
        }
        self.policies.enforce(template);
        Ok(())
    }

    /// Create a table if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the definition is invalid.
    pub fn create_table(&self, definition: &TableDefinition) -> Result<(), StartError> {
        self.database.create_table(definition)
    }

    /// Create a bucket if it does not exist, and replace its CORS rules.
    ///
    /// # Errors
    ///
    /// Returns an error if the bucket's directory cannot be created.
    pub fn create_bucket(&self, name: &str, cors: Vec<CorsRule>) -> Result<(), StartError> {
        self.cors.set(name, cors);
        Ok(self.objects.create_bucket_if_absent(name)?)
    }

    /// Endpoint URL of all three services.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SDK configuration for these emulators with the operator's credentials.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(&self.endpoint_url())
    }

    /// DynamoDB client with the operator's credentials.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk_config())
    }

    /// S3 client with the operator's credentials. The SDK uses path-style URLs because the endpoint is an IP address.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.sdk_config())
    }

    /// EventBridge client with the operator's credentials.
    #[must_use]
    pub fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.sdk_config())
    }

    /// All calls in order of arrival, retries included, except calls removed by [`Self::take_calls`].
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.all()
    }

    /// Remove and return the recorded calls, formatted as `dynamodb:PutItem`, `s3:GetObject` or `events:PutEvents`.
    #[must_use]
    pub fn take_calls(&self) -> Vec<String> {
        self.calls.take().iter().map(ToString::to_string).collect()
    }

    /// Remove and return the recorded capacity of DynamoDB calls.
    #[must_use]
    pub fn take_consumed(&self) -> Vec<Consumed> {
        self.consumed.take()
    }

    /// Fault injection for subsequent calls.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Calls that were denied by the calling function's policies.
    #[must_use]
    pub fn denials(&self) -> Vec<Denial> {
        self.policies.denials()
    }

    /// Permissions that no call has needed so far: without any one of them, every call would still be allowed.
    #[must_use]
    pub fn unneeded_permissions(&self) -> Vec<Permission> {
        self.policies.unneeded()
    }

    /// Wait for the next S3 notification, in the form of the event that a function triggered by S3 receives.
    pub async fn next_object_created(&self) -> Option<Value> {
        self.object_created.lock().await.recv().await
    }

    /// Wait for the next event published to a bus.
    pub async fn next_event(&self) -> Option<BusEvent> {
        self.events.lock().await.recv().await
    }

    /// Number of S3 notifications and events since the start, including those already received.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// All events published since the start, in order, including those already received.
    #[must_use]
    pub fn events(&self) -> Vec<BusEvent> {
        self.put_events.all()
    }

    /// Remove and return the S3 notifications that were not received yet.
    pub async fn take_object_created(&self) -> Vec<Value> {
        drain(&mut *self.object_created.lock().await)
    }

    /// Remove and return the events that were not received yet.
    pub async fn take_events(&self) -> Vec<BusEvent> {
        drain(&mut *self.events.lock().await)
    }
}

/// SDK configuration for the emulators at `endpoint_url` with the operator's credentials.
///
/// Failed calls are retried twice, with a backoff of 2 to 20 ms.
#[must_use]
pub fn sdk_config(endpoint_url: &str) -> SdkConfig {
    let retries = RetryConfig::standard()
        .with_initial_backoff(Duration::from_millis(2))
        .with_max_backoff(Duration::from_millis(20));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(credentials(ACCESS_KEY_ID))
        .endpoint_url(endpoint_url)
        // Plain HTTP: loading the system's TLS certificates would slow down every new client.
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(retries)
        .build()
}

/// The same configuration with the credentials of a function, so that its policies apply.
#[must_use]
pub fn sdk_config_of(function: &str, configuration: &SdkConfig) -> SdkConfig {
    configuration.to_builder().credentials_provider(credentials(function)).build()
}

fn credentials(access_key_id: &str) -> SharedCredentialsProvider {
    let credentials = Credentials::new(access_key_id, SECRET_ACCESS_KEY, None, None, "capstan-emulators");
    SharedCredentialsProvider::new(credentials)
}

impl Drop for Emulators {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn drain<T>(receiver: &mut UnboundedReceiver<T>) -> Vec<T> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|source| StartError::Listen { port, source })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { port: 0, source })
}
