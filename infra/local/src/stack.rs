//! The whole deployment in one process: emulated AWS, functions, gateway, triggers.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use capstan_emulators::template::{Template, TemplateError};
use capstan_emulators::{Emulators, StartError, Storage};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::gateway::Gateway;
use crate::lambda::{Functions, Lambda};

/// Makes the functions, given what their AWS clients need and the template with their environments.
pub type MakeFunctions = Box<dyn FnOnce(SdkConfig, Template) -> MadeFunctions + Send>;
/// The functions, or why one of them cannot start.
pub type MadeFunctions = Pin<Box<dyn Future<Output = Result<Functions, String>> + Send>>;

/// How a stack is run.
pub struct Options {
    /// Where data is kept.
    pub storage: Storage,
    /// The port of the API; 0 is any free one.
    pub port: u16,
    /// The port of the emulated AWS; 0 is any free one.
    pub aws_port: u16,
    /// Parameters of the template that do not have their defaults. Policies depend on them.
    pub parameters: Vec<(&'static str, String)>,
    /// Constructors of the functions.
    pub functions: MakeFunctions,
    /// Delay before an asynchronous invocation is retried. Lambda waits minutes.
    pub retry_delay: Duration,
    /// Whether the clock invokes the scheduled functions; if not, [`Bus::tick`] does.
    pub run_schedules: bool,
    /// Environment variables of every function, in place of the parameters and secrets of a deployment.
    pub variables: BTreeMap<String, String>,
    /// Whether transcription providers can reach the API: only if they run here too.
    pub called_back: bool,
}

impl Options {
    /// Options for tests: storage in memory, any port, quick retries, no schedules.
    #[must_use]
    pub fn for_tests(functions: MakeFunctions) -> Self {
        Self {
            storage: Storage::Memory,
            port: 0,
            aws_port: 0,
            parameters: Vec::new(),
            functions,
            retry_delay: Duration::from_millis(5),
            run_schedules: false,
            variables: BTreeMap::new(),
            called_back: true,
        }
    }
}

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The port of the API is taken.
    #[error("port {port} is taken: choose another with --port ({source})")]
    Listen {
        /// The port.
        port: u16,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The template cannot be read.
    #[error("template.yaml: {0}")]
    Template(#[from] TemplateError),
    /// The emulated AWS did not start.
    #[error(transparent)]
    Emulators(#[from] StartError),
    /// A rule or a function is not right.
    #[error("{0}")]
    Functions(String),
}

/// A running stack. It stops when this is dropped; [`Stack::stop`] lets it finish its work.
#[derive(Debug)]
pub struct Stack {
    address: SocketAddr,
    template: Template,
    emulators: Arc<Emulators>,
    bus: Arc<Bus>,
    lambda: Arc<Lambda>,
    stop: CancellationToken,
    gateway: tokio::task::JoinHandle<()>,
    tasks: Vec<AbortHandle>,
}

impl Stack {
    /// Starts everything.
    ///
    /// # Errors
    /// [`StackError`] when a port is taken, data cannot be opened or the template is not understood.
    pub async fn start(options: Options) -> Result<Self, StackError> {
        let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await;
        let listener = listen.map_err(|source| StackError::Listen { port: options.port, source })?;
        let local = listener.local_addr();
        let address = local.map_err(|source| StackError::Listen { port: options.port, source })?;

        let parameters: Vec<_> = options.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let template = Template::of_this_project_with(&parameters)?;
        let emulators = Arc::new(Emulators::start_on(options.aws_port, options.storage).await?);
        emulators.create_resources(&template)?;
        let api_url = if options.called_back { format!("http://{address}") } else { String::new() };
        let mut deployed = template.clone();
        for function in &mut deployed.functions {
            function.environment.extend(options.variables.clone());
            function.environment.insert("API_URL".to_owned(), api_url.clone());
        }
        let functions = (options.functions)(emulators.sdk_config(), deployed).await.map_err(StackError::Functions)?;
        let lambda = Arc::new(Lambda::new(&template, functions, options.retry_delay));
        let bus = Bus::new(&template, Arc::clone(&emulators), Arc::clone(&lambda)).map_err(StackError::Functions)?;
        let bus = Arc::new(bus);

        let mut tasks = Vec::new();
        let delivering = Arc::clone(&bus);
        tasks.push(tokio::spawn(async move { delivering.run().await }).abort_handle());
        if options.run_schedules {
            let scheduling = Arc::clone(&bus);
            tasks.push(tokio::spawn(async move { scheduling.run_schedules().await }).abort_handle());
        }
        let stop = CancellationToken::new();
        let gateway = Arc::new(Gateway::new(&template, Arc::clone(&lambda)));
        let gateway = tokio::spawn(gateway.serve(listener, stop.clone()));
        Ok(Self { address, template, emulators, bus, lambda, stop, gateway, tasks })
    }

    /// Where the API answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The template that this stack runs.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The emulated AWS, with its record of calls and its faults.
    #[must_use]
    pub fn emulators(&self) -> &Emulators {
        &self.emulators
    }

    /// The events under way, to hold back, repeat, reorder or lose them.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Takes no more requests, finishes those under way and the invocations they caused, then stops.
    /// Work that is not done after `patience` is cut off. No acknowledged write is lost.
    pub async fn stop(mut self, patience: Duration) {
        self.stop.cancel();
        let finish = async {
            let _ = (&mut self.gateway).await;
            for task in &self.tasks {
                task.abort();
            }
            self.lambda.finish().await;
        };
        if tokio::time::timeout(patience, finish).await.is_err() {
            tracing::warn!("stopped with work under way; the next start takes it up");
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.gateway.abort();
        for task in &self.tasks {
            task.abort();
        }
    }
}
