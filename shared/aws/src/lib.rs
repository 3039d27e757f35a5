//! Configuration of all AWS clients, and their failures as domain errors.

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

/// The certificate authorities of AWS: <https://www.amazontrust.com/repository/>.
const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");

/// One HTTP client for all services. It trusts Amazon's certificate authorities only: reading the more than hundred of the
/// system takes two thirds of a function's initialisation. `SSL_CERT_FILE` names others, for example behind a proxy.
fn http_client() -> SharedHttpClient {
    let roots = match std::env::var_os("SSL_CERT_FILE") {
        Some(_) => TrustStore::default(),
        None => TrustStore::empty().with_pem_certificate(AMAZON_ROOTS),
    };
    let context = TlsContext::builder().with_trust_store(roots).build().unwrap_or_default();
    let provider = tls::Provider::Rustls(CryptoMode::AwsLc);
    Builder::new().tls_provider(provider).tls_context(context).build_https()
}

/// The configuration for a service with small responses: an attempt that takes three seconds is made again. It hangs on a
/// connection that was closed while the sandbox was frozen.
pub fn impatient(configuration: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(3)).build();
    configuration.to_builder().timeout_config(timeouts).build()
}

/// Seconds after which a client retries when AWS was busy.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Error codes of DynamoDB, S3 and EventBridge for transient failures.
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

/// A transient failure. The client is asked to retry.
pub fn busy(cause: impl Into<Cause>) -> Error {
    Error::Unavailable { retry_after: RETRY_AFTER_SECONDS, cause: cause.into() }
}

/// A failed call as a domain error: [`Error::Unavailable`] for a transient failure, [`Error::Internal`] for any other.
pub fn failure<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    let is_transient = match &error {
        SdkError::ServiceError(context) => match context.err().code() {
            Some(code) => BUSY.contains(&code),
            // The response to a HEAD has no body, and so no code.
            None => context.raw().status().as_u16() == 429 || context.raw().status().is_server_error(),
        },
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        _ => false,
    };
    let cause = cause(error);
    if is_transient { busy(cause) } else { Error::Internal { cause } }
}

/// What is logged of a failed call: code, message and request id. The response is left out, since it may contain items of
/// the table.
fn cause<E>(error: SdkError<E, HttpResponse>) -> Cause
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    match &error {
        SdkError::ServiceError(context) => {
            let (error, status) = (context.err(), context.raw().status().as_u16());
            let code = error.code().unwrap_or("no code");
            let message = error.message().map(|message| format!(": {message}")).unwrap_or_default();
            let request_id = error.meta().extra("aws_request_id").unwrap_or("none");
            format!("{code}{message} (status {status}, request id {request_id})").into()
        }
        SdkError::ResponseError(context) => {
            format!("a response that cannot be read (status {})", context.raw().status().as_u16()).into()
        }
        _ => error.into_source().unwrap_or_else(|error| error.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::get_item::GetItemError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn response(status: u16) -> HttpResponse {
        HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from("{\"secret\": \"item\"}"))
    }

    #[test]
    fn logs_code_message_and_request_id_and_never_the_response() {
        let metadata = ErrorMetadata::builder().code("Oops").message("why").custom("aws_request_id", "r-1").build();
        let named = SdkError::service_error(GetItemError::generic(metadata), response(500));
        let nameless = SdkError::service_error(GetItemError::generic(ErrorMetadata::builder().build()), response(503));
        let unreadable: SdkError<GetItemError, _> = SdkError::response_error("expected `<` in secret", response(502));
        for (error, text, is_transient) in [
            (named, "Oops: why (status 500, request id r-1)", false),
            (nameless, "no code (status 503, request id none)", true),
            (unreadable, "a response that cannot be read (status 502)", true),
        ] {
            let error = failure(error);
            assert_eq!(matches!(error, Error::Unavailable { .. }), is_transient, "{error}");
            assert!(error.to_string().ends_with(text), "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn the_compiled_in_root_certificates_are_valid() {
        assert_eq!(AMAZON_ROOTS.matches("BEGIN CERTIFICATE").count(), 5);
        // Panics at a root that does not parse.
        aws_sdk_dynamodb::Client::new(&configuration().await);
    }
}
