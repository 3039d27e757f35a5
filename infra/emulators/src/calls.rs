//! Identify the AWS operation of a request, and log the calls.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, request};

/// Emulated AWS services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon S3.
    S3,
    /// Amazon EventBridge.
    EventBridge,
}

/// One request received by the emulators, including requests that got no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Called service.
    pub service: Service,
    /// API name of the operation, such as `PutItem` or `CompleteMultipartUpload`.
    pub operation: String,
    /// For S3, the `bucket/key` of the request, percent-encoded. Empty for other services.
    pub target: String,
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = match self.service {
            Service::DynamoDb => "dynamodb",
            Service::S3 => "s3",
            Service::EventBridge => "events",
        };
        write!(out, "{service}:{}", self.operation)
    }
}

impl Call {
    /// Determine service and operation from the method, the `X-Amz-Target` header, the path and the query.
    pub(crate) fn classify(request: &request::Parts) -> Self {
        let target = request
            .headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once('.'));
        match target {
            Some((prefix, operation)) if prefix.starts_with("DynamoDB") => {
                Self { service: Service::DynamoDb, operation: operation.to_owned(), target: String::new() }
            }
            Some((_, operation)) => {
                Self { service: Service::EventBridge, operation: operation.to_owned(), target: String::new() }
            }
            None => Self {
                service: Service::S3,
                operation: s3_operation(request).to_owned(),
                target: request.uri.path().trim_start_matches('/').to_owned(),
            },
        }
    }
}

fn s3_operation(request: &request::Parts) -> &'static str {
    let has = |name: &str| {
        request.uri.query().unwrap_or_default().split('&').any(|pair| pair.split('=').next() == Some(name))
    };
    let path = request.uri.path().trim_matches('/');
    let has_key = path.contains('/');
    let is_copy = request.headers.contains_key("x-amz-copy-source");
    match (request.method.clone(), has_key) {
        (Method::OPTIONS, _) => "Preflight",
        (Method::PUT, true) if has("partNumber") && is_copy => "UploadPartCopy",
        (Method::PUT, true) if has("partNumber") => "UploadPart",
        (Method::PUT, true) if has("tagging") => "PutObjectTagging",
        (Method::PUT, true) if is_copy => "CopyObject",
        (Method::PUT, true) => "PutObject",
        (Method::POST, true) if has("uploads") => "CreateMultipartUpload",
        (Method::POST, true) if has("uploadId") => "CompleteMultipartUpload",
        (Method::GET, true) if has("uploadId") => "ListParts",
        (Method::GET, true) if has("tagging") => "GetObjectTagging",
        (Method::GET, true) if has("attributes") => "GetObjectAttributes",
        (Method::GET, true) => "GetObject",
        (Method::HEAD, true) => "HeadObject",
        (Method::DELETE, true) if has("uploadId") => "AbortMultipartUpload",
        (Method::DELETE, true) => "DeleteObject",
        (Method::GET, false) if path.is_empty() => "ListBuckets",
        (Method::GET, false) if has("uploads") => "ListMultipartUploads",
        (Method::GET, false) if has("location") => "GetBucketLocation",
        (Method::GET, false) if has("list-type") => "ListObjectsV2",
        (Method::GET, false) => "ListObjects",
        (Method::POST, false) if has("delete") => "DeleteObjects",
        (Method::PUT, false) => "CreateBucket",
        (Method::HEAD, false) => "HeadBucket",
        (Method::DELETE, false) => "DeleteBucket",
        _ => "Unknown",
    }
}

/// Entries in order since the start or since the last [`Log::take`]. Clones share the entries.
#[derive(Clone, Debug)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Log<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, entry: T) {
        self.lock().push(entry);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(method: &str, uri: &str) -> String {
        let (parts, ()) = http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        Call::classify(&parts).to_string()
    }

    #[test]
    fn s3_operation_is_derived_from_method_path_and_query() {
        assert_eq!(operation("PUT", "/b/k?x-id=PutObject"), "s3:PutObject");
        assert_eq!(operation("PUT", "/b/k?partNumber=1&uploadId=u"), "s3:UploadPart");
        assert_eq!(operation("POST", "/b/k?uploads"), "s3:CreateMultipartUpload");
        assert_eq!(operation("POST", "/b/k?uploadId=u"), "s3:CompleteMultipartUpload");
        assert_eq!(operation("GET", "/b?list-type=2&prefix=a"), "s3:ListObjectsV2");
        assert_eq!(operation("GET", "/b/?list-type=2"), "s3:ListObjectsV2");
        assert_eq!(operation("POST", "/b?delete"), "s3:DeleteObjects");
        assert_eq!(operation("GET", "/b/k?uploadId=u"), "s3:ListParts");
        assert_eq!(operation("DELETE", "/b/k?uploadId=u"), "s3:AbortMultipartUpload");
    }
}
