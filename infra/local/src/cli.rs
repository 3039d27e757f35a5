//! The command line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use capstan_domain::{Error, Grant, KeyId, Mode, ProjectId, Tenant};
use capstan_emulators::template::Template;
use capstan_emulators::{Emulators, Storage};
use capstan_lambda::Clock;
use capstan_store::Store;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;

use crate::data_dir::{DataDirectory, DataDirectoryError};
use crate::demo::{self, Outcome, Parties};
use crate::deploy_check::{self, Architecture};
use crate::keys;
use crate::local_env::LocalEnv;
use crate::providers;
use crate::serve::{ServeError, Server};
use crate::upload;

/// How long requests and invocations under way may take once Ctrl-C was pressed.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Capstan on one machine: the deployed stack in one process.
#[derive(Debug, Parser)]
#[command(name = "capstan", version)]
pub struct Cli {
    /// Directory of all data.
    #[arg(long, value_name = "DIRECTORY", default_value = ".capstan", global = true)]
    data_dir: PathBuf,
    /// The port of the API [default: 3000, for `demo` any free one].
    #[arg(long, global = true)]
    port: Option<u16>,
    /// Seconds by which the functions' clock is ahead, so that later work becomes due now. For tests.
    #[arg(long, hide = true, global = true, value_name = "SECONDS", default_value_t = 0)]
    clock_ahead: i64,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Upload a recording as a device would, and show the result.
    Demo {
        /// File to upload [default: the sample in the repository].
        file: Option<PathBuf>,
    },
    /// Upload files to a local or deployed Capstan. Resumes interrupted uploads.
    #[command(after_help = upload::AFTER_HELP)]
    Upload(upload::Arguments),
    /// Manage the API keys of a project.
    #[command(subcommand)]
    Keys(Keys),
    /// List what is missing for `sam build && sam deploy --guided`. Changes nothing.
    DeployCheck {
        /// Processor of the functions.
        #[arg(long, value_enum, default_value = "arm64")]
        architecture: Architecture,
    },
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// List the keys of a project with permissions, last use and status, including ended and revoked keys.
    List(ListedKeys),
    /// Create a key. It is shown once. For device tokens use `POST /v1/devices/{id}/bind`.
    Create(NewKey),
    /// Create a key with the permissions of an old key, which ends after the overlap. It is shown once.
    Rotate(RotatedKey),
    /// Revoke a key. It is refused within five seconds. Revoking it again changes nothing.
    Revoke(NamedKey),
}

#[derive(Debug, Args)]
struct ListedKeys {
    /// The project [default: that of the local stack's first start].
    #[arg(long)]
    project: Option<ProjectId>,
    #[command(flatten)]
    location: KeyLocation,
}

#[derive(Debug, Args)]
struct RotatedKey {
    #[command(flatten)]
    key: NamedKey,
    /// Time for which the old key stays valid, so that its users can switch. Use 0 for a leaked key.
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    overlap: u32,
}

#[derive(Debug, Args)]
struct NamedKey {
    /// The key's id, `key_...`, as `keys list` shows it.
    key_id: KeyId,
    #[command(flatten)]
    location: KeyLocation,
}

/// The table that holds the keys.
#[derive(Debug, Args)]
struct KeyLocation {
    /// Table of a deployment, accessed with the AWS credentials of the environment [default: the local table].
    #[arg(long)]
    table: Option<String>,
}

