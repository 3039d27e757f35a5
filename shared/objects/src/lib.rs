//! The media bucket: keys, signed URLs, uploads in parts, what is stored and its hash.
//!
//! IAM: `s3:GetObject` and `s3:PutObject` (the signer of a URL needs what the URL allows), `s3:DeleteObject`,
//! `s3:ListBucket` (without it, a missing object is 403 rather than 404).

mod key;
mod multipart;
mod reader;
mod signed;
mod transcript;

use std::path::Path;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use capstan_aws::{Environment, EnvironmentError, FromEnvironment, busy, failure};
use capstan_domain::{BucketName, Error, Md5, ProjectId, RecordingId, Sha256, StoredObject, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Digest;

pub use key::{ObjectKey, ObjectLocation, Original};
pub use reader::ObjectReader;
pub use signed::{PartSigner, SignedDownload, SignedUpload, Signer, Validity};

/// The media bucket.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    bucket: String,
    region: String,
    credentials: Option<SharedCredentialsProvider>,
}

/// The largest object in bytes that is read for its hash: what a function reads within its five minutes at the
/// 75 MB a second that Lambda's network gives it, with room.
pub const MAX_HASHED_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// The one that `MEDIA_BUCKET` names.
impl FromEnvironment for Objects {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        Ok(Self::new(environment.aws(), environment.variable("MEDIA_BUCKET")?))
    }
}

impl Objects {
    /// The bucket of that name.
    pub fn new(configuration: &aws_config::SdkConfig, bucket: impl Into<String>) -> Self {
        Self {
            client: Client::new(configuration),
            bucket: bucket.into(),
            region: configuration.region().map(ToString::to_string).unwrap_or_default(),
            credentials: configuration.credentials_provider(),
        }
    }

    /// The object at a location, not hashed. `None` when there is none, and in another bucket than the deployment's also when
    /// access is denied.
    pub async fn find(
        &self,
        location: impl Into<ObjectLocation>,
        now: Timestamp,
    ) -> Result<Option<StoredObject>, Error> {
        let location = location.into();
        let answer = self.client.head_object().bucket(self.bucket_of(&location)).key(&location.key).send().await;
        match answer {
            Ok(head) => Ok(Some(StoredObject {
                size_bytes: size(head.content_length)?,
                etag: unquoted(head.e_tag.as_deref()),
                sha256: None,
                md5: None,
                sequencer: None,
                recorded_at: now,
            })),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(None),
            Err(error) if location.bucket.is_some() && is_forbidden(&error) => Ok(None),
            Err(error) => Err(failure(error).context(format!("head {}", location.key))),
        }
    }

    /// The object under a key with its SHA-256 and MD5, read as a stream. No hashes over [`MAX_HASHED_BYTES`]. `None` when there
    /// is no object.
    pub async fn inspect(&self, key: &ObjectKey, now: Timestamp) -> Result<Option<StoredObject>, Error> {
        let answer = self.client.get_object().bucket(&self.bucket).key(key.as_str()).send().await;
        let mut object = match answer {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(failure(error).context(format!("get {key}"))),
        };
        let stored = size(object.content_length)?;
        if stored > MAX_HASHED_BYTES {
            return Ok(Some(StoredObject {
                size_bytes: stored,
                etag: unquoted(object.e_tag.as_deref()),
                sha256: None,
                md5: None,
                sequencer: None,
                recorded_at: now,
            }));
        }
        let (mut sha256, mut md5) = (sha2::Sha256::new(), md5::Md5::new());
        let mut size_bytes = 0;
        while let Some(chunk) = object.body.next().await {
            let chunk = chunk.map_err(busy)?;
            size_bytes += chunk.len() as u64;
            sha256.update(&chunk);
            md5.update(&chunk);
        }
        Ok(Some(StoredObject {
            size_bytes,
            etag: unquoted(object.e_tag.as_deref()),
            sha256: Some(Sha256::from_bytes(sha256.finalize().into())),
            md5: Some(Md5::from_bytes(md5.finalize().into())),
            sequencer: None,
            recorded_at: now,
        }))
    }

