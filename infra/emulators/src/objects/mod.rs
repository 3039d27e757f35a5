//! S3 emulator that stores objects in a directory. `s3s` implements the protocol and verifies signatures and expiry.
//!
//! `s3s-fs` is not used for these reasons:
//!
//! - Objects become visible before their checksum is verified.
//! - A failed completion of a multipart upload loses the parts.
//! - Part ETags are not verified, and parts are listed unordered and without ETags.
//! - File names are the Base64 of the key, which is too long for keys that contain three IDs.

mod cors;
mod listing;
mod multipart;
mod notification;
mod receive;
mod store;

use std::io;
use std::path::Path;
use std::sync::Arc;

use s3s::auth::Credentials;
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

pub use self::cors::CorsRule;
pub(crate) use self::cors::CorsRules;
use self::notification::Notifier;
use self::receive::{Claims, checksums_of, receive};
use self::store::{Attributes, CommitError, Object as StoredObject, ObjectStore, Precondition, Stored};
use crate::outbox::Outbox;
use crate::policy::Policies;

/// Maximum number of keys, uploads or parts per page, as in S3.
const PAGE: usize = 1000;
const READ_BUFFER: usize = 64 * 1024;

/// Emulated S3. Clones share the objects.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<ObjectStore>,
    notifier: Arc<Notifier>,
    policies: Policies,
}

impl Objects {
    pub(crate) fn open(root: &Path, created: Outbox<Value>, policies: Policies) -> io::Result<Self> {
        let (store, notifier) = (ObjectStore::open(root)?, Notifier::new(created));
        Ok(Self { store: Arc::new(store), notifier: Arc::new(notifier), policies })
    }

    /// Create a bucket if it does not exist.
    pub(crate) fn create_bucket_if_absent(&self, name: &str) -> io::Result<()> {
        self.store.create_bucket(name).map(|_| ())
    }

    fn bucket(&self, name: &str) -> S3Result<()> {
        if self.store.has_bucket(name) { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<StoredObject> {
        self.bucket(bucket)?;
        self.store.get(bucket, key).ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// The object, or 404 if the reader may list the bucket, or 403 otherwise.
    fn readable(&self, bucket: &str, key: &str, reader: Option<&Credentials>) -> S3Result<StoredObject> {
        let object = self.object(bucket, key);
        if object.is_err() {
            self.policies.authorise_not_found(reader, bucket)?;
        }
        object
    }

    /// Commit an object with a complete file, and send the notification.
    fn commit(&self, object: StoredObject, only_if: &Precondition, event: &str) -> S3Result<()> {
        let file = object.stored.file.clone();
        match self.store.commit(object.clone(), only_if) {
            Ok(()) => {
                self.notifier.object_created(event, &object);
                Ok(())
            }
            Err(error) => {
                self.store.discard([file.as_str()]);
                Err(commit_error(error))
            }
        }
    }
}

fn commit_error(error: CommitError) -> S3Error {
    match error {
        CommitError::NoSuchBucket => s3_error!(NoSuchBucket),
        CommitError::NoSuchUpload => s3_error!(NoSuchUpload, "The specified upload does not exist."),
        CommitError::PreconditionFailed => {
            s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
        }
        CommitError::Io(error) => S3Error::internal_error(error),
    }
}

fn precondition(if_match: Option<IfMatch>, if_none_match: Option<IfNoneMatch>) -> S3Result<Precondition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Precondition::None),
        (None, Some(condition)) if condition.is_any() => Ok(Precondition::Absent),
        (Some(condition), None) => match condition.into_etag() {
            Some(etag) => Ok(Precondition::Matches(etag.into_value())),
            None => Err(s3_error!(NotImplemented, "If-Match: *")),
        },
        _ => Err(s3_error!(NotImplemented, "this combination of preconditions")),
    }
}

fn source_of(copy_source: &CopySource) -> S3Result<(&str, &str)> {
    match copy_source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket, key)),
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => Err(s3_error!(NotImplemented)),
    }
}

fn attributes_of_put(input: &mut PutObjectInput) -> Attributes {
    Attributes {
        content_type: input.content_type.take(),
        content_encoding: input.content_encoding.take().filter(|encoding| encoding != "aws-chunked"),
        content_disposition: input.content_disposition.take(),
        content_language: input.content_language.take(),
        cache_control: input.cache_control.take(),
        metadata: input.metadata.take(),
    }
}

