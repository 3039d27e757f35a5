//! The reference device client: sends files to a Capstan, local or deployed, and takes up what was cut off.
//!
//! It asks no clock: how long a URL is good is counted from its answer, so a device may be days off.

mod error;
mod file_upload;
mod one_put;
mod parts;
mod patience;
mod source;
mod state;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::error::ErrorKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::local_env::LocalEnv;

use error::UploadError;
use file_upload::FileUpload;
use source::Source;
use state::{Found, StateFile};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const DEVICE_TOKEN: &str = "dtok_";
const UPLOAD_TOKEN: &str = "up_";

/// What `--help` says at its end.
pub(crate) const AFTER_HELP: &str = "\
Each file becomes a recording, whose id goes to standard output. Cut off at any point, the same command goes on where it
was; what it needs for that is in the state directory: no key and no signed URL. A file that was uploaded is not sent
again, unless it changed or --no-resume is given.

Exit status: 0 all files are uploaded; 1 some are not; 2 the command line is not right.";

/// Files to upload, and where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to upload.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where the API answers [default: CAPSTAN_URL, else the local stack's].
    #[arg(long)]
    url: Option<String>,
    /// A key or a device token. Others on this machine can see it here: better in the environment
    /// [default: CAPSTAN_API_KEY, else CAPSTAN_DEVICE_TOKEN, else the local stack's].
    #[arg(long)]
    key: Option<String>,
    /// Who records; a device token brings its own [default: CAPSTAN_END_USER_ID, else the local stack's].
    #[arg(long, value_name = "ID")]
    end_user: Option<String>,
    /// The device that it was recorded with; a device token brings its own.
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Send every file in parts. Those over 16 MiB are in any case.
    #[arg(long)]
    multipart: bool,
    /// How many parts are sent side by side.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// Go on with what was cut off. This is the default.
    #[arg(long, overrides_with = "no_resume")]
    resume: bool,
    /// Begin anew, also what is uploaded already.
    #[arg(long)]
    no_resume: bool,
    /// Where it is noted how far each file has come [default: capstan/uploads in XDG_STATE_HOME, else in ~/.local/state].
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
    /// How long to try without any progress.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    give_up_after: u64,
}

/// Where files go, and for whom.
#[derive(Debug)]
struct Destination {
    client: Client,
    url: String,
    credential: String,
    end_user: Option<String>,
    device: Option<String>,
}

impl Arguments {
    /// Uploads one file after the other. `false` when some are not uploaded, which has been told.
    ///
    /// # Errors
    /// A command line that is not right, as [`clap::Error`].
    pub(crate) async fn run(self, data_dir: &Path) -> Result<bool, Failure> {
        let destination = self.destination(data_dir)?;
        let states = self.states()?;
        let mut all = true;
        for file in &self.files {
            match self.upload(&destination, &states, file).await {
                Ok(recording_id) => writeln!(io::stdout(), "{recording_id}\t{}", file.display())?,
                Err(error) => {
                    all = false;
                    writeln!(io::stderr(), "capstan: {}: {error}", file.display())?;
                }
            }
        }
        Ok(all)
    }

    async fn upload(&self, destination: &Destination, states: &Path, file: &Path) -> Result<String, UploadError> {
        let source = Source::of(file)?;
        let (mut state, found) = StateFile::open(states, &destination.target(), &source)?;
        if self.no_resume {
            state.restart()?;
        } else if found == Found::OfAnotherContent {
            tell(file, "has changed since its upload was begun, and is begun anew");
            state.restart()?;
        } else if let Some(recording_id) = state.step().completed() {
            tell(file, &format!("is uploaded already as {recording_id}; --no-resume sends it again"));
            return Ok(recording_id.to_owned());
        }
        let is_resumed = !self.no_resume && state.step().recording_id().is_some();
        let patience = Duration::from_secs(self.give_up_after);
        let mut file_upload =
            FileUpload::new(destination, source, state, self.multipart, self.parallel.into(), patience);
        match file_upload.go().await {
            // What a state file speaks of may have expired, or been deleted.
            Err(UploadError::Gone { recording_id }) if is_resumed => {
                tell(file, &format!("the upload as {recording_id} is gone, and is begun anew"));
                file_upload.restart()?;
                file_upload.go().await
            }
            outcome => outcome,
        }
    }

    fn destination(&self, data_dir: &Path) -> Result<Destination, Failure> {
        let local = LocalEnv::read(&LocalEnv::path(data_dir))?.unwrap_or_default();
        let local = |name: &str| local.get(name).map(str::to_owned);
        let url = self.url.clone().or_else(|| variable("CAPSTAN_URL"));
        let key = self.key.clone().or_else(|| variable("CAPSTAN_API_KEY")).or_else(|| variable("CAPSTAN_DEVICE_TOKEN"));
        // The local stack's key goes nowhere else.
        let (url, credential, is_local) = match (url, key) {
            (Some(url), Some(key)) => (url, key, false),
            (Some(_), None) => return Err(usage("say with which key: --key, CAPSTAN_API_KEY or CAPSTAN_DEVICE_TOKEN")),
            (None, key) => match (local("CAPSTAN_URL"), key.or_else(|| local("CAPSTAN_API_KEY"))) {
                (Some(url), Some(key)) => (url, key, true),
                _ => return Err(usage("say where to: --url or CAPSTAN_URL; no stack runs here")),
            },
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(usage("--url must begin with https:// or http://"));
        }
        if credential.starts_with(UPLOAD_TOKEN) {
            return Err(usage("--key must be a key or a device token: an upload token creates no recording"));
        }
        let (end_user, device) = if credential.starts_with(DEVICE_TOKEN) {
            (None, None)
        } else {
            let end_user = self.end_user.clone().or_else(|| variable("CAPSTAN_END_USER_ID"));
            let end_user = end_user.or_else(|| local("CAPSTAN_END_USER_ID").filter(|_| is_local));
            let missing = || usage("say who records: --end-user or CAPSTAN_END_USER_ID");
            (Some(end_user.ok_or_else(missing)?), self.device.clone())
        };
        Ok(Destination { client: Client::new(&url), url, credential, end_user, device })
    }

    fn states(&self) -> Result<PathBuf, Failure> {
        let of_home = || variable("HOME").map(|home| Path::new(&home).join(".local/state"));
        let default = || variable("XDG_STATE_HOME").map(PathBuf::from).or_else(of_home);
        let found = self.state_dir.clone().or_else(|| default().map(|state| state.join("capstan/uploads")));
        found.ok_or_else(|| usage("say where to note how far files have come: --state-dir"))
    }
}

impl Destination {
    /// What the same file is uploaded to apart from.
    fn target(&self) -> String {
        json!([self.url, self.end_user, self.device]).to_string()
    }

    /// The body that creates a recording. A repeat must have the same bytes.
    fn new_recording(&self, name: &str) -> Value {
        match &self.end_user {
            None => json!({"name": name, "source": "device"}),
            Some(end_user) => {
                let mut body = json!({"name": name, "source": "api_upload", "end_user_id": end_user});
                if let Some(device) = &self.device {
                    body["device_id"] = json!(device);
                }
                body
            }
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn usage(message: &str) -> Failure {
    clap::Error::raw(ErrorKind::MissingRequiredArgument, format!("{message}\n")).into()
}

/// A closed stderr is nobody to tell.
fn tell(file: &Path, message: &str) {
    let _ = writeln!(io::stderr(), "{}: {message}", file.display());
}
