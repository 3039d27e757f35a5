//! `GET /v1/transcriptions/{id}/export`

use capstan_domain::{Action, Error, ExportFormat, Timestamp, Transcription};
use capstan_http::{Access, ErrorBody, File, Refusals, Reply, Request};
use capstan_objects::{ObjectKey, Objects};

/// Returns a transcript as a file.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`], [`Error::Invalid`].
#[utoipa::path(
    get, path = "/v1/transcriptions/{id}/export", operation_id = "exportTranscription",
    summary = "Export a transcription",
    description = "Returns the transcript as a file. A file over 4.5 MB is returned as a redirect to a presigned URL.",
    tag = "Transcriptions",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:read"])),
    params(
        ("id" = String, Path, description = "The transcription."),
        ("format" = Option<String>, Query, description = "`txt` (default), `srt`, `vtt` or `json`."),
    ),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/plain; charset=utf-8"), (String = "application/x-subrip; charset=utf-8"),
            (String = "text/vtt; charset=utf-8"), (String = "application/json"),
        )),
        (status = 302, description = "The file is over 4.5 MB. `Location` is a presigned URL, valid for an hour."),
        (status = 409, description = "The transcription is not completed.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
    let (_, transcription) = access.transcription(&request, Action::ReadTranscriptions).await?;
    let format = request.query("format", ExportFormat::RULE)?.unwrap_or(ExportFormat::Txt);
    let file = export(&objects, &transcription, format).await?;
    if file.fits() {
        return Ok(Reply::file(file));
    }
    let key = ObjectKey::export(&transcription, format);
    store(&objects, &key, file, request.received_at()).await
}

async fn export(objects: &Objects, transcription: &Transcription, format: ExportFormat) -> Result<File, Error> {
    transcription.require_completed()?;
    // It is gone with its recording.
    let found = objects.transcript(transcription).await?;
    let transcript = found.ok_or(Error::NotFound { what: "transcription" })?;
    let name = format!("{}.{}", transcription.id, format.as_str());
    Ok(File { name, mime_type: format.mime_type(), text: format.write(&transcript) })
}

/// Keeps a file that is too large for an answer, and answers where it is. It goes with its recording.
async fn store(objects: &Objects, key: &ObjectKey, file: File, now: Timestamp) -> Result<Reply, Error> {
    let signer = objects.signer(now).await?;
    objects.put_text(key, file.mime_type, file.text).await?;
    Ok(Reply::at(signer.download(key, file.mime_type, Some(&file.name)).await?.url))
}

#[cfg(test)]
mod tests;
