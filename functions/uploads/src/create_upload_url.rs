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

/// A file to be uploaded.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewUpload)]
pub struct Body {
    /// The kind of file: that of `content_type`, else audio, unless given.
    #[serde(rename = "type")]
    #[schema(value_type = Option<String>, pattern = "^(audio|image|video)$")]
    media_type: Option<MediaType>,
    /// The type of the file; `audio/opus`, `image/jpeg` and `video/mp4` are the defaults of the kinds.
    #[schema(example = "audio/opus")]
    content_type: Option<String>,
    /// Its size, 1 to 5,368,709,120, with `multipart` up to 53,687,091,200,000. S3 then refuses any other. Required
    /// with `multipart`.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 53_687_091_200_000u64)]
    file_size_bytes: Option<Number>,
    /// Its SHA-256 as 64 hexadecimal digits. S3 then refuses any other bytes. Not with `multipart`: give it to
    /// upload-complete.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{64}$")]
    content_sha256: Option<Sha256>,
    /// When it was taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    /// A pending medium of this recording to sign for again, instead of a new one.
    #[schema(value_type = Option<String>)]
    media_id: Option<MediaId>,
    /// Whether it is sent in parts, which can be resumed.
    #[serde(default)]
    multipart: Option<bool>,
}

/// Leave to upload a file: in one chunk, or with `multipart` in parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload)]
#[serde(untagged)]
pub enum Answer {
    /// By one PUT.
    OnePut(UploadUrl),
    /// In parts.
    InParts(UploadInParts),
}

/// Signs for the upload of one file, by one PUT or in parts.
///
/// # Errors
/// [`Error::NotFound`], [`Error::RecordingNotPending`], [`Error::UploadExpired`], [`Error::TooManyMedia`],
/// [`Error::FileTypeInvalid`], [`Error::FileSizeInvalid`], [`Error::Conflict`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/upload-url", operation_id = "createUploadUrl", tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(("id" = String, Path, description = "The recording.")),
    request_body = Body,
    responses(
        (status = 200, description = "Leave to upload.", body = Answer),
        (status = 409, description = "Another change came first.", body = capstan_http::ErrorBody),
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
