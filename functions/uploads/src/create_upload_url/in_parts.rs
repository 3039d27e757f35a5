//! A file that is sent in parts.

use std::collections::BTreeMap;

use capstan_domain::{Error, Media, MediaId, MultipartUpload, PartPlan};
use capstan_http::PartUrls;
use capstan_objects::ObjectKey;
use capstan_store::MultipartRenewal;
use serde::Serialize;
use utoipa::ToSchema;

use super::file::Upload;

/// Presigned URLs of a file's parts.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadInParts {
    /// Identifier of the media file.
    media_id: String,
    /// S3's identifier of the multipart upload.
    upload_id: String,
    /// MIME type of the file.
    content_type: &'static str,
    /// Size in bytes.
    file_size_bytes: u64,
    /// Size of every part except the last, in bytes.
    part_size_bytes: u64,
    /// The parts.
    #[serde(flatten)]
    urls: PartUrls,
    /// Method of each part: `PUT`.
    #[schema(pattern = "^PUT$")]
    method: &'static str,
    /// Headers that the client must send with the file. `Content-Length` is sent by every HTTP client and is not
    /// listed.
    headers: BTreeMap<String, String>,
    /// When the URLs expire.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Seconds until the expiry.
    expires_in: u32,
}

impl Upload<'_> {
    /// One call to S3 that begins the upload and one write that makes it known. What is cut off between them is
    /// unknown to everybody: it goes with the recording, or by the bucket's lifecycle rule.
    pub(crate) async fn in_parts(&self, plan: PartPlan) -> Result<UploadInParts, Error> {
        let (media, upload) = match &self.file.again {
            None => self.begin(plan).await?,
            Some(media_id) => self.begin_again(media_id, plan).await?,
        };
        let signer = self.signer.parts(&self.key(&media), &upload.id).await?;
        let validity = self.signer.validity();
        Ok(UploadInParts {
            media_id: media.id.to_string(),
            upload_id: upload.id.as_str().to_owned(),
            content_type: media.content_type.as_str(),
            file_size_bytes: plan.file_size().bytes(),
            part_size_bytes: upload.plan.part_size_bytes(),
            urls: PartUrls::fill(0, upload.plan.parts(), |part| signer.sign(part)),
            method: "PUT",
            headers: BTreeMap::new(),
            expires_at: validity.until.to_string(),
            expires_in: validity.seconds,
        })
    }

    async fn begin(&self, plan: PartPlan) -> Result<(Media, MultipartUpload), Error> {
        let mut media = self.media();
        let key = self.key(&media);
        let upload = MultipartUpload { id: self.objects.begin_multipart_upload(&key, media.content_type).await?, plan };
        media.multipart = Some(upload.clone());
        match self.store.add_media(&self.caller.visibility(), self.recording_id, &media, self.now).await {
            Ok(recording) => {
                // Another attempt at the same call may have begun it before.
                let kept = recording.multipart_upload(&media.id)?.1.clone();
                if kept.id != upload.id {
                    self.objects.abort_multipart_upload(&key, &upload.id).await?;
                }
                Ok((media, kept))
            }
            Err(refusal) => Err(self.abandon(&key, &upload, refusal).await),
        }
    }

    /// Goes on with the upload that a media file has, if it is of the same file and S3 still knows it; else begins another.
    async fn begin_again(&self, media_id: &MediaId, plan: PartPlan) -> Result<(Media, MultipartUpload), Error> {
        let visibility = self.caller.visibility();
        let found = self.store.recording(self.recording_id).await?;
        let recording = visibility.admit(found.ok_or_else(Error::no_recording)?)?;
        let media = recording.awaited(media_id, self.now)?;
        let (key, seen) = (self.key(media), media.multipart.as_ref());
        let known = match seen.filter(|seen| seen.plan == plan) {
            Some(upload) => self.objects.is_under_way(&key, &upload.id).await?.then_some(upload),
            None => None,
        };
        let upload = match known {
            Some(upload) => upload.clone(),
            None => MultipartUpload { id: self.objects.begin_multipart_upload(&key, media.content_type).await?, plan },
        };
        let renewed = MultipartRenewal { seen: seen.map(|seen| seen.id.clone()), upload: upload.clone() };
        let renewal = self.renewal(media_id, Some(renewed));
        if let Err(refusal) = self.store.renew_media(&visibility, self.recording_id, &renewal, self.now).await {
            return Err(if known.is_some() { refusal } else { self.abandon(&key, &upload, refusal).await });
        }
        if let Some(replaced) = seen.filter(|seen| seen.id != upload.id) {
            self.objects.abort_multipart_upload(&key, &replaced.id).await?;
        }
        Ok((media.clone(), upload))
    }

    /// Aborts an upload that is not used, and returns the reason. An upload that may have been recorded after all is left
    /// for the next attempt; what cannot be aborted now is what the bucket's lifecycle rule is for.
    async fn abandon(&self, key: &ObjectKey, upload: &MultipartUpload, refusal: Error) -> Error {
        if !matches!(refusal, Error::Unavailable { .. } | Error::Internal { .. }) {
            let _ = self.objects.abort_multipart_upload(key, &upload.id).await;
        }
        refusal
    }
}
