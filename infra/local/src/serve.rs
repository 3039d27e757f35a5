//! A stack that keeps its data: what `cargo run` starts.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use capstan_domain::Error;
use capstan_emulators::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, Storage};
use capstan_lambda::Clock;
use capstan_store::Store;

use crate::data_dir::{DataDirectory, DataDirectoryError};
use crate::first_run::FirstProject;
use crate::functions;
use crate::local_env::LocalEnv;
use crate::providers;
use crate::stack::{Options, Stack, StackError};

/// Lambda waits one minute, then two; nobody who watches one machine does.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Why a kept stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDirectory(#[from] DataDirectoryError),
    /// The stack did not start.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The first project cannot be stored.
    #[error("cannot store the first project: {0}")]
    FirstProject(#[from] Error),
    /// `local.env` cannot be read or written.
    #[error("cannot use local.env: {0}")]
    LocalEnv(#[from] std::io::Error),
}

/// A running stack with its data directory.
#[derive(Debug)]
pub struct Server {
    /// The stack.
    pub stack: Stack,
    /// Who uses it.
    pub project: FirstProject,
    /// Whether this start made the project.
    pub is_new: bool,
    directory: DataDirectory,
}

impl Server {
    /// Starts a stack on a data directory, with its API on `port`. Its functions tell the time by `clock`.
    ///
    /// # Errors
    /// [`ServeError`] when the directory or the port is taken.
    pub async fn start(data_directory: &Path, port: u16, clock: Clock) -> Result<Self, ServeError> {
        let directory = DataDirectory::open(data_directory)?;
        let env_path = LocalEnv::path(directory.path());
        let written = LocalEnv::read(&env_path)?.unwrap_or_default();
        let stack = Stack::start(Options {
            storage: Storage::Directory(directory.aws()),
            port,
            aws_port: aws_port(&written, port),
            functions: functions::of_this_project(clock),
            retry_delay: RETRY_DELAY,
            run_schedules: true,
            parameters: Vec::new(),
            variables: providers::of_environment(),
            called_back: false,
        })
        .await?;
        let known = FirstProject::from_env(&written);
        let is_new = known.is_none();
        let project = known.map_or_else(FirstProject::new, Ok)?;
        // Written down before it is stored: after a kill in between, the next start stores the same keys.
        env_of(&stack, &project).write(&env_path)?;
        let table = stack.template().tables.first().map(|table| table.name().to_owned()).unwrap_or_default();
        project.register(&Store::new(stack.emulators().dynamodb(), table)).await?;
        Ok(Self { stack, project, is_new, directory })
    }

    /// Where the data is.
    #[must_use]
    pub fn data_directory(&self) -> &Path {
        self.directory.path()
    }
}

/// The port of an earlier start, so that signed URLs outlive a restart; else the one behind the API's; else any.
fn aws_port(written: &LocalEnv, api_port: u16) -> u16 {
    let earlier =
        written.get("AWS_ENDPOINT_URL_S3").and_then(|url| url.rsplit_once(':')).and_then(|(_, port)| port.parse().ok());
    let behind = api_port.checked_add(1).filter(|_| api_port != 0);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    earlier.into_iter().chain(behind).find(is_free).unwrap_or(0)
}

fn env_of(stack: &Stack, project: &FirstProject) -> LocalEnv {
    let mut env = LocalEnv::default();
    env.set("CAPSTAN_URL", stack.url());
    project.write_to(&mut env);
    let aws = stack.emulators().endpoint_url();
    for service in ["DYNAMODB", "S3", "EVENTBRIDGE"] {
        env.set(&format!("AWS_ENDPOINT_URL_{service}"), &aws);
    }
    env.set("AWS_REGION", REGION);
    env.set("AWS_DEFAULT_REGION", REGION);
    env.set("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID);
    env.set("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    // Nothing out there can call here.
    env.set("API_URL", "");
    for function in &stack.template().functions {
        let variables = function.environment.iter();
        // How much the deployed functions log is no business of a shell that joins.
        for (name, value) in variables.filter(|(name, _)| *name != "RUST_LOG") {
            env.set_if_absent(name, value);
        }
    }
    env
}
