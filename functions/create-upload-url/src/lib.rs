//! `POST /v1/recordings/{id}/upload-url`

use std::collections::BTreeMap;

use capstan_domain::{
    Action, Caller, ContentType, Error, FileSize, Media, MediaId, MediaType, RecordingId, Sha256, Timestamp,
    URL_SECONDS,
};
use capstan_http::{Access, Refusals, Reply, Request};
use capstan_objects::{ObjectKey, Objects, SignedUpload};
use capstan_store::Renewal;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

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
    /// Its size, 1 to 5,368,709,120. S3 then refuses any other.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 5_368_709_120u64)]
    file_size_bytes: Option<Number>,
    /// Its SHA-256 as 64 hexadecimal digits. S3 then refuses any other bytes.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{64}$")]
    content_sha256: Option<Sha256>,
    /// When it was taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    /// A pending medium of this recording to sign for again, instead of a new one.
    #[schema(value_type = Option<String>)]
    media_id: Option<MediaId>,
}

/// Leave to upload a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadUrl)]
pub struct Answer {
    /// The medium that the file becomes.
    media_id: String,
    /// Where to send it.
    upload_url: String,
    /// How: `PUT`.
    #[schema(pattern = "^PUT$")]
    method: &'static str,
    /// Every header to send beside those that an HTTP client sends by itself.
    headers: BTreeMap<String, String>,
    /// The type of the file.
    content_type: &'static str,
    /// When the URL ends.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Seconds until then.
    expires_in: u32,
}

/// Signs for the upload of one file by PUT.
///
/// # Errors
/// [`Error::NotFound`], [`Error::RecordingNotPending`], [`Error::UploadExpired`], [`Error::TooManyMedia`],
/// [`Error::FileTypeInvalid`], [`Error::FileSizeInvalid`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/upload-url", operation_id = "createUploadUrl", tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(("id" = String, Path, description = "The recording.")),
    request_body = Body,
    responses((status = 200, description = "Leave to upload.", body = Answer), Refusals),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::Upload).await?;
    let id: RecordingId = request.path_id("recording")?;
    let upload = Upload::new(request.json()?, &request)?;
    let media = upload.announce(&access, &caller, &id, request.now()).await?;
    let key = ObjectKey::original(&caller.tenant.project_id, &id, &media.id, media.content_type);
    let signed = objects.sign_upload(&key, media.content_type, media.declared_size, media.declared_sha256).await?;
    Reply::ok(&Answer::new(&media, signed))
}

/// What to sign for.
enum Upload {
    /// A new medium.
    New(Box<Media>),
    /// A pending medium, with what is now declared of it.
    Again(Renewal),
}

impl Upload {
    fn new(body: Body, request: &Request) -> Result<Self, Error> {
        let size = body.file_size_bytes.as_ref().map(FileSize::from_json).transpose()?;
        let content_type = ContentType::declared(body.media_type, body.content_type.as_deref())?;
        let declares_type = body.media_type.is_some() || body.content_type.is_some();
        let url_expires_at = request.now().plus_seconds(URL_SECONDS.into());
        Ok(match body.media_id {
            Some(media_id) => Self::Again(Renewal {
                media_id,
                content_type: declares_type.then_some(content_type),
                size,
                sha256: body.content_sha256,
                captured_at: body.captured_at,
                url_expires_at,
            }),
            None => {
                let id = MediaId::new(request.now(), request.entropy());
                let mut media = Media::new(id, content_type, url_expires_at, request.now());
                (media.declared_size, media.declared_sha256) = (size, body.content_sha256);
                media.declared_captured_at = body.captured_at;
                Self::New(Box::new(media))
            }
        })
    }

    async fn announce(
        &self,
        access: &Access,
        caller: &Caller,
        id: &RecordingId,
        now: Timestamp,
    ) -> Result<Media, Error> {
        let (media_id, recording) = match self {
            Self::New(media) => (&media.id, access.store().add_media(&caller.reach(), id, media, now).await?),
            Self::Again(renewal) => {
                (&renewal.media_id, access.store().renew_media(&caller.reach(), id, renewal, now).await?)
            }
        };
        recording.media.get(media_id).cloned().ok_or_else(|| Error::internal("the medium was not kept"))
    }
}

impl Answer {
    fn new(media: &Media, signed: SignedUpload) -> Self {
        Self {
            media_id: media.id.to_string(),
            upload_url: signed.url,
            method: "PUT",
            headers: signed.headers,
            content_type: media.content_type.as_str(),
            expires_at: media.url_expires_at.to_string(),
            expires_in: URL_SECONDS,
        }
    }
}

#[cfg(test)]
mod tests;
