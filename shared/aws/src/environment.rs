//! The environment a function starts in: AWS configuration and environment variables.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt::Display;
use std::str::FromStr;

use aws_config::SdkConfig;
use capstan_domain::{MeetingBuckets, ProviderNames, TranscriptionRendition};

/// AWS configuration and environment variables of one function.
///
/// `main` reads them from its process. The local stack and the tests give them, so that all three construct the same
/// dependencies by [`FromEnvironment`].
#[derive(Clone, Debug)]
pub struct Environment {
    aws: SdkConfig,
    variables: Variables,
}

#[derive(Clone, Debug)]
enum Variables {
    OfProcess,
    Given(BTreeMap<String, String>),
}

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable is missing or has a value that breaks `rule`.
    #[error("the environment variable {name} {rule}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong, as the rest of a sentence: "is not set".
        rule: String,
    },
    /// Something that the variables refer to cannot be used.
    #[error(transparent)]
    Dependency(Box<dyn StdError + Send + Sync>),
}

/// A dependency of a handler that is constructed from a function's environment.
pub trait FromEnvironment: Sized {
    /// # Errors
    /// [`EnvironmentError`] when a variable is missing or invalid.
    fn from_environment(environment: &Environment) -> impl Future<Output = Result<Self, EnvironmentError>> + Send;
}

impl Environment {
    /// The environment of this process, as Lambda sets it.
    pub async fn of_process() -> Self {
        Self { aws: crate::configuration().await, variables: Variables::OfProcess }
    }

    /// An environment of exactly these variables.
    pub fn new(aws: SdkConfig, variables: BTreeMap<String, String>) -> Self {
        Self { aws, variables: Variables::Given(variables) }
    }

    /// Region, credentials and endpoints of AWS.
    pub fn aws(&self) -> &SdkConfig {
        &self.aws
    }

    /// The value of a variable; `None` when it is not set or empty.
    pub fn find(&self, name: &str) -> Option<String> {
        let value = match &self.variables {
            Variables::OfProcess => std::env::var(name).ok(),
            Variables::Given(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The value of a variable that must be set; it may be empty.
    ///
    /// # Errors
    /// [`EnvironmentError::Variable`].
    pub fn variable(&self, name: &'static str) -> Result<String, EnvironmentError> {
        let value = match &self.variables {
            Variables::OfProcess => std::env::var(name).ok(),
            Variables::Given(variables) => variables.get(name).cloned(),
        };
        value.ok_or_else(|| EnvironmentError::variable(name, "is not set"))
    }

    /// The parsed value of a variable that must be set.
    ///
    /// # Errors
    /// [`EnvironmentError::Variable`] when it is not set or does not parse.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, EnvironmentError> {
        self.variable(name)?.parse().map_err(|rule| EnvironmentError::variable(name, rule))
    }
}

impl EnvironmentError {
    /// `rule` is the rest of a sentence that starts with the variable's name.
    pub fn variable(name: &'static str, rule: impl Display) -> Self {
        Self::Variable { name, rule: rule.to_string() }
    }
}

impl FromEnvironment for () {
    async fn from_environment(_: &Environment) -> Result<Self, EnvironmentError> {
        Ok(())
    }
}

/// From `TRANSCRIPTION_PROVIDERS`.
impl FromEnvironment for ProviderNames {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        environment.parsed("TRANSCRIPTION_PROVIDERS")
    }
}

/// From `SCOOT_BUCKETS`.
impl FromEnvironment for MeetingBuckets {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        environment.parsed("SCOOT_BUCKETS")
    }
}

/// From `TRANSCRIPTION_RENDITION`.
impl FromEnvironment for TranscriptionRendition {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        environment.parsed("TRANSCRIPTION_RENDITION")
    }
}

macro_rules! tuples {
    ($(($($member:ident),+);)+) => {
        $(
            impl<$($member: FromEnvironment + Send),+> FromEnvironment for ($($member,)+) {
                async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
                    Ok(($($member::from_environment(environment).await?,)+))
                }
            }
        )+
    };
}

tuples! {
    (A, B);
    (A, B, C);
    (A, B, C, D);
}
