//! The keys of the providers, where a deployment keeps them: one secret of AWS Secrets Manager.
//!
//! Its value is a JSON object of variables, such as `{"DEEPGRAM_API_KEY": "..."}`. On one machine it is the environment
//! that holds them. Action: `secretsmanager:GetSecretValue` of that secret.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use capstan_aws::{Environment, EnvironmentError, FromEnvironment};

use crate::{Http, Providers};

/// Why a function that speaks to providers cannot start. Never shows what the secret holds.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `TRANSCRIPTION_SECRET` cannot be read.
    #[error("the secret that TRANSCRIPTION_SECRET names cannot be read: {0}")]
    Unreadable(String),
    /// It is something else.
    #[error("the secret that TRANSCRIPTION_SECRET names must be a JSON object of texts")]
    Malformed,
}

/// Those that `TRANSCRIPTION_PROVIDERS` names, which have `PROVIDER_TIMEOUT_SECONDS` for an answer. One call where
/// `TRANSCRIPTION_SECRET` names a secret, none otherwise.
impl FromEnvironment for Providers {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        let timeout = Duration::from_secs(environment.parsed("PROVIDER_TIMEOUT_SECONDS")?);
        let secret = match environment.find("TRANSCRIPTION_SECRET") {
            Some(id) => {
                read(environment.aws(), &id).await.map_err(|error| EnvironmentError::Dependency(error.into()))?
            }
            None => BTreeMap::new(),
        };
        let variables = |name: &str| secret.get(name).cloned().or_else(|| environment.find(name));
        Self::from_variables(&variables, &Http::new(timeout), environment.aws())
            .map_err(|rule| EnvironmentError::variable("TRANSCRIPTION_PROVIDERS", rule))
    }
}

pub(crate) async fn read(aws: &SdkConfig, id: &str) -> Result<BTreeMap<String, String>, SecretError> {
    use aws_sdk_secretsmanager::error::DisplayErrorContext;
    let client = aws_sdk_secretsmanager::Client::new(aws);
    let answer = client.get_secret_value().secret_id(id).send().await;
    let answer = answer.map_err(|error| SecretError::Unreadable(DisplayErrorContext(error).to_string()))?;
    serde_json::from_str(answer.secret_string().unwrap_or_default()).map_err(|_| SecretError::Malformed)
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use capstan_emulators::peer::{Peer, Reply};

    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:capstan-AbCdEf";

    async fn read_from(reply: Reply) -> (Result<BTreeMap<String, String>, SecretError>, Peer) {
        let peer = Peer::replying([reply]).await;
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let aws = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&peer.url)
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .build();
        (read(&aws, ARN).await, peer)
    }

    fn holding(value: &str) -> Reply {
        Reply::json(200, serde_json::json!({"ARN": ARN, "Name": "capstan", "SecretString": value}).to_string())
    }

    #[tokio::test]
    async fn the_keys_are_those_of_the_secret_that_is_named() {
        let (keys, peer) = read_from(holding(r#"{"DEEPGRAM_API_KEY": "key-1", "WHISPER_API_KEY": "key-2"}"#)).await;
        let keys = keys.unwrap();
        assert_eq!((keys["DEEPGRAM_API_KEY"].as_str(), keys["WHISPER_API_KEY"].as_str()), ("key-1", "key-2"));
        let asked = peer.take_seen().remove(0);
        assert_eq!(asked.header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
        assert_eq!(asked.json()["SecretId"], ARN);
    }

    #[tokio::test]
    async fn unusable_keys_are_not_printed() {
        for value in ["key-1", r#"["key-1"]"#, r#"{"DEEPGRAM_API_KEY": {"key": "key-1"}}"#] {
            let error = read_from(holding(value)).await.0.unwrap_err();
            assert!(matches!(error, SecretError::Malformed), "{error}");
            assert!(!format!("{error} {error:?}").contains("key-1"), "{error:?}");
        }
        let denied = Reply::json(400, r#"{"__type": "AccessDeniedException", "Message": "not allowed"}"#);
        let error = read_from(denied).await.0.unwrap_err();
        assert!(error.to_string().contains("AccessDeniedException"), "{error}");
    }
}
