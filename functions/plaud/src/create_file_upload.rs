//! `POST /api/files/upload-s3/generate-presigned-urls` and `POST /open/partner/files/upload/generate-presigned-urls`

mod upload;

use capstan_domain::{Action, Error, FileSize, FileType};
use capstan_http::{Refusals, Reply, Request};
use capstan_objects::Objects;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use upload::Upload;

use crate::credential::PlaudAccess;
use crate::field::field_name;

/// A file to upload.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewFile)]
pub struct Body {
    /// Size in bytes. Required.
    #[schema(value_type = u64, minimum = 1)]
    filesize: Option<Number>,
    /// `opus`, `mp3`, `wav`, `m4a`, `ogg`, `flac`, `webm` or `aac`. Required.
    #[schema(value_type = String, example = "opus")]
    filetype: Option<String>,
}

/// Presigned URLs of a file's parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileUpload)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    /// Identifier of the file. The identifier of the recording has the prefix `rec_` instead.
    #[schema(pattern = "^file_")]
    file_id: String,
    /// S3's identifier of the multipart upload.
    upload_id: String,
    /// Size of every part except the last, in bytes.
    chunk_size: u64,
    /// The parts, to PUT in any order.
    parts: Vec<Part>,
}

/// A part to upload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FilePart)]
#[serde(rename_all = "PascalCase")]
pub struct Part {
    /// Number of the part.
    part_number: u16,
    /// Presigned URL, for PUT.
    presigned_url: String,
}

/// Creates a recording with one file, and signs URLs for its parts.
///
/// # Errors
/// [`Error::FileSizeInvalid`], [`Error::FileTypeInvalid`], [`Error::Invalid`], [`Error::Unauthorized`],
/// [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/files/upload-s3/generate-presigned-urls", operation_id = "createFileUpload",
    summary = "Create the upload of a file",
    description = "Creates a recording with one audio file, and returns presigned URLs for its parts. Upload each part \
        with PUT, then complete the upload.",
    tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = [])),
    request_body = Body,
    responses((status = 200, description = "Presigned upload URLs.", body = Answer), Refusals),
)]
pub async fn handle((access, objects): (PlaudAccess, Objects), request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::CreateRecording).await?;
    let (size, file_type) = request.json::<Body>()?.check()?;
    let signer = objects.signer(request.received_at()).await?;
    let begun = Upload::new(&caller, file_type, &request).begin(&objects, &signer, size).await?;
    let kept = access.store().create_recording(begun.recording.clone()).await?;
    Reply::ok(&begun.answer(&objects, &signer, kept).await?)
}

impl Body {
    fn check(self) -> Result<(FileSize, FileType), Error> {
        let size = self.filesize.ok_or_else(|| Error::required("filesize"))?;
        let size = FileSize::from_json(&size).map_err(|error| error.with_field_name(field_name))?;
        let file_type = self.filetype.ok_or_else(|| Error::required("filetype"))?;
        let known = file_type.parse().map_err(|rule| Error::file_type(rule).with_field_name(field_name))?;
        Ok((size, known))
    }
}

#[cfg(test)]
mod tests;
