//! `POST /api/files/upload-s3/generate-presigned-urls` and `POST /open/partner/files/upload/generate-presigned-urls`

mod upload;

use capstan_domain::{Action, Error, FileSize, FileType};
use capstan_http::{Access, Refusals, Reply, Request};
use capstan_objects::Objects;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use upload::Upload;

/// A file to be uploaded.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewFile)]
pub struct Body {
    /// Its size in bytes. Required.
    #[schema(value_type = u64, minimum = 1)]
    filesize: Option<Number>,
    /// `opus`, `mp3`, `wav`, `m4a`, `ogg`, `flac`, `webm` or `aac`. Required.
    #[schema(value_type = String, example = "opus")]
    filetype: Option<String>,
}

/// Leave to upload a file in parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileUpload)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    /// Names the file. The recording that it is has the same name behind `rec_`.
    #[schema(pattern = "^file_")]
    file_id: String,
    /// S3's name for the upload.
    upload_id: String,
    /// The size in bytes of every part but the last.
    chunk_size: u64,
    /// The parts, to be sent with PUT in any order.
    parts: Vec<Part>,
}

/// A part to be uploaded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FilePart)]
#[serde(rename_all = "PascalCase")]
pub struct Part {
    /// Which.
    part_number: u16,
    /// Where to send it.
    presigned_url: String,
}

/// Makes a recording of one file and signs for its upload in parts.
///
/// # Errors
/// [`Error::FileSizeInvalid`], [`Error::FileTypeInvalid`], [`Error::Invalid`], [`Error::Unauthorized`],
/// [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/files/upload-s3/generate-presigned-urls", operation_id = "createFileUpload", tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = [])),
    request_body = Body,
    responses((status = 200, description = "Leave to upload.", body = Answer), Refusals),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
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
        let size = FileSize::from_json(&size).map_err(|error| error.of_field("filesize"))?;
        let file_type = self.filetype.ok_or_else(|| Error::required("filetype"))?;
        let known = file_type.parse().map_err(|rule| Error::file_type(rule).of_field("filetype"))?;
        Ok((size, known))
    }
}

#[cfg(test)]
mod tests;