#[derive(Debug, Args)]
struct NewKey {
    /// Project of the key.
    #[arg(long)]
    project: ProjectId,
    /// Kind of the key.
    #[arg(long, value_enum, default_value_t = Kind::Secret)]
    kind: Kind,
    /// Mode of the key [default: live with --table, otherwise test].
    #[arg(long, value_enum)]
    mode: Option<KeyMode>,
    /// Scopes of a restricted key, such as `recordings:read,devices:write`. Implies `--kind restricted`.
    #[arg(long, value_name = "LIST")]
    scopes: Option<String>,
    /// Name of the key.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    location: KeyLocation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Secret,
    Restricted,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeyMode {
    Live,
    Test,
}

impl Cli {
    /// Log filter used unless `RUST_LOG` is set.
    #[must_use]
    pub fn log_filter(&self) -> &'static str {
        match self.command {
            // A failed condition is a warning to the emulated DynamoDB, and normal to Capstan.
            // A request that s3s rejects is an error to s3s, and its client gets the reason.
            None => "warn,capstan_lambda=info,dynoxide=error,s3s=off",
            // The progress is the output.
            Some(_) => "error,s3s=off",
        }
    }

    /// Runs the command. `false` after a failure that is printed already.
    ///
    /// # Errors
    /// The failure, in one line.
    pub async fn run(self) -> Result<bool, Failure> {
        let ahead = self.clock_ahead;
        let clock = Clock::telling(move || keys::now().plus_seconds(ahead));
        match self.command {
            None => serve(&self.data_dir, self.port.unwrap_or(3000), clock).await,
            Some(Command::Demo { file }) => {
                demonstrate(&self.data_dir, self.port.unwrap_or(0), clock, file.as_deref()).await
            }
            Some(Command::Upload(uploaded)) => uploaded.run(&self.data_dir).await,
            Some(Command::Keys(keys)) => keys.run(&self.data_dir).await,
            Some(Command::DeployCheck { architecture }) => check_deployment(architecture).await,
            Some(Command::Openapi) => {
                write!(io::stdout(), "{}", crate::openapi::document()?)?;
                Ok(true)
            }
        }
    }
}

async fn serve(data_dir: &Path, port: u16, clock: Clock) -> Result<bool, Failure> {
    let server = Server::start(data_dir, port, clock).await?;
    greet(&server)?;
    stop_signal().await?;
    writeln!(io::stderr(), "stopping")?;
    server.stack.stop(STOP_PATIENCE).await;
    Ok(true)
}

/// Waits for Ctrl-C or for SIGTERM, which `kill` and `docker stop` send.
async fn stop_signal() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

fn greet(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let env = LocalEnv::path(server.data_directory());
    writeln!(out, "Capstan runs at {}", server.stack.url())?;
    if server.is_new {
        let project = &server.project;
        writeln!(out, "\nA first project was made; its keys are shown this once and kept in {}:", env.display())?;
        writeln!(out, "  project       {}", project.project_id)?;
        writeln!(out, "  end user      {}", project.end_user_id)?;
        writeln!(out, "  device        {}", project.device_id)?;
        writeln!(out, "  secret key    {}", project.api_key)?;
        writeln!(out, "  device token  {}", project.device_token)?;
    }
    writeln!(out, "\nUse it from another shell:")?;
    writeln!(out, "  . {}", env.display())?;
    writeln!(out, "  curl -H \"Authorization: Bearer $CAPSTAN_API_KEY\" $CAPSTAN_URL/v1/recordings")?;
    writeln!(out, "\nCtrl-C stops it; the data stays in {}.", server.data_directory().display())
}

async fn demonstrate(data_dir: &Path, port: u16, clock: Clock, file: Option<&Path>) -> Result<bool, Failure> {
    let upload = demo::Upload::of(file).await?;
    let copies = data_dir.join("demo");
    let outcome = match Server::start(data_dir, port, clock).await {
        Ok(server) => {
            let parties = Parties {
                url: server.stack.url(),
                device_token: server.project.device_token.clone(),
                api_key: server.project.api_key.clone(),
            };
            let outcome = tokio::select! {
                outcome = demo::run(&parties, &upload, &copies) => outcome,
                stopped = stop_signal() => {
                    stopped?;
                    return Err("stopped; the recording is processed at the next start".into());
                }
            };
            server.stack.stop(STOP_PATIENCE).await;
            outcome?
        }
        // Another process serves this data directory: use it.
        Err(ServeError::DataDirectory(DataDirectoryError::InUse(_))) => {
            demo::run(&running(data_dir)?, &upload, &copies).await?
        }
        Err(error) => return Err(error.into()),
    };
    show(&outcome, data_dir)?;
    Ok(outcome.is_completed())
}

