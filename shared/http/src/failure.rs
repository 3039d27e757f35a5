//! Errors as HTTP responses: the only place that maps them.

use capstan_domain::{Error, Field};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoResponses, ToSchema};

use crate::Reply;
use crate::reply::Body;

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// The error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// Code for programs, such as `recording_not_pending`.
    #[schema(example = "recording_not_pending")]
    pub code: &'static str,
    /// Message for people.
    pub message: String,
    /// Field, parameter or header that is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub param: Option<String>,
    /// Details for programs; the fields depend on the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub details: Option<Value>,
    /// Identifier of the request in the logs.
    pub request_id: String,
}

/// Error of API Gateway itself.
#[derive(Debug, ToSchema)]
#[schema(as = GatewayRefusal)]
#[allow(dead_code, reason = "it only describes the document")]
pub struct GatewayRefusalBody {
    /// The error.
    #[schema(example = "Too Many Requests")]
    message: String,
}

/// The error responses of most endpoints, for the OpenAPI document.
#[derive(Debug, IntoResponses)]
#[allow(dead_code, reason = "the variants only describe the document")]
pub enum Refusals {
    /// The request is invalid, or the status of the recording does not allow it.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// The credential is missing or invalid.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// The credential lacks the permission.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// The resource does not exist, or the credential cannot see it.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// Too many requests. Retry after a second, then after twice as long each time.
    #[response(status = 429)]
    Throttled(GatewayRefusalBody),
    /// Internal error.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// Temporarily unavailable. Retry after `Retry-After` seconds.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

struct Answer {
    status: StatusCode,
    code: &'static str,
    message: String,
    param: Option<String>,
    details: Option<Value>,
    retry_after: Option<u32>,
}

impl Answer {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), param: None, details: None, retry_after: None }
    }

    fn of_field(code: &'static str, field: &Field, rule: &str) -> Self {
        let param = name(field);
        Self::new(StatusCode::BAD_REQUEST, code, format!("{param}: {rule}")).param(param)
    }

    fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

/// The name of a field in the API under `/v1`.
fn name(field: &Field) -> String {
    match field {
        Field::Named(name) => name.clone(),
        Field::FileSize => "file_size_bytes".to_owned(),
        Field::FileType => "content_type".to_owned(),
        Field::MediaId => "media_id".to_owned(),
        Field::Multipart => "multipart".to_owned(),
        Field::EndUserId => "end_user_id".to_owned(),
        Field::ExternalId => "external_id".to_owned(),
        Field::Parts => "parts".to_owned(),
        Field::PartNumber(index) => format!("parts[{index}].part_number"),
        Field::PartTag(index) => format!("parts[{index}].etag"),
    }
}

