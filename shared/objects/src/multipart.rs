//! Uploads in parts: begun, looked at, completed, aborted. Clients send the parts to S3 themselves.
//!
//! IAM: `s3:PutObject` to begin, to sign and to complete, `s3:ListMultipartUploadParts`, `s3:AbortMultipartUpload`, and
//! `s3:ListBucketMultipartUploads` on the bucket to find those of a recording.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use capstan_aws::failure;
use capstan_domain::{ContentType, EntityTag, Error, MultipartUpload, PartNumber, ReceivedPart, UploadId};
use futures_util::future::try_join_all;

use crate::{ObjectKey, Objects};

/// S3 lists at most this many parts at once.
const PARTS_PER_PAGE: u16 = 1000;

impl Objects {
    /// Begins an upload in parts.
    pub async fn begin_multipart_upload(&self, key: &ObjectKey, content_type: ContentType) -> Result<UploadId, Error> {
        let begin = self.client.create_multipart_upload().bucket(&self.bucket).key(key.as_str());
        let begun = begin.content_type(content_type.as_str()).send().await;
        let begun = begun.map_err(|error| failure(error).context(format!("create a multipart upload of {key}")))?;
        begun.upload_id.map(UploadId::new).ok_or_else(|| Error::internal("S3 gave no upload id"))
    }

    /// Whether S3 still knows an upload in parts.
    pub async fn is_under_way(&self, key: &ObjectKey, id: &UploadId) -> Result<bool, Error> {
        let list = self.client.list_parts().bucket(&self.bucket).key(key.as_str()).upload_id(id.as_str()).max_parts(1);
        known(list.send().await).map(|listed| listed.is_some())
    }

    /// The parts that S3 has received, in order: a call for each thousand that there can be, side by side. `None` when
    /// S3 does not know the upload: it was completed or aborted.
    pub async fn received_parts(
        &self,
        key: &ObjectKey,
        upload: &MultipartUpload,
    ) -> Result<Option<Vec<ReceivedPart>>, Error> {
        let pages = upload.plan.last().get().div_ceil(PARTS_PER_PAGE);
        let pages = (0..pages).map(|page| self.page_of_parts(key, &upload.id, page * PARTS_PER_PAGE));
        let pages: Option<Vec<_>> = try_join_all(pages).await?.into_iter().collect();
        Ok(pages.map(|pages| pages.into_iter().flatten().collect()))
    }

    /// The parts behind `marker` and up to a thousand numbers further.
    async fn page_of_parts(
        &self,
        key: &ObjectKey,
        id: &UploadId,
        marker: u16,
    ) -> Result<Option<Vec<ReceivedPart>>, Error> {
        let list = self.client.list_parts().bucket(&self.bucket).key(key.as_str()).upload_id(id.as_str());
        let Some(listed) = known(list.part_number_marker(marker.to_string()).send().await)? else { return Ok(None) };
        let mut parts = Vec::new();
        for part in listed.parts.unwrap_or_default() {
            let number = part.part_number.and_then(|number| u64::try_from(number).ok()).and_then(PartNumber::new);
            let number = number.ok_or_else(|| Error::internal("S3 listed a part without a number"))?;
            // Where there are gaps, a page reaches into the next one.
            if number.get() <= marker + PARTS_PER_PAGE {
                let etag = EntityTag::new(part.e_tag.as_deref().unwrap_or_default());
                parts.push(ReceivedPart { number, etag, size_bytes: crate::size(part.size)? });
            }
        }
        Ok(Some(parts))
    }

    /// Makes the object of its parts and gives its tag. `None` when S3 does not know the upload.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a part was replaced since it was listed.
    pub async fn complete_multipart_upload(
        &self,
        key: &ObjectKey,
        id: &UploadId,
        parts: &[ReceivedPart],
    ) -> Result<Option<EntityTag>, Error> {
        let named = |part: &ReceivedPart| {
            let number = i32::from(part.number.get());
            CompletedPart::builder().part_number(number).e_tag(format!("\"{}\"", part.etag.as_str())).build()
        };
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.iter().map(named).collect())).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket).key(key.as_str());
        let answer = complete.upload_id(id.as_str()).multipart_upload(parts).send().await;
        if answer.as_ref().is_err_and(|error| error.code() == Some("InvalidPart")) {
            let reason = "a part was sent again meanwhile; ask again when all parts are sent".to_owned();
            return Err(Error::Conflict { reason });
        }
        Ok(known(answer)?.map(|completed| EntityTag::new(completed.e_tag.as_deref().unwrap_or_default())))
    }

    /// Aborts an upload in parts. Gives whether S3 knew it: one that it does not know was aborted or completed.
    pub async fn abort_multipart_upload(&self, key: &ObjectKey, id: &UploadId) -> Result<bool, Error> {
        self.abort(key.as_str(), id.as_str()).await
    }

    /// Aborts all uploads in parts below a prefix.
    pub(crate) async fn abort_multipart_uploads(&self, prefix: &str) -> Result<(), Error> {
        loop {
            let list = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(prefix);
            let listed =
                list.send().await.map_err(|error| failure(error).context(format!("list uploads of {prefix}")))?;
            for upload in listed.uploads() {
                self.abort(upload.key().unwrap_or_default(), upload.upload_id().unwrap_or_default()).await?;
            }
            if listed.is_truncated != Some(true) {
                return Ok(());
            }
        }
    }

    async fn abort(&self, key: &str, id: &str) -> Result<bool, Error> {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        known(abort.send().await).map(|aborted| aborted.is_some())
    }
}

/// `None` for an upload that S3 does not know.
fn known<T, E>(answer: Result<T, SdkError<E, aws_sdk_s3::config::http::HttpResponse>>) -> Result<Option<T>, Error>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code() == Some("NoSuchUpload") => Ok(None),
        Err(error) => Err(failure(error).context("use a multipart upload")),
    }
}
