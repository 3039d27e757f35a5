//! Permission checks for S3. `s3s` calls them after it has verified the signature of a signed or presigned request.

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::dto::{CopyObjectInput, CopySource, DeleteObjectsInput};
use s3s::path::S3Path;
use s3s::{S3Request, S3Result, s3_error};

use super::demand::{self, Demand};
use super::{Policies, Refusal};
use crate::SECRET_ACCESS_KEY;

impl Policies {
    fn authorise_s3(&self, credentials: Option<&Credentials>, demands: &[Demand]) -> S3Result<()> {
        let access_key_id = credentials.map(|credentials| credentials.access_key.as_str());
        self.authorise(access_key_id, demands).map_err(|refusal| match refusal {
            Refusal::UnknownAccessKey => s3_error!(AccessDenied, "Access Denied"),
            Refusal::Denied(denial) => s3_error!(AccessDenied, "{denial}"),
        })
    }

    /// Check whether the caller may get 404 for a missing object. Callers without `s3:ListBucket` get 403 instead.
    pub(crate) fn authorise_not_found(&self, credentials: Option<&Credentials>, bucket: &str) -> S3Result<()> {
        self.authorise_s3(credentials, &[demand::s3("ListObjectsV2", bucket, None)])
    }
}

#[async_trait::async_trait]
impl S3Auth for Policies {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if self.has_access_key(access_key) { Ok(SECRET_ACCESS_KEY.into()) } else { Err(s3_error!(InvalidAccessKeyId)) }
    }
}

#[async_trait::async_trait]
impl S3Access for Policies {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name();
        let demand = match context.s3_path() {
            // The keys are in the body: `delete_objects` below checks each of them.
            _ if operation == "DeleteObjects" => return self.authorise_s3(context.credentials(), &[]),
            S3Path::Root => Demand::new(format!("s3:{operation}"), "*"),
            S3Path::Bucket { bucket } => demand::s3(operation, bucket, None),
            S3Path::Object { bucket, key } => demand::s3(operation, bucket, Some(key)),
        };
        self.authorise_s3(context.credentials(), &[demand])
    }

    /// Denies the whole request if one key is not allowed. S3 would delete the allowed keys and report the others.
    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        let bucket = &request.input.bucket;
        let objects = request.input.delete.objects.iter();
        let demands: Vec<_> = objects.map(|object| demand::s3("DeleteObject", bucket, Some(&object.key))).collect();
        self.authorise_s3(request.credentials.as_ref(), &demands)
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        let CopySource::Bucket { bucket, key, .. } = &request.input.copy_source else { return Ok(()) };
        self.authorise_s3(request.credentials.as_ref(), &[demand::s3("GetObject", bucket, Some(key))])
    }
}