#[deny(clippy::wildcard_enum_match_arm, reason = "a new error needs a status of its own")]
fn answer(error: &Error) -> Answer {
    use StatusCode as S;
    match error {
        Error::Invalid { field, rule } => Answer::of_field("invalid_request", field, rule),
        Error::FileSizeInvalid { field, rule } => Answer::of_field("file_size_invalid", field, rule),
        Error::FileTypeInvalid { field, rule } => Answer::of_field("file_type_invalid", field, rule),
        Error::RecordingNotPending { status } => Answer::new(
            S::BAD_REQUEST,
            "recording_not_pending",
            format!("The recording is {status}; only a pending recording takes files."),
        )
        .details(json!({"status": status.as_str()})),
        Error::MediaNotUploaded { missing } => {
            let message = "No file has arrived. Upload it with PUT to its upload_url, then ask again.";
            let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
            Answer::new(S::BAD_REQUEST, "media_not_uploaded", message).details(json!({"media_ids": missing}))
        }
        Error::TooManyMedia => {
            let message = format!("A recording holds at most {} media.", capstan_domain::MAX_MEDIA);
            Answer::new(S::BAD_REQUEST, "too_many_media", message)
        }
        Error::PartsMissing { missing } => {
            let numbers: Vec<_> = missing.iter().map(|number| number.get()).collect();
            let message = "Not every part has arrived. Upload those in details, then ask again.";
            Answer::new(S::BAD_REQUEST, "parts_missing", message).details(json!({"part_numbers": numbers}))
        }
        Error::MultipartUploadExpired { media_id } => {
            let message = "The upload in parts has expired, and its parts are gone. Ask for upload-url with this \
                media_id and multipart to begin it again.";
            Answer::new(S::BAD_REQUEST, "upload_expired", message).details(json!({"media_id": media_id.as_str()}))
        }
        Error::UploadExpired => {
            let message = "The recording was not completed in time and takes no more files. Create a new one.";
            Answer::new(S::BAD_REQUEST, "upload_expired", message)
        }
        Error::Unauthorized => {
            let message = "Send a valid credential as `Authorization: Bearer <credential>`.";
            Answer::new(S::UNAUTHORIZED, "unauthorized", message)
        }
        Error::Forbidden => Answer::new(S::FORBIDDEN, "forbidden", "This credential may not do this."),
        Error::NotFound { what } => Answer::new(S::NOT_FOUND, "not_found", format!("There is no such {what}.")),
        Error::Conflict { reason } => Answer::new(S::CONFLICT, "conflict", reason),
        Error::IdempotencyKeyReused => {
            let message = "This Idempotency-Key came with another body before. Use a new key for a new request.";
            Answer::new(S::CONFLICT, "idempotency_key_reused", message).param("Idempotency-Key")
        }
        Error::OriginalRequestRunning { retry_after } => {
            let message = "The first request with this Idempotency-Key is still running. Ask again.";
            Answer::new(S::CONFLICT, "conflict", message).param("Idempotency-Key").retry_after(*retry_after)
        }
        Error::ResourceAlreadyExists { what, field, id } => {
            let param = name(field);
            let message = format!("There is {what} with this {param} already.");
            Answer::new(S::CONFLICT, "resource_already_exists", message).param(param).details(json!({"id": id}))
        }
        Error::DeviceAlreadyBound { end_user_id } => {
            let message = "The device is bound already. Unbind it first.";
            let details = json!({"end_user_id": end_user_id.as_str()});
            Answer::new(S::CONFLICT, "device_already_bound", message).details(details)
        }
        Error::IntegrityMismatch { media_id, expected, stored } => Answer::new(
            S::CONFLICT,
            "integrity_mismatch",
            "The stored bytes have another SHA-256 than you gave. Upload the file again.",
        )
        .param("content_sha256")
        .details(json!({
            "media_id": media_id.as_str(),
            "content_sha256": expected.to_string(),
            "stored_sha256": stored.to_string(),
        })),
        Error::FileMd5NotMatch { expected, stored } => {
            let message =
                "The stored bytes have another MD5 than you gave. Ask for new URLs and upload the file again.";
            let details = json!({"file_md5": expected.to_string(), "stored_md5": stored.to_string()});
            Answer::new(S::BAD_REQUEST, "file_md5_not_match", message).param("file_md5").details(details)
        }
        Error::NotTranscribable(error) => {
            Answer::new(S::BAD_REQUEST, error.code.as_str(), format!("{}.", error.message.trim_end_matches('.')))
        }
        Error::RequestTooLarge { limit_bytes } => {
            let message = format!("The body is over {limit_bytes} bytes.");
            Answer::new(S::PAYLOAD_TOO_LARGE, "request_too_large", message)
        }
        Error::VerificationPending { retry_after } => {
            let message = "The stored bytes are still being verified. Ask again.";
            Answer::new(S::TOO_EARLY, "verification_pending", message).retry_after(*retry_after)
        }
        Error::Unavailable { retry_after, .. } => {
            let message = "Temporarily unavailable. Nothing was lost; ask again.";
            Answer::new(S::SERVICE_UNAVAILABLE, "temporarily_unavailable", message).retry_after(*retry_after)
        }
        Error::Internal { .. } => Answer::new(S::INTERNAL_SERVER_ERROR, "internal_error", "Internal error."),
    }
}

impl Reply {
    /// The response to an error.
    pub fn failed(error: Error, request_id: &str) -> Self {
        let Answer { status, code, message, param, details, retry_after } = answer(&error);
        let detail = ErrorDetail { code, message, param, details, request_id: request_id.to_owned() };
        let body = serde_json::to_string(&ErrorBody { error: detail }).ok().map(Body::Json);
        Self { status, body, retry_after, failure: Some(error) }
    }

    /// The code in the body, if this is an error response.
    pub fn code(&self) -> Option<&'static str> {
        self.failure.as_ref().map(|error| answer(error).code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_failure_stays_in_the_log() {
        for error in [Error::internal("secret"), Error::Unavailable { retry_after: 2, cause: "secret".into() }] {
            let reply = Reply::failed(error, "req-1");
            assert!(matches!(&reply.body, Some(Body::Json(text)) if !text.contains("secret")));
            assert!(reply.failure.unwrap().to_string().contains("secret"));
        }
    }

    #[test]
    fn a_busy_service_says_when_to_ask_again() {
        let reply = Reply::failed(Error::Unavailable { retry_after: 2, cause: "busy".into() }, "req-1");
        let response = reply.into_response("req-1");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["x-request-id"], "req-1");
    }
}
