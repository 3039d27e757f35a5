//! `GET /v1/transcriptions`

use capstan_domain::{Action, Caller, Error, Recording, RecordingId, Transcription, TranscriptionId};
use capstan_http::{Access, Refusals, Reply, Request, TranscriptionPage};
use capstan_objects::Objects;
use capstan_store::{Page, Store};

/// Lists transcriptions with their transcripts, newest first.
///
/// # Errors
/// [`Error::Invalid`] of a query parameter, [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/transcriptions", operation_id = "listTranscriptions",
    summary = "List transcriptions",
    description = "Newest first, with their transcripts.",
    tag = "Transcriptions",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:read"])),
    params(
        ("recording_id" = Option<String>, Query, description = "Only transcriptions of this recording."),
        ("limit" = Option<u8>, Query, description = "Maximum number of items, 1 to 100. Default 25."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
        ("offset" = Option<u16>, Query, description = "Number of items to skip, 0 to 10,000. Not with `cursor`."),
    ),
    responses((status = 200, description = "A page of transcriptions.", body = TranscriptionPage), Refusals),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
    let read = recording(access.store(), &request);
    let (caller, of) = access.caller_while_reading(&request, Action::ReadTranscriptions, read).await?;
    let page = list(access.store(), &caller, of, &request).await?;
    let read = |transcription: Transcription| {
        let objects = &objects;
        async move {
            let transcript = objects.transcript(&transcription).await?;
            Ok((transcription, transcript))
        }
    };
    Reply::ok(&TranscriptionPage::with_texts(page, read).await?)
}

/// Whose transcriptions are wanted.
enum Of {
    All,
    /// Those of a recording, if there is one of that id.
    Recording(Option<Box<Recording>>),
}

async fn recording(store: &Store, request: &Request) -> Result<Of, Error> {
    let wanted: Option<RecordingId> = request.query("recording_id", "must be a recording id")?;
    let Some(recording_id) = wanted else { return Ok(Of::All) };
    Ok(Of::Recording(store.recording(&recording_id).await?.map(Box::new)))
}

async fn list(
    store: &Store,
    caller: &Caller,
    of: Of,
    request: &Request,
) -> Result<Page<Transcription, TranscriptionId>, Error> {
    let query = request.page()?;
    let Of::Recording(found) = of else {
        return store.list_transcriptions(&caller.tenant, &query).await;
    };
    match found.and_then(|found| caller.visibility().admit(*found).ok()) {
        Some(recording) => store.list_transcriptions_of(&recording, &query).await,
        // As with every filter of a list: what there is not has none.
        None => Ok(Page { entities: Vec::new(), next: None }),
    }
}

#[cfg(test)]
mod tests;
