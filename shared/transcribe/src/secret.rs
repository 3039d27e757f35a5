//! The keys of the providers, where a deployment keeps them: one secret of AWS Secrets Manager.
//!
//! Its value is a JSON object of variables, such as `{"DEEPGRAM_API_KEY": "..."}`. On one machine it is the environment
//! that holds them. Action: `secretsmanager:GetSecretValue` of that secret.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;

use crate::{Http, Providers, given};

/// Why a function that speaks to providers cannot start. Never shows what the secret holds.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `TRANSCRIPTION_SECRET` cannot be read.
    #[error("the secret that TRANSCRIPTION_SECRET names cannot be read: {0}")]
    Unreadable(String),
    /// It is something else.
    #[error("the secret that TRANSCRIPTION_SECRET names must be a JSON object of texts")]
    Malformed,
    /// A variable is not right.
    #[error("TRANSCRIPTION_PROVIDERS {0}")]
    Invalid(&'static str),
}

/// The providers of this function's deployment, which wait for a transcription as long as `patience`. One call where
/// `TRANSCRIPTION_SECRET` names a secret, none otherwise.
///
/// # Errors
/// [`SecretError`] when the secret or `TRANSCRIPTION_PROVIDERS` cannot be read.
pub async fn providers(aws: &SdkConfig, patience: Duration) -> Result<Providers, SecretError> {
    let environment = |name: &str| std::env::var(name).ok();
    let secret = match given(&environment, "TRANSCRIPTION_SECRET") {
        Some(id) => read(aws, &id).await?,
        None => BTreeMap::new(),
    };
    let variables = |name: &str| secret.get(name).cloned().or_else(|| environment(name));
    Providers::from_variables(&variables, &Http::new(patience), aws).map_err(SecretError::Invalid)
}

pub(crate) async fn read(aws: &SdkConfig, id: &str) -> Result<BTreeMap<String, String>, SecretError> {
    use aws_sdk_secretsmanager::error::DisplayErrorContext;
    let client = aws_sdk_secretsmanager::Client::new(aws);
    let answer = client.get_secret_value().secret_id(id).send().await;
    let answer = answer.map_err(|error| SecretError::Unreadable(DisplayErrorContext(error).to_string()))?;
    serde_json::from_str(answer.secret_string().unwrap_or_default()).map_err(|_| SecretError::Malformed)
}