fn timestamp(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from(std::time::SystemTime::from(at))
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn checksum(stored: &Stored, algorithm: &str) -> Option<String> {
    stored.checksums.get(algorithm).cloned()
}

/// Checksum type of an object. A composite checksum ends in `-` and the number of parts.
fn checksum_type(stored: &Stored) -> Option<ChecksumType> {
    let value = stored.checksums.values().next()?;
    let kind = if value.contains('-') { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    Some(ChecksumType::from_static(kind))
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        match self.store.create_bucket(&req.input.bucket) {
            Ok(true) => Ok(S3Response::new(CreateBucketOutput::default())),
            Ok(false) => Err(s3_error!(BucketAlreadyOwnedByYou)),
            Err(error) => Err(S3Error::internal_error(error)),
        }
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = |name| Bucket { name: Some(name), ..Bucket::default() };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(self.store.buckets().into_iter().map(bucket).collect()),
            ..ListBucketsOutput::default()
        }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = req.input;
        self.bucket(&input.bucket)?;
        let only_if = precondition(input.if_match.take(), input.if_none_match.take())?;
        let checksums = checksums_of!(input);
        let mut algorithms: Vec<String> = input.checksum_algorithm.iter().map(|a| a.as_str().to_lowercase()).collect();
        if checksums.is_empty() && algorithms.is_empty() {
            // S3 adds this checksum to objects uploaded without one.
            algorithms.push("crc64nvme".to_owned());
        }
        let claims = Claims {
            length: input.content_length,
            md5: input.content_md5.take(),
            checksums,
            algorithms,
            trailers: req.trailing_headers,
        };
        let attributes = attributes_of_put(&mut input);
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let stored = receive(&self.store, body, claims).await?;
        let object = StoredObject { bucket: input.bucket, key: input.key, stored: stored.clone(), attributes };
        self.commit(object, &only_if, "ObjectCreated:Put")?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            checksum_crc32: checksum(&stored, "crc32"),
            checksum_crc32c: checksum(&stored, "crc32c"),
            checksum_crc64nvme: checksum(&stored, "crc64nvme"),
            checksum_sha1: checksum(&stored, "sha1"),
            checksum_sha256: checksum(&stored, "sha256"),
            checksum_type: checksum_type(&stored),
            ..PutObjectOutput::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let StoredObject { stored, attributes, .. } =
            self.readable(&req.input.bucket, &req.input.key, req.credentials.as_ref())?;
        let mut output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(stored.size)),
            last_modified: Some(timestamp(stored.at)),
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            content_type: attributes.content_type,
            content_encoding: attributes.content_encoding,
            content_disposition: attributes.content_disposition,
            content_language: attributes.content_language,
            cache_control: attributes.cache_control,
            metadata: attributes.metadata,
            ..HeadObjectOutput::default()
        };
        if req.input.checksum_mode.is_some() {
            output.checksum_crc32 = checksum(&stored, "crc32");
            output.checksum_crc32c = checksum(&stored, "crc32c");
            output.checksum_crc64nvme = checksum(&stored, "crc64nvme");
            output.checksum_sha1 = checksum(&stored, "sha1");
            output.checksum_sha256 = checksum(&stored, "sha256");
            output.checksum_type = checksum_type(&stored);
        }
        Ok(S3Response::new(output))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let StoredObject { stored, attributes, .. } =
            self.readable(&req.input.bucket, &req.input.key, req.credentials.as_ref())?;
        if let Some(condition) = &req.input.if_match
            && condition.as_etag().is_some_and(|etag| etag.value() != stored.etag)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        if let Some(condition) = &req.input.if_none_match
            && condition.as_etag().is_none_or(|etag| etag.value() == stored.etag)
        {
            return Err(s3_error!(NotModified));
        }
        let range = match req.input.range {
            Some(range) => range.check(stored.size)?,
            None => 0..stored.size,
        };
        let length = range.end - range.start;
        let mut file =
            File::open(self.store.bytes_path(&stored.file)).await.map_err(|error| s3_error!(error, NoSuchKey))?;
        if range.start > 0 {
            file.seek(io::SeekFrom::Start(range.start)).await.map_err(S3Error::internal_error)?;
        }
        let body = ReaderStream::with_capacity(file.take(length), READ_BUFFER);
        let content_range =
            req.input.range.map(|_| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), stored.size));
        let mut output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(StreamingBlob::wrap(body)),
            content_length: Some(signed(length)),
            content_range,
            last_modified: Some(timestamp(stored.at)),
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            content_type: attributes.content_type,
            content_encoding: attributes.content_encoding,
            content_disposition: attributes.content_disposition,
            content_language: attributes.content_language,
            cache_control: attributes.cache_control,
            metadata: attributes.metadata,
            ..GetObjectOutput::default()
        };
        // Checksums cover the whole object, so a range response has none.
        if req.input.checksum_mode.is_some() && length == stored.size {
            output.checksum_crc32 = checksum(&stored, "crc32");
            output.checksum_crc32c = checksum(&stored, "crc32c");
            output.checksum_crc64nvme = checksum(&stored, "crc64nvme");
            output.checksum_sha1 = checksum(&stored, "sha1");
            output.checksum_sha256 = checksum(&stored, "sha256");
            output.checksum_type = checksum_type(&stored);
        }
        Ok(S3Response::new(output))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = req.input;
        let (bucket, key) = source_of(&input.copy_source)?;
        let source = self.object(bucket, key)?;
        self.bucket(&input.bucket)?;
        let replaces =
            input.metadata_directive.is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        let attributes = if replaces {
            Attributes {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                metadata: input.metadata,
            }
        } else {
            source.attributes
        };
        let (file, path) = self.store.new_bytes();
        tokio::fs::copy(self.store.bytes_path(&source.stored.file), path)
            .await
            .map_err(|error| s3_error!(error, NoSuchKey))?;
        let at = jiff::Timestamp::now();
        let etag = source.stored.etag.clone();
        let stored = Stored { file, at, ..source.stored };
        let object = StoredObject { bucket: input.bucket, key: input.key, stored, attributes };
        self.commit(object, &Precondition::None, "ObjectCreated:Copy")?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(etag)),
                last_modified: Some(timestamp(at)),
                ..CopyObjectResult::default()
            }),
            ..CopyObjectOutput::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.bucket(&req.input.bucket)?;
        self.store.remove(&req.input.bucket, &req.input.key).map_err(S3Error::internal_error)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        self.bucket(&bucket)?;
        if delete.objects.is_empty() || delete.objects.len() > PAGE {
            return Err(s3_error!(MalformedXML, "a request deletes 1 to 1000 objects"));
        }
        let mut deleted = Vec::new();
        for object in delete.objects {
            self.store.remove(&bucket, &object.key).map_err(S3Error::internal_error)?;
            deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!delete.quiet.unwrap_or(false)).then_some(deleted),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list_page(req.input)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.create_upload(req.input)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.receive_part(req.input, req.trailing_headers).await
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.received_parts(req.input)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.open_uploads(req.input)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(req.input).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort_upload(&req.input)
    }
}
