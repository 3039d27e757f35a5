//! DynamoDB, S3 and EventBridge on loopback, in this process, for tests and for the one-machine stack.
//!
//! All three answer on one port, told apart by the `X-Amz-Target` header. What they take is what the services take:
//! the AWS SDK talks to them with nothing changed but its endpoint. What a function asks for is held against the policies
//! that the template gives it.

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

/// The region that everything is in.
pub const REGION: &str = "us-east-1";
/// The account that everything belongs to.
pub const ACCOUNT: &str = "000000000000";
/// The operator's access key, which may do everything. Each function of a template has its own.
pub const ACCESS_KEY_ID: &str = "capstan-local";
/// The secret of every access key. It guards nothing: the emulators listen on loopback only.
pub const SECRET_ACCESS_KEY: &str = "capstan-local-secret";

/// Where data is kept.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Gone when the emulators are dropped.
    Memory,
    /// Kept in this directory, which is created.
    Directory(PathBuf),
}

/// Why the emulators did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or loopback cannot be listened on.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port that was asked for; 0 is any.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// The objects' directory cannot be read or written.
    #[error("cannot open the objects: {0}")]
    Objects(#[from] io::Error),
    /// The database cannot be opened, or refused a table.
    #[error("cannot open the database: {0}")]
    Database(String),
}

/// The running emulators. They stop when this is dropped.
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
    /// How many notifications and events there were.
    sent: Arc<AtomicU64>,
    tasks: [AbortHandle; 2],
    /// Removed with the last reference to the objects.
    _scratch: Option<tempfile::TempDir>,
}

impl Emulators {
    /// Starts on a free port.
    ///
    /// # Errors
    ///
    /// When the data cannot be opened.
    pub async fn start(storage: Storage) -> Result<Self, StartError> {
        Self::start_on(0, storage).await
    }

    /// Starts on `port`; 0 is any free one.
    ///
    /// # Errors
    ///
    /// When the port is taken or the data cannot be opened.
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

    /// Makes the tables and buckets of `template` that are not there yet, and puts its policies in force.
    ///
    /// # Errors
    ///
    /// When the database or the disk refuses.
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

    /// Makes a table unless it is there.
    ///
    /// # Errors
    ///
    /// When DynamoDB would refuse the definition.
    pub fn create_table(&self, definition: &TableDefinition) -> Result<(), StartError> {
        self.database.create_table(definition)
    }

    /// Makes a bucket unless it is there, and sets its rules for browsers.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn create_bucket(&self, name: &str, cors: Vec<CorsRule>) -> Result<(), StartError> {
        self.cors.set(name, cors);
        Ok(self.objects.create_bucket_if_absent(name)?)
    }

    /// Where all three services answer.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What an AWS client of the operator's needs to talk to these emulators.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(&self.endpoint_url())
    }

    /// A DynamoDB client.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk_config())
    }

    /// An S3 client. (The SDK itself uses path style with an endpoint that is an IP address.)
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.sdk_config())
    }

    /// An EventBridge client.
    #[must_use]
    pub fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.sdk_config())
    }

    /// Every call so far, retries included, in order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.all()
    }

    /// The calls since the last time this was asked, as `dynamodb:PutItem`, `s3:GetObject`, `events:PutEvents`.
    #[must_use]
    pub fn take_calls(&self) -> Vec<String> {
        self.calls.take().iter().map(ToString::to_string).collect()
    }

    /// What DynamoDB charged for since the last time this was asked.
    #[must_use]
    pub fn take_consumed(&self) -> Vec<Consumed> {
        self.consumed.take()
    }

    /// The faults to come.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The calls of functions that their policies did not allow.
    #[must_use]
    pub fn denials(&self) -> Vec<Denial> {
        self.policies.denials()
    }

    /// What could be taken from the functions' policies without a call since the start having been denied.
    #[must_use]
    pub fn unneeded_permissions(&self) -> Vec<Permission> {
        self.policies.unneeded()
    }

    /// Waits for the next S3 notification: the event of a function that S3 triggers.
    pub async fn next_object_created(&self) -> Option<Value> {
        self.object_created.lock().await.recv().await
    }

    /// Waits for the next event that was put on a bus.
    pub async fn next_event(&self) -> Option<BusEvent> {
        self.events.lock().await.recv().await
    }

    /// How many S3 notifications and events there were since the start, taken or not.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Every event that was put on a bus since the start, taken or not, in order.
    #[must_use]
    pub fn events(&self) -> Vec<BusEvent> {
        self.put_events.all()
    }

    /// The S3 notifications that nobody took yet.
    pub async fn take_object_created(&self) -> Vec<Value> {
        drain(&mut *self.object_created.lock().await)
    }

    /// The events that nobody took yet.
    pub async fn take_events(&self) -> Vec<BusEvent> {
        drain(&mut *self.events.lock().await)
    }
}

/// What an AWS client of the operator's needs to talk to the emulators at `endpoint_url`. It repeats a failed call twice,
/// after milliseconds.
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
        // Without TLS a client is made in microseconds: nothing reads the system's certificates.
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(retries)
        .build()
}

/// The same for the function of that name, which may do what its policies allow.
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