/// The stack that runs on this data directory, as its `local.env` describes it.
fn running(data_dir: &Path) -> Result<Parties, Failure> {
    let env = LocalEnv::read(&LocalEnv::path(data_dir))?.unwrap_or_default();
    let get = |name: &str| env.get(name).map(str::to_owned).ok_or_else(|| format!("local.env has no {name}"));
    Ok(Parties {
        url: get("CAPSTAN_URL")?,
        device_token: get("CAPSTAN_DEVICE_TOKEN")?,
        api_key: get("CAPSTAN_API_KEY")?,
    })
}

fn show(outcome: &Outcome, data_dir: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let pretty = serde_json::to_string_pretty(&outcome.recording).unwrap_or_default();
    writeln!(out, "{pretty}\n")?;
    for made in &outcome.files {
        writeln!(out, "{}\n  copy  {}\n  url   {}", made.kind, made.copy.display(), made.download_url)?;
    }
    match &outcome.transcription {
        Some(transcription) => writeln!(out, "transcript\n{}", transcript(transcription))?,
        None if outcome.is_completed() => writeln!(out, "no transcript: {}", providers::HOW)?,
        None => {}
    }
    writeln!(out, "\nThe URLs answer for an hour, while the stack runs: cargo run -- --data-dir {}", data_dir.display())
}

/// The segments with their start times, or why the transcription failed.
fn transcript(transcription: &Value) -> String {
    if let Some(error) = transcription["error"]["message"].as_str() {
        return format!("  failed: {error}");
    }
    let segments = transcription["segments"].as_array().into_iter().flatten();
    let line = |segment: &Value| {
        let speaker = segment["speaker"].as_str().map(|speaker| format!("{speaker}: ")).unwrap_or_default();
        let (start, text) =
            (segment["start"].as_f64().unwrap_or_default(), segment["text"].as_str().unwrap_or_default());
        format!("  {start:>7.1} s  {speaker}{text}")
    };
    segments.map(line).collect::<Vec<_>>().join("\n")
}

/// `false` when something is missing.
async fn check_deployment(architecture: Architecture) -> Result<bool, Failure> {
    let requirements = deploy_check::check(Path::new("."), architecture).await;
    let missing = requirements.iter().filter(|requirement| requirement.found.is_err()).count();
    let mut out = io::stdout().lock();
    write!(out, "{}", deploy_check::screen(&requirements))?;
    match (missing, architecture) {
        (0, Architecture::Arm64) => writeln!(out, "\nsam build && sam deploy --guided")?,
        (0, Architecture::X86_64) => {
            let x86_64 = "--parameter-overrides Architecture=x86_64";
            writeln!(out, "\nsam build {x86_64} && sam deploy --guided {x86_64}")?;
        }
        _ => writeln!(out, "\n{missing} missing; run the command beside each")?,
    }
    Ok(missing == 0)
}

impl Keys {
    async fn run(self, data_dir: &Path) -> Result<bool, Failure> {
        match self {
            Self::List(listed) => {
                let (store, _emulators) = open(&listed.location, data_dir).await?;
                let project = listed.project.map_or_else(|| first_project(data_dir), Ok)?;
                let keys = keys::list(&store, &project).await?;
                write!(io::stdout(), "{}", keys::table(&keys, keys::now()))?;
            }
            Self::Create(key) => {
                let (tenant, grant) = (tenant(&key), grant(&key)?);
                let (store, _emulators) = open(&key.location, data_dir).await?;
                show_key(&keys::create(&store, tenant, grant, key.name).await?)?;
            }
            Self::Rotate(RotatedKey { key, overlap }) => {
                let (store, _emulators) = open(&key.location, data_dir).await?;
                let found = keys::rotate(&store, &key.key_id, overlap).await;
                let rotated = found.map_err(|error| about(&key.key_id, error))?;
                show_key(&rotated.new)?;
                let verb = if rotated.old_ends_at <= keys::now() { "ended" } else { "ends" };
                writeln!(io::stderr(), "{} {verb} {}", key.key_id, rotated.old_ends_at)?;
            }
            Self::Revoke(key) => {
                let (store, _emulators) = open(&key.location, data_dir).await?;
                let found = store.revoke_key(&key.key_id, keys::now()).await;
                let revoked = found.map_err(|error| about(&key.key_id, error))?;
                let at = revoked.revoked_at.map_or_else(String::new, |at| format!(" {at}"));
                writeln!(io::stdout(), "{} revoked{at}", key.key_id)?;
            }
        }
        Ok(true)
    }
}

