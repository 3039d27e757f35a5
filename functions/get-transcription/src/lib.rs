//! `GET /v1/transcriptions/{id}`

use capstan_domain::{Action, Error, Transcription};
use capstan_http::{Access, Refusals, Reply, Request, TranscriptionBody};
use capstan_objects::Objects;

/// Gives one transcription with its text.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/transcriptions/{id}", operation_id = "getTranscription", tag = "Transcriptions",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:read"])),
    params(("id" = String, Path, description = "The transcription.")),
    responses((status = 200, description = "The transcription.", body = TranscriptionBody), Refusals),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
    let read = async { access.store().transcription(&request.path_id("transcription")?).await };
    let (caller, found) = access.caller_beside(&request, Action::ReadTranscriptions, read).await?;
    let transcription = Transcription::of(&caller.tenant, found)?;
    let transcript = objects.transcript(&transcription).await?;
    Reply::ok(&TranscriptionBody::new(&transcription, transcript.as_ref()))
}

#[cfg(test)]
mod tests;
