//! What every AWS client of Capstan shares: configuration from the environment, and failures as domain errors.

mod environment;

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use capstan_domain::{Cause, Error};

pub use environment::{Environment, EnvironmentError, FromEnvironment};

/// The SDK's configuration in a sandbox: region, credentials and endpoints from the environment, as Lambda sets them.
pub async fn configuration() -> SdkConfig {
    // The SDK's own chain makes a client of STS, which no sandbox needs, before it looks into the environment.
    let credentials = EnvironmentVariableCredentialsProvider::new();
    aws_config::from_env().credentials_provider(credentials).http_client(http_client()).load().await
}

/// The authorities that sign the certificates of AWS: <https://www.amazontrust.com/repository/>.
const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");

/// One client for all services. It trusts Amazon's authorities: to read the system's hundred and more is two thirds of
/// what a function does before its first request. Where AWS is behind another authority, `SSL_CERT_FILE` tells.
fn http_client() -> SharedHttpClient {
    let roots = match std::env::var_os("SSL_CERT_FILE") {
        Some(_) => TrustStore::default(),
        None => TrustStore::empty().with_pem_certificate(AMAZON_ROOTS),
    };
    let context = TlsContext::builder().with_trust_store(roots).build().unwrap_or_default();
    let provider = tls::Provider::Rustls(CryptoMode::AwsLc);
    Builder::new().tls_provider(provider).tls_context(context).build_https()
}

/// The same for a service whose every answer is small: an attempt that takes three seconds hangs, as on a connection
/// that died while the sandbox was frozen, and is made again.
pub fn impatient(configuration: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(3)).build();
    configuration.to_builder().timeout_config(timeouts).build()
}

/// Seconds that a client waits before it asks again when AWS was busy.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Codes by which DynamoDB, S3 and EventBridge say: later. Each words a fault of its own in another way.
const BUSY: &[&str] = &[
    "BandwidthLimitExceeded",
    "InternalError",
    "InternalException",
    "InternalFailure",
    "InternalServerError",
    "OperationAborted",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// What passes by itself: the client is told when to ask again.
pub fn busy(cause: impl Into<Cause>) -> Error {
    Error::Unavailable { retry_after: RETRY_AFTER_SECONDS, cause: cause.into() }
}

/// A failed call as a domain error: [`Error::Unavailable`] for what passes, [`Error::Internal`] for the rest.
pub fn failure<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    let passes = match &error {
        SdkError::ServiceError(context) => match context.err().code() {
            Some(code) => BUSY.contains(&code),
            // The answer to a HEAD has no body that could name a code.
            None => context.raw().status().as_u16() == 429 || context.raw().status().is_server_error(),
        },
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        _ => false,
    };
    let cause: Cause = format!("{}", aws_smithy_types::error::display::DisplayErrorContext(&error)).into();
    if passes { busy(cause) } else { Error::Internal { cause } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_can_be_made_of_the_roots_that_are_compiled_in() {
        assert_eq!(AMAZON_ROOTS.matches("BEGIN CERTIFICATE").count(), 5);
        // Panics at a root that does not parse.
        aws_sdk_dynamodb::Client::new(&configuration().await);
    }
}
