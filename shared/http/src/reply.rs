//! Answers.

use capstan_domain::Error;
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// What is answered: a status and perhaps a JSON body.
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<String>,
    pub(crate) retry_after: Option<u32>,
    pub(crate) failure: Option<Error>,
}

/// What is kept of an answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    body: Option<String>,
}

impl Reply {
    fn with(status: StatusCode, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_string(body).map_err(Error::internal)?;
        Ok(Self { status, body: Some(body), retry_after: None, failure: None })
    }

    /// 200 with a body.
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::with(StatusCode::OK, body)
    }

    /// 201 with what was made.
    pub fn created(body: &impl Serialize) -> Result<Self, Error> {
        Self::with(StatusCode::CREATED, body)
    }

    /// 200 with JSON that is there as text.
    pub fn json_text(text: &str) -> Self {
        Self { status: StatusCode::OK, body: Some(text.to_owned()), retry_after: None, failure: None }
    }

    /// 204.
    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, retry_after: None, failure: None }
    }

    /// As it is kept for a repeat.
    pub(crate) fn to_kept(&self) -> Result<String, Error> {
        let kept = Kept { status: self.status.as_u16(), body: self.body.clone() };
        serde_json::to_string(&kept).map_err(Error::internal)
    }

    /// As it was kept.
    pub(crate) fn from_kept(text: &str) -> Result<Self, Error> {
        let Kept { status, body } = serde_json::from_str(text).map_err(Error::internal)?;
        let status = StatusCode::from_u16(status).map_err(Error::internal)?;
        Ok(Self { status, body, retry_after: None, failure: None })
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, where this answers a refusal or a failure.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// As Lambda hands it back.
    pub fn into_response(self, request_id: &str) -> http::Response<lambda_http::Body> {
        let mut response = http::Response::new(lambda_http::Body::Empty);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Ok(request_id) = http::HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", request_id);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(http::header::RETRY_AFTER, seconds.into());
        }
        if let Some(body) = self.body {
            headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
            *response.body_mut() = lambda_http::Body::Text(body);
        }
        response
    }
}
