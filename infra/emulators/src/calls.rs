//! Which AWS call a request is, and the record of the calls made.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, request};

/// The AWS services that are emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon S3.
    S3,
    /// Amazon EventBridge.
    EventBridge,
}

/// One request that reached the emulators, whether or not it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The service that was called.
    pub service: Service,
    /// The operation by its API name, such as `PutItem` or `CompleteMultipartUpload`.
    pub operation: String,
    /// For S3 the `bucket/key` of the request, still percent-encoded; empty for the others.
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
    /// Reads service and operation from a request's method, target header and query.
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
    let on_key = path.contains('/');
    let copies = request.headers.contains_key("x-amz-copy-source");
    match (request.method.clone(), on_key) {
        (Method::OPTIONS, _) => "Preflight",
        (Method::PUT, true) if has("partNumber") && copies => "UploadPartCopy",
        (Method::PUT, true) if has("partNumber") => "UploadPart",
        (Method::PUT, true) if has("tagging") => "PutObjectTagging",
        (Method::PUT, true) if copies => "CopyObject",
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

/// Everything since the start or since the last [`Log::take`], in order.
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
    fn s3_operations_are_told_apart_by_method_path_and_query() {
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
