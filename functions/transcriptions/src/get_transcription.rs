//! `GET /v1/transcriptions/{id}`

use capstan_domain::{Action, Error};
use capstan_http::{Access, Refusals, Reply, Request, TranscriptionBody};
use capstan_objects::Objects;

/// Returns a transcription with its transcript.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/transcriptions/{id}", operation_id = "getTranscription",
    summary = "Retrieve a transcription",
    description = "",
    tag = "Transcriptions",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:read"])),
    params(("id" = String, Path, description = "The transcription.")),
    responses((status = 200, description = "The transcription.", body = TranscriptionBody), Refusals),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
    let (_, transcription) = access.transcription(&request, Action::ReadTranscriptions).await?;
    let transcript = objects.transcript(&transcription).await?;
    Reply::ok(&TranscriptionBody::new(&transcription, transcript.as_ref()))
}

#[cfg(test)]
mod tests;
