//! `POST /v1/recordings/{id}/upload-url`

mod file;
mod in_parts;
mod one_put;

use capstan_domain::{Action, Error, MediaId, MediaType, RecordingId, Sha256, Timestamp};
use capstan_http::{Access, Refusals, Reply, Request};
use capstan_objects::Objects;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use file::{File, Upload};
use in_parts::UploadInParts;
use one_put::UploadUrl;

/// A file to upload.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewUpload)]
pub struct Body {
    /// Kind of file. Default: that of `content_type`, else `audio`.
    #[serde(rename = "type")]
    #[schema(value_type = Option<String>, pattern = "^(audio|image|video)$")]
    media_type: Option<MediaType>,
    /// MIME type. Default for `type`: `audio/opus`, `image/jpeg`, `video/mp4`.
    #[schema(example = "audio/opus")]
    content_type: Option<String>,
    /// Size in bytes, 1 to 5,368,709,120, with `multipart` up to 53,687,091,200,000. S3 then rejects any other size.
    /// Required with `multipart`.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 53_687_091_200_000u64)]
    file_size_bytes: Option<Number>,
    /// SHA-256 as 64 hexadecimal digits. S3 then rejects other bytes. Not with `multipart`: send it to upload-complete.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{64}$")]
    content_sha256: Option<Sha256>,
    /// Capture time: as declared, else from the file.
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    /// A media file of this recording that has not arrived, to get new URLs for instead of adding one.
    #[schema(value_type = Option<String>)]
    media_id: Option<MediaId>,
    /// Whether to upload in parts, which can be resumed.
    #[serde(default)]
    multipart: Option<bool>,
}

/// Presigned URLs to upload a file: by one PUT, or with `multipart` in parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload)]
#[serde(untagged)]
pub enum Answer {
    /// Upload by one PUT.
    OnePut(UploadUrl),
    /// Upload in parts.
    InParts(UploadInParts),
}

/// Adds a media file and signs its upload URLs, for one PUT or for parts.
///
/// # Errors
/// [`Error::NotFound`], [`Error::RecordingNotPending`], [`Error::UploadExpired`], [`Error::TooManyMedia`],
/// [`Error::FileTypeInvalid`], [`Error::FileSizeInvalid`], [`Error::Conflict`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/upload-url", operation_id = "createUploadUrl",
    summary = "Create upload URLs",
    description = "Adds a media file to a pending recording, and returns a presigned URL to PUT it in one request. With \
        `multipart`, returns a URL for each part. With `media_id`, returns new URLs for a media file that has \
        not arrived.",
    tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(("id" = String, Path, description = "The recording.")),
    request_body = Body,
    responses(
        (status = 200, description = "Presigned upload URLs.", body = Answer),
        (status = 409, description = "Another request changed the upload at the same time. Retry.", body = capstan_http::ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::Upload).await?;
    let recording_id: RecordingId = request.path_id("recording")?;
    let upload = Upload {
        store: access.store(),
        objects: &objects,
        signer: objects.signer(request.received_at()).await?,
        caller: &caller,
        recording_id: &recording_id,
        file: File::of(&request)?,
        now: request.now(),
        signed_at: request.received_at(),
    };
    Reply::ok(&match upload.file.plan {
        Some(plan) => Answer::InParts(upload.in_parts(plan).await?),
        None => Answer::OnePut(upload.by_one_put().await?),
    })
}

#[cfg(test)]
mod tests;
