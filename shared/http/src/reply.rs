//! Responses.

use capstan_domain::Error;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

/// Largest file in bytes. A response may have 6 MB, with Base64 for content that is not text.
const MAX_FILE_BYTES: usize = 4_500_000;

/// A response: a status code and perhaps a body.
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Body>,
    pub(crate) retry_after: Option<u32>,
    pub(crate) failure: Option<Error>,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum Body {
    Json(String),
    File(File),
    /// A redirect.
    At(String),
}

/// A file to save.
#[derive(Debug)]
pub struct File {
    /// File name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// MIME type.
    pub mime_type: &'static str,
    /// Content.
    pub text: String,
}

impl File {
    /// Whether it fits into one response.
    pub fn fits(&self) -> bool {
        self.text.len() <= MAX_FILE_BYTES
    }
}

/// A response as it is stored.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    body: Option<String>,
}

impl Reply {
    fn with(status: StatusCode, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_string(body).map_err(Error::internal)?;
        Ok(Self::of(status, Some(Body::Json(body))))
    }

    fn of(status: StatusCode, body: Option<Body>) -> Self {
        Self { status, body, retry_after: None, failure: None }
    }

    /// 200 with a body.
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::with(StatusCode::OK, body)
    }

    /// 201 with the created resource.
    pub fn created(body: &impl Serialize) -> Result<Self, Error> {
        Self::with(StatusCode::CREATED, body)
    }

    /// 200 with JSON text.
    pub fn json_text(text: &str) -> Self {
        Self::of(StatusCode::OK, Some(Body::Json(text.to_owned())))
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::of(StatusCode::NO_CONTENT, None)
    }

    /// 200 with a file for a browser to save.
    pub fn file(file: File) -> Self {
        Self::of(StatusCode::OK, Some(Body::File(file)))
    }

    /// 302: a redirect.
    pub fn at(url: String) -> Self {
        Self::of(StatusCode::FOUND, Some(Body::At(url)))
    }

    /// As it is stored for replays.
    ///
    /// # Errors
    /// [`Error::Internal`] for a file or a redirect.
    pub fn to_stored(&self) -> Result<String, Error> {
        let body = match &self.body {
            None => None,
            Some(Body::Json(text)) => Some(text.clone()),
            Some(Body::File(_) | Body::At(_)) => {
                return Err(Error::internal("only JSON responses are stored for replays"));
            }
        };
        let kept = Kept { status: self.status.as_u16(), body };
        serde_json::to_string(&kept).map_err(Error::internal)
    }

    /// From its stored form.
    ///
    /// # Errors
    /// [`Error::Internal`] for any other text.
    pub fn from_stored(text: &str) -> Result<Self, Error> {
        let Kept { status, body } = serde_json::from_str(text).map_err(Error::internal)?;
        let status = StatusCode::from_u16(status).map_err(Error::internal)?;
        Ok(Self::of(status, body.map(Body::Json)))
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The error, if this is an error response.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// As Lambda's response.
    pub fn into_response(self, request_id: &str) -> http::Response<lambda_http::Body> {
        let mut response = http::Response::new(lambda_http::Body::Empty);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Ok(request_id) = HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", request_id);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        match self.body {
            None => {}
            Some(Body::Json(text)) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                *response.body_mut() = lambda_http::Body::Text(text);
            }
            Some(Body::File(File { name, mime_type, text })) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime_type));
                if let Ok(saved) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
                    headers.insert(CONTENT_DISPOSITION, saved);
                }
                *response.body_mut() = lambda_http::Body::Text(text);
            }
            Some(Body::At(url)) => {
                if let Ok(url) = HeaderValue::from_str(&url) {
                    headers.insert(LOCATION, url);
                }
            }
        }
        response
    }
}