    /// A reader for a blocking thread. It fails if the object is overwritten.
    pub fn reader(&self, location: impl Into<ObjectLocation>, object: &StoredObject) -> ObjectReader {
        ObjectReader::new(self.clone(), location.into(), object)
    }

    /// Stores a file.
    pub async fn put_file(&self, key: &ObjectKey, mime_type: &str, path: &Path) -> Result<(), Error> {
        let body = ByteStream::from_path(path).await.map_err(Error::internal)?;
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .content_type(mime_type)
            .body(body)
            .send()
            .await
            .map_err(|error| failure(error).context(format!("put {key}")))?;
        Ok(())
    }

    /// Stores an entity as JSON.
    pub async fn put_json(&self, key: &ObjectKey, entity: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string(entity).map_err(Error::internal)?;
        self.put_text(key, "application/json", text).await
    }

    /// Stores a text.
    pub async fn put_text(&self, key: &ObjectKey, mime_type: &str, text: String) -> Result<(), Error> {
        let request = self.client.put_object().bucket(&self.bucket).key(key.as_str()).content_type(mime_type);
        let answer = request.body(text.into_bytes().into()).send().await;
        answer.map_err(|error| failure(error).context(format!("put {key}")))?;
        Ok(())
    }

    /// Reads an entity that is stored as JSON. `None` when there is no object.
    pub async fn json<T: DeserializeOwned>(&self, key: &ObjectKey) -> Result<Option<T>, Error> {
        let answer = self.client.get_object().bucket(&self.bucket).key(key.as_str()).send().await;
        let object = match answer {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(failure(error).context(format!("get {key}"))),
        };
        let bytes = object.body.collect().await.map_err(busy)?.into_bytes();
        serde_json::from_slice(&bytes).map(Some).map_err(Error::internal)
    }

    /// The name of the object's bucket.
    pub fn bucket_of<'a>(&'a self, location: &'a ObjectLocation) -> &'a str {
        location.bucket.as_ref().map_or(&self.bucket, BucketName::as_str)
    }

    /// Deletes an object, if it exists.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let answer = self.client.delete_object().bucket(&self.bucket).key(key.as_str()).send().await;
        answer.map_err(|error| failure(error).context(format!("delete {key}")))?;
        Ok(())
    }

    /// Deletes all objects of a recording and aborts its multipart uploads. One call to list each, one to abort each upload, and
    /// two for each thousand objects.
    pub async fn delete_recording(&self, project: &ProjectId, recording: &RecordingId) -> Result<(), Error> {
        let prefix = key::recording_prefix(project, recording);
        // First, so that no multipart upload is completed after its objects are deleted.
        self.abort_multipart_uploads(&prefix).await?;
        loop {
            let answer = self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix).send().await;
            let listed = answer.map_err(|error| failure(error).context(format!("list objects of {prefix}")))?;
            let mut keys = Vec::new();
            for object in listed.contents.unwrap_or_default() {
                let identifier = ObjectIdentifier::builder().key(object.key.unwrap_or_default());
                keys.push(identifier.build().map_err(Error::internal)?);
            }
            if keys.is_empty() {
                return Ok(());
            }
            let delete = Delete::builder().set_objects(Some(keys)).quiet(true).build().map_err(Error::internal)?;
            let answer = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await;
            let answer = answer.map_err(|error| failure(error).context(format!("delete objects of {prefix}")))?;
            if let Some(kept) = answer.errors.unwrap_or_default().first() {
                return Err(busy(format!("S3 kept {:?}: {:?}", kept.key, kept.code)));
            }
        }
    }
}

/// The answer to a HEAD has no body that could say more.
fn is_forbidden<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error.raw_response().is_some_and(|response| response.status().as_u16() == 403)
}

fn size(content_length: Option<i64>) -> Result<u64, Error> {
    content_length
        .and_then(|length| u64::try_from(length).ok())
        .ok_or_else(|| Error::internal("S3 returned no length of an object"))
}

fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}
