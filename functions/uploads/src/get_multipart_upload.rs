//! `GET /v1/recordings/{id}/media/{media_id}/upload`

use std::collections::BTreeMap;

use capstan_domain::{Action, Error, Media, MediaStatus, MultipartUpload, PartNumber, ReceivedPart};
use capstan_http::{Access, PartUrls, ReceivedPartBody, Refusals, Reply, Request};
use capstan_objects::{ObjectKey, Objects, Validity};
use serde::Serialize;
use utoipa::ToSchema;

/// State of a multipart upload, and URLs for the missing parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadInPartsProgress)]
pub struct Answer {
    /// Identifier of the media file.
    media_id: String,
    /// `pending`, or `uploaded` once the upload is complete.
    #[schema(pattern = "^(pending|uploaded)$")]
    status: &'static str,
    /// S3's identifier of the multipart upload.
    upload_id: String,
    /// MIME type of the file.
    content_type: &'static str,
    /// Size in bytes.
    file_size_bytes: u64,
    /// Size of every part except the last, in bytes.
    part_size_bytes: u64,
    /// Parts that S3 has received, in order. Empty once the upload is complete.
    parts_received: Vec<ReceivedPartBody>,
    /// The missing parts, from `from_part` on.
    #[serde(flatten)]
    urls: PartUrls,
    /// Method of each part: `PUT`.
    #[schema(pattern = "^PUT$")]
    method: &'static str,
    /// Headers that the client must send with the file. `Content-Length` is sent by every HTTP client and is not
    /// listed.
    headers: BTreeMap<String, String>,
    /// When the URLs expire. Null if there are none.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// Seconds until the expiry.
    #[schema(required)]
    expires_in: Option<u32>,
}

/// Returns the received parts, and signs URLs for the missing ones.
///
/// # Errors
/// [`Error::NotFound`], [`Error::MultipartUploadExpired`], [`Error::Invalid`].
#[utoipa::path(
    get, path = "/v1/recordings/{id}/media/{media_id}/upload", operation_id = "getMultipartUpload",
    summary = "Retrieve a multipart upload",
    description = "Returns the parts that S3 has received, and presigned URLs for the missing ones. Use it to resume an \
        upload.",
    tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(
        ("id" = String, Path, description = "The recording."),
        ("media_id" = String, Path, description = "Identifier of a media file with a multipart upload."),
        ("from_part" = Option<u16>, Query, minimum = 1, maximum = 10_000,
            description = "First part to return a URL for: `next_part_number` of an earlier response."),
    ),
    responses((status = 200, description = "The received parts, and URLs for the missing ones.", body = Answer), Refusals),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
    let (_, recording) = access.recording(&request, Action::Upload).await?;
    let (media, upload) = recording.multipart_upload(&request.path_media_id()?)?;
    let from = request.query("from_part", PartNumber::RULE)?.unwrap_or(PartNumber::FIRST);
    if media.status() == MediaStatus::Uploaded {
        return Reply::ok(&Answer::whole(media, upload));
    }
    let key = ObjectKey::of(&recording, media);
    let signer = objects.signer(request.received_at()).await?;
    let Some(received) = objects.received_parts(&key, upload).await? else {
        // Its parts may have been made one file without anybody having noted that yet.
        let object = objects.find(&key, request.now()).await?.filter(|object| upload.plan.makes(object));
        let expired = || Error::MultipartUploadExpired { media_id: media.id.clone() };
        return object.ok_or_else(expired).and_then(|_| Reply::ok(&Answer::whole(media, upload)));
    };
    let parts = signer.parts(&key, &upload.id).await?;
    let missing = upload.plan.missing(&received, from);
    let urls = PartUrls::fill(received.len() * RECEIVED_BYTES, missing, |part| parts.sign(part));
    Reply::ok(&Answer::partial(media, upload, &received, urls, signer.validity()))
}

/// What an entry of `parts_received` comes to at most.
const RECEIVED_BYTES: usize = 110;

impl Answer {
    fn whole(media: &Media, upload: &MultipartUpload) -> Self {
        Self {
            media_id: media.id.to_string(),
            status: "uploaded",
            upload_id: upload.id.as_str().to_owned(),
            content_type: media.content_type.as_str(),
            file_size_bytes: upload.plan.file_size().bytes(),
            part_size_bytes: upload.plan.part_size_bytes(),
            parts_received: Vec::new(),
            urls: PartUrls::default(),
            method: "PUT",
            headers: BTreeMap::new(),
            expires_at: None,
            expires_in: None,
        }
    }

    fn partial(
        media: &Media,
        upload: &MultipartUpload,
        received: &[ReceivedPart],
        urls: PartUrls,
        validity: Validity,
    ) -> Self {
        Self {
            status: "pending",
            parts_received: received.iter().map(ReceivedPartBody::from).collect(),
            urls,
            expires_at: Some(validity.until.to_string()),
            expires_in: Some(validity.seconds),
            ..Self::whole(media, upload)
        }
    }
}

#[cfg(test)]
mod tests;
