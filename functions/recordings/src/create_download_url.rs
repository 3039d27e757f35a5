//! `POST` and `GET /v1/recordings/{id}/download-url`

use capstan_domain::{Action, Error, Media, MediaId, MediaStatus, Recording, RenditionId};
use capstan_http::{Access, Refusals, Reply, Request};
use capstan_objects::{ObjectKey, ObjectLocation, Objects, SignedDownload};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The file to download: either `media_id` or `rendition_id`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = DownloadRequest)]
pub struct Body {
    /// Identifier of a media file.
    #[schema(value_type = Option<String>)]
    media_id: Option<MediaId>,
    /// Identifier of a rendition.
    #[schema(value_type = Option<String>)]
    rendition_id: Option<RenditionId>,
    /// File name with which a browser saves the file, at most 255 characters.
    #[schema(max_length = 255)]
    download_filename: Option<String>,
}

/// Presigned download URL of a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DownloadUrl)]
pub struct Answer {
    /// Presigned URL, for GET. `Range` requests work.
    download_url: String,
    /// Identifier of the media file.
    media_id: String,
    /// Identifier of the rendition, if one was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rendition_id: Option<String>,
    /// MIME type of the file.
    content_type: &'static str,
    /// Size in bytes.
    #[schema(required)]
    file_size_bytes: Option<u64>,
    /// When the URL expires.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Seconds until the expiry.
    expires_in: u32,
}

/// Handles both routes.
///
/// # Errors
/// Those of [`create_download_url`] and [`get_download_url`].
pub async fn handle(dependencies: (Access, Objects), request: Request) -> Result<Reply, Error> {
    match request.method() {
        "GET" => get_download_url(dependencies, request).await,
        _ => create_download_url(dependencies, request).await,
    }
}

/// Signs a download URL for a media file or a rendition.
///
/// # Errors
/// [`Error::NotFound`], [`Error::MediaNotUploaded`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/download-url", operation_id = "createDownloadUrl",
    summary = "Create a download URL",
    description = "Returns a presigned URL for a media file or a rendition.",
    tag = "Downloads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:read"])),
    params(("id" = String, Path, description = "The recording.")),
    request_body = Body,
    responses((status = 200, description = "Presigned download URL.", body = Answer), Refusals),
)]
pub async fn create_download_url(dependencies: (Access, Objects), request: Request) -> Result<Reply, Error> {
    let wanted = Wanted::in_body(&request);
    answer(dependencies, &request, wanted).await
}

/// As [`create_download_url`], with the file in the query.
///
/// # Errors
/// [`Error::NotFound`], [`Error::MediaNotUploaded`], [`Error::Invalid`].
#[utoipa::path(
    get, path = "/v1/recordings/{id}/download-url", operation_id = "getDownloadUrl",
    summary = "Create a download URL from query parameters",
    description = "For browsers: the same operation with the file in the query.",
    tag = "Downloads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:read"])),
    params(
        ("id" = String, Path, description = "The recording."),
        ("media_id" = Option<String>, Query, description = "Identifier of a media file."),
        ("rendition_id" = Option<String>, Query, description = "Identifier of a rendition."),
        ("download_filename" = Option<String>, Query, description = "File name with which a browser saves the file."),
    ),
    responses((status = 200, description = "Presigned download URL.", body = Answer), Refusals),
)]
pub async fn get_download_url(dependencies: (Access, Objects), request: Request) -> Result<Reply, Error> {
    let wanted = Wanted::in_query(&request);
    answer(dependencies, &request, wanted).await
}

async fn answer(
    (access, objects): (Access, Objects),
    request: &Request,
    wanted: Result<Wanted, Error>,
) -> Result<Reply, Error> {
    let (_, recording) = access.recording(request, Action::ReadRecordings).await?;
    let wanted = wanted?;
    let file = File::of(&recording, &wanted)?;
    let signer = objects.signer(request.received_at()).await?;
    let signed = signer.download(file.place.clone(), file.mime_type, wanted.filename.as_deref()).await?;
    Reply::ok(&file.answer(signed))
}

enum Choice {
    Primary,
    Media(MediaId),
    Rendition(RenditionId),
}

struct Wanted {
    choice: Choice,
    filename: Option<String>,
}

impl Wanted {
    fn in_body(request: &Request) -> Result<Self, Error> {
        let body: Body = request.json()?;
        let choice = body.choice().ok_or_else(|| Error::invalid("media_id", "is required, or rendition_id"))?;
        Self::new(choice, body.download_filename)
    }

    fn in_query(request: &Request) -> Result<Self, Error> {
        let body = Body {
            media_id: request.query("media_id", "must be a media id")?,
            rendition_id: request.query("rendition_id", "must be a rendition id")?,
            download_filename: request.query("download_filename", "must be text")?,
        };
        Self::new(body.choice().unwrap_or(Choice::Primary), body.download_filename)
    }

    fn new(choice: Choice, filename: Option<String>) -> Result<Self, Error> {
        if filename.as_ref().is_some_and(|name| name.chars().count() > 255) {
            return Err(Error::invalid("download_filename", "must be at most 255 characters"));
        }
        Ok(Self { choice, filename })
    }
}

impl Body {
    fn choice(&self) -> Option<Choice> {
        let rendition = self.rendition_id.clone().map(Choice::Rendition);
        rendition.or_else(|| self.media_id.clone().map(Choice::Media))
    }
}

/// What is signed for.
struct File<'a> {
    place: ObjectLocation,
    media: &'a Media,
    rendition_id: Option<String>,
    mime_type: &'static str,
    size_bytes: Option<u64>,
}

impl<'a> File<'a> {
    fn of(recording: &'a Recording, wanted: &Wanted) -> Result<Self, Error> {
        let (project, id) = (&recording.tenant.project_id, &recording.id);
        let media = match &wanted.choice {
            Choice::Rendition(rendition_id) => {
                let found = recording.rendition(rendition_id);
                let (media, rendition) = found.ok_or(Error::NotFound { what: "rendition" })?;
                return Ok(Self {
                    place: ObjectKey::rendition(project, id, &media.id, rendition.kind).into(),
                    media,
                    rendition_id: Some(rendition_id.to_string()),
                    mime_type: rendition.kind.mime_type(),
                    size_bytes: Some(rendition.size_bytes),
                });
            }
            Choice::Media(media_id) => recording.media.get(media_id).ok_or(Error::NotFound { what: "media file" })?,
            Choice::Primary => recording.primary().ok_or(Error::MediaNotUploaded { missing: Vec::new() })?,
        };
        if media.status() == MediaStatus::Pending {
            return Err(Error::MediaNotUploaded { missing: vec![media.id.clone()] });
        }
        Ok(Self {
            place: ObjectLocation::of(recording, media),
            media,
            rendition_id: None,
            mime_type: media.content_type.as_str(),
            size_bytes: media.size_bytes(),
        })
    }

    fn answer(self, signed: SignedDownload) -> Answer {
        Answer {
            download_url: signed.url,
            media_id: self.media.id.to_string(),
            rendition_id: self.rendition_id,
            content_type: self.mime_type,
            file_size_bytes: self.size_bytes,
            expires_at: signed.validity.until.to_string(),
            expires_in: signed.validity.seconds,
        }
    }
}

#[cfg(test)]
mod tests;
