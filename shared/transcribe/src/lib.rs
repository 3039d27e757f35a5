//! Transcription providers, each by its own protocol, and what makes them one: what is given to them, what comes back,
//! and how they fail.
//!
//! A provider either answers with the transcript at once ([`Started::Done`]) or works on and reports later
//! ([`Started::Awaiting`]), through a callback, which [`Provider::callback`] reads, or when asked, by
//! [`Provider::poll`]. Starting the same job twice is safe: Amazon Transcribe knows the second by its name; the others
//! do it twice, and the answers to both are answers to the job.
//!
//! To add a provider: its file, its line in the list below, its name in `capstan_domain::ProviderName`.
//!
//! Whatever a provider does, it cannot make this crate keep more than [`LARGEST_ANSWER`] in memory, wait longer than
//! [`Http`] has patience, follow a redirect, or print a key or a signed URL.

mod failure;
mod http;
mod input;
mod job;
mod join;
mod key;
mod patience;
mod secret;
mod words;

use ::http::HeaderMap;
use aws_config::SdkConfig;
use capstan_domain::{ProviderName, ProviderNames, Transcript, TranscriptionError, TranscriptionErrorCode};

pub use crate::assemblyai::AssemblyAi;
pub use crate::aws::Aws;
pub use crate::deepgram::Deepgram;
pub use crate::failure::{CallbackFailure, Failure};
pub use crate::http::{Http, LARGEST_ANSWER};
pub use crate::input::{Input, Limits, SourceAudio, input_for, rendition_content_type};
pub use crate::job::{Audio, AudioLocation, InvalidJobName, Job, JobName, ProviderJobId};
pub use crate::join::{Part, join};
pub use crate::key::{ApiKey, SignedUrl};
pub use crate::patience::start;
pub use crate::secret::SecretError;
pub use crate::whisper::Whisper;

/// Outcome of the start of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Started {
    /// The provider answered at once.
    Done(Transcript),
    /// The provider works on it and knows it by this id.
    Awaiting(ProviderJobId),
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Polled {
    /// The provider is at work.
    Running,
    /// The provider is done.
    Done(Transcript),
    /// This provider reports by its callback alone: a job whose callback was lost must be started again.
    OnlyByCallback,
}

/// The content of a callback.
#[derive(Clone, Debug, PartialEq)]
pub enum Callback {
    /// The transcript.
    Done(Transcript),
    /// That the job has ended, no more: [`Provider::poll`] has the rest.
    Ended(ProviderJobId),
}

/// Reads a variable of the environment.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

macro_rules! providers {
    ($($name:ident in $module:ident;)+) => {
        $(mod $module;)+

        /// A provider that the deployment has.
        #[derive(Clone, Debug)]
        pub enum Provider {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)+
        }

        impl Provider {
            /// Which it is.
            pub fn name(&self) -> ProviderName {
                match self { $(Self::$name(_) => ProviderName::$name),+ }
            }

            /// Limits of its input.
            pub fn limits(&self) -> &Limits {
                match self { $(Self::$name(provider) => provider.limits()),+ }
            }

            /// Gives it a job.
            ///
            /// # Errors
            /// [`Failure`] says whether to try again.
            pub async fn start(&self, job: &Job) -> Result<Started, Failure> {
                match self { $(Self::$name(provider) => provider.start(job).await),+ }
            }

            /// Asks how a job stands.
            ///
            /// # Errors
            /// [`Failure`] says whether to ask again. [`Failure::Refused`] is the end of the job.
            pub async fn poll(&self, id: &ProviderJobId) -> Result<Polled, Failure> {
                match self { $(Self::$name(provider) => provider.poll(id).await),+ }
            }

            /// Reads a callback that came for a job. Nothing of it is believed before its token was found right, in
            /// constant time.
            ///
            /// # Errors
            /// [`CallbackFailure::NotAuthentic`], or the state of the job as the provider reports it.
            pub fn callback(&self, job: &JobName, headers: &HeaderMap, body: &[u8]) -> Result<Callback, CallbackFailure> {
                match self { $(Self::$name(provider) => provider.callback(job, headers, body)),+ }
            }
        }

        fn configured(
            name: ProviderName,
            variables: Variables<'_>,
            http: &Http,
            aws: &SdkConfig,
        ) -> Option<Provider> {
            match name { $(ProviderName::$name => $name::configured(variables, http, aws).map(Provider::$name)),+ }
        }
    };
}

providers! {
    Whisper in whisper;
    Aws in aws;
    Deepgram in deepgram;
    AssemblyAi in assemblyai;
}

/// Those that the deployment has.
#[derive(Clone, Debug)]
pub struct Providers {
    names: ProviderNames,
    configured: Vec<Provider>,
}

impl Providers {
    /// As the environment says: `TRANSCRIPTION_PROVIDERS` names them, each has variables of its own.
    ///
    /// # Errors
    /// When `TRANSCRIPTION_PROVIDERS` names something else.
    pub fn from_variables(variables: Variables<'_>, http: &Http, aws: &SdkConfig) -> Result<Self, &'static str> {
        let names: ProviderNames = given(variables, "TRANSCRIPTION_PROVIDERS").unwrap_or_default().parse()?;
        let configured = names.iter().filter_map(|name| configured(name, variables, http, aws)).collect();
        Ok(Self { names, configured })
    }

    /// That provider, or the preferred one.
    ///
    /// # Errors
    /// `provider_not_configured`, when the deployment does not name it, or lacks what it needs, such as its key.
    pub fn get(&self, name: Option<ProviderName>) -> Result<&Provider, TranscriptionError> {
        let name = self.names.choose(name)?;
        self.configured.iter().find(|provider| provider.name() == name).ok_or_else(|| {
            let message = format!("This deployment names {name} and lacks what it needs, such as its key");
            TranscriptionError::new(TranscriptionErrorCode::ProviderNotConfigured, message)
        })
    }
}

/// A variable that is set to something.
fn given(variables: Variables<'_>, name: &str) -> Option<String> {
    variables(name).filter(|value| !value.is_empty())
}
