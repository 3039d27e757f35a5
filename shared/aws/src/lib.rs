//! What every AWS client of Capstan shares: configuration from the environment, and failures as domain errors.

use std::error::Error as StdError;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use capstan_domain::Error;

/// A variable that the function cannot start without.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {0} is not set")]
pub struct MissingVariable(pub &'static str);

/// The value of an environment variable.
///
/// # Errors
/// [`MissingVariable`], which names it.
pub fn variable(name: &'static str) -> Result<String, MissingVariable> {
    std::env::var(name).map_err(|_| MissingVariable(name))
}

/// The SDK's configuration: region, credentials and endpoints from the environment, as Lambda sets them.
pub async fn configuration() -> SdkConfig {
    aws_config::load_from_env().await
}

/// Seconds that a client waits before it asks again when AWS was busy.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Codes by which DynamoDB, S3 and EventBridge say: later. Each words a fault of its own in another way.
const BUSY: [&str; 13] = [
    "InternalError",
    "InternalException",
    "InternalFailure",
    "InternalServerError",
    "OperationAborted",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottledException",
    "ThrottlingException",
    "TransactionInProgressException",
];

/// A failed call as a domain error: [`Error::Unavailable`] for what passes, [`Error::Internal`] for the rest.
pub fn failure<E, R>(error: SdkError<E, R>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let passes = match &error {
        SdkError::ServiceError(context) => context.err().code().is_none_or(|code| BUSY.contains(&code)),
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        _ => false,
    };
    let cause = format!("{}", aws_smithy_types::error::display::DisplayErrorContext(&error)).into();
    if passes { Error::Unavailable { retry_after: RETRY_AFTER_SECONDS, cause } } else { Error::Internal { cause } }
}