/// Writes the key alone to standard output, for scripts, and its id to standard error.
fn show_key(key: &keys::NewKey) -> io::Result<()> {
    writeln!(io::stdout(), "{}", key.text)?;
    writeln!(io::stderr(), "{} was created; its text is shown only now", key.id)
}

fn about(key_id: &KeyId, error: Error) -> Failure {
    match error {
        Error::NotFound { .. } => format!("there is no key {key_id}").into(),
        error => error.into(),
    }
}

fn tenant(key: &NewKey) -> Tenant {
    let mode = match key.mode {
        Some(KeyMode::Live) => Mode::Live,
        Some(KeyMode::Test) => Mode::Test,
        None if key.location.table.is_some() => Mode::Live,
        None => Mode::Test,
    };
    Tenant { project_id: key.project.clone(), mode }
}

/// The project that the first start of the local stack created.
fn first_project(data_dir: &Path) -> Result<ProjectId, Failure> {
    let env = LocalEnv::read(&LocalEnv::path(data_dir))?.unwrap_or_default();
    let id = env.get("CAPSTAN_PROJECT_ID").ok_or("say which project with --project")?;
    Ok(id.parse()?)
}

fn grant(key: &NewKey) -> Result<Grant, Failure> {
    match (key.kind, &key.scopes) {
        (Kind::Secret | Kind::Restricted, Some(list)) => Ok(Grant::Restricted { scopes: keys::scopes(list)? }),
        (Kind::Restricted, None) => Err("a restricted key needs --scopes".into()),
        (Kind::Secret, None) => Ok(Grant::Secret),
    }
}

/// The local emulators and the lock on their data directory, held until the command ends.
type Opened = Option<(Emulators, DataDirectory)>;

async fn open(location: &KeyLocation, data_dir: &Path) -> Result<(Store, Opened), Failure> {
    let Some(table) = &location.table else { return local_store(data_dir).await };
    let configuration = aws_config::load_from_env().await;
    Ok((Store::new(aws_sdk_dynamodb::Client::new(&configuration), table), None))
}

/// The local table: the running stack's, else opened for this one call.
async fn local_store(data_dir: &Path) -> Result<(Store, Opened), Failure> {
    let template = Template::of_this_project()?;
    let table = template.tables.first().map(|table| table.name().to_owned()).ok_or("template.yaml has no table")?;
    match DataDirectory::open(data_dir) {
        Ok(directory) => {
            let emulators = Emulators::start(Storage::Directory(directory.aws())).await?;
            emulators.create_resources(&template)?;
            Ok((Store::new(emulators.dynamodb(), table), Some((emulators, directory))))
        }
        Err(DataDirectoryError::InUse(_)) => {
            let env = LocalEnv::read(&LocalEnv::path(data_dir))?.unwrap_or_default();
            let endpoint = env.get("AWS_ENDPOINT_URL_DYNAMODB").ok_or("local.env has no AWS_ENDPOINT_URL_DYNAMODB")?;
            let configuration = capstan_emulators::sdk_config(endpoint);
            Ok((Store::new(aws_sdk_dynamodb::Client::new(&configuration), table), None))
        }
        Err(error) => Err(error.into()),
    }
}
