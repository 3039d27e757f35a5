//! A file that is uploaded by one PUT.

use std::collections::BTreeMap;

use capstan_domain::{Error, Media};
use serde::Serialize;
use utoipa::ToSchema;

use super::file::Upload;

/// Presigned URL to upload a file by one PUT.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadUrl {
    /// Identifier of the media file.
    media_id: String,
    /// Presigned URL, for PUT.
    upload_url: String,
    /// Method: `PUT`.
    #[schema(pattern = "^PUT$")]
    method: &'static str,
    /// Headers that the client must send with the file. `Content-Length` is sent by every HTTP client and is not
    /// listed.
    headers: BTreeMap<String, String>,
    /// MIME type of the file.
    content_type: &'static str,
    /// When the URL expires.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Seconds until the expiry.
    expires_in: u32,
}

impl Upload<'_> {
    /// One call to the table; signing needs none.
    pub(crate) async fn by_one_put(&self) -> Result<UploadUrl, Error> {
        let media = self.added_media().await?;
        let (key, size, sha256) = (self.key(&media), media.declared_size, media.declared_sha256);
        let signed = self.signer.upload(&key, media.content_type, size, sha256).await?;
        Ok(UploadUrl {
            media_id: media.id.to_string(),
            upload_url: signed.url,
            method: "PUT",
            headers: signed.headers,
            content_type: media.content_type.as_str(),
            expires_at: signed.validity.until.to_string(),
            expires_in: signed.validity.seconds,
        })
    }

    async fn added_media(&self) -> Result<Media, Error> {
        let (visibility, id) = (self.caller.visibility(), self.recording_id);
        let recording = match &self.file.again {
            None => self.store.add_media(&visibility, id, &self.media(), self.now).await?,
            Some(again) => self.store.renew_media(&visibility, id, &self.renewal(again, None), self.now).await?,
        };
        let media_id = self.file.again.as_ref().unwrap_or(&self.file.new);
        recording.media.get(media_id).cloned().ok_or_else(|| Error::internal("the media file was not stored"))
    }
}
