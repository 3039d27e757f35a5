//! `POST /v1/transcriptions` and `POST /v1/recordings/{id}/transcribe`

use capstan_domain::{
    Action, Error, Language, ProviderName, ProviderNames, Recording, RecordingId, Transcription,
    TranscriptionEventType, TranscriptionId, TranscriptionOptions,
};
use capstan_events::Events;
use capstan_http::{Access, ErrorBody, Refusals, Reply, Request, TranscriptionBody};
use capstan_outbox::Outbox;
use capstan_store::Store;
use futures_util::future::try_join;
use serde::Deserialize;
use utoipa::ToSchema;

/// A transcription to create. Absent fields are taken from the settings.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewTranscription)]
pub struct Body {
    /// Identifier of the recording. Required unless the path has it.
    #[schema(value_type = Option<String>, nullable = false)]
    recording_id: Option<RecordingId>,
    /// Spoken language, such as `en` or `pt-BR`. Default from the settings, else detected.
    #[schema(value_type = Option<String>, example = "en")]
    language: Option<Language>,
    /// Whether to label speakers, if the provider supports it. Default from the settings.
    diarization: Option<bool>,
    /// Provider. Default from the settings, else the deployment's preferred provider.
    #[schema(value_type = Option<String>, pattern = "^(whisper|aws|deepgram|assemblyai)$")]
    provider: Option<ProviderName>,
}

/// Credentials, the bus, and the providers that the deployment has.
pub type Dependencies = (Access, Events, ProviderNames);

/// Handles both routes.
///
/// # Errors
/// Those of [`create_transcription`].
pub async fn handle(dependencies: Dependencies, request: Request) -> Result<Reply, Error> {
    match request.route() {
        "POST /v1/recordings/{id}/transcribe" => transcribe_recording(dependencies, request).await,
        _ => create_transcription(dependencies, request).await,
    }
}

/// Creates a transcription of a recording.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`], [`Error::NotTranscribable`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/v1/transcriptions", operation_id = "createTranscription",
    summary = "Create a transcription",
    description = "Requests a transcription of a completed recording. While another transcription of the recording is \
        pending or processing, it gets 409.",
    tag = "Transcriptions",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:write"])),
    request_body = Body,
    responses(
        (status = 201, description = "The new transcription.", body = TranscriptionBody),
        (status = 409, description = "The recording is not completed, or another transcription of it \
            is pending or processing.",
            body = ErrorBody),
        Refusals,
    ),
)]
pub async fn create_transcription(dependencies: Dependencies, request: Request) -> Result<Reply, Error> {
    let wanted = request.json::<Body>().and_then(|mut body| {
        let recording_id = body.recording_id.take().ok_or_else(|| Error::required("recording_id"))?;
        Ok((recording_id, body))
    });
    create(dependencies, &request, wanted).await
}

/// Creates a transcription of the recording in the path.
///
/// # Errors
/// Those of [`create_transcription`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/transcribe", operation_id = "transcribeRecording",
    summary = "Transcribe a recording",
    description = "Requests a transcription of a completed recording. While another transcription of the recording is \
        pending or processing, it gets 409.",
    tag = "Transcriptions",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:write"])),
    params(("id" = String, Path, description = "The recording.")),
    request_body = Option<Body>,
    responses(
        (status = 201, description = "The new transcription.", body = TranscriptionBody),
        (status = 409, description = "The recording is not completed, or another transcription of it \
            is pending or processing.",
            body = ErrorBody),
        Refusals,
    ),
)]
pub async fn transcribe_recording(dependencies: Dependencies, request: Request) -> Result<Reply, Error> {
    let wanted = request.path_id("recording").and_then(|id| Ok((id, request.json()?)));
    create(dependencies, &request, wanted).await
}

async fn create(
    (access, events, providers): Dependencies,
    request: &Request,
    wanted: Result<(RecordingId, Body), Error>,
) -> Result<Reply, Error> {
    let read = async {
        let (recording_id, body) = wanted?;
        Ok((access.store().recording(&recording_id).await?, body))
    };
    let (caller, (found, body)) = access.caller_while_reading(request, Action::WriteTranscriptions, read).await?;
    let recording = caller.visibility().admit(found.ok_or_else(Error::no_recording)?)?;
    let id = TranscriptionId::new(request.now(), request.entropy());
    let defaults = default_options(access.store(), &recording, &id).await?;
    let new = Transcription::new(id, &recording, body.options(defaults, &providers)?, request.now())?;
    let kept = access.store().create_transcription(new, &recording).await?;
    Outbox::new(access.store(), &events)
        .publish_transcription_or_retry_later(TranscriptionEventType::Due, &kept)
        .await?;
    Reply::created(&TranscriptionBody::new(&kept.as_created(), None))
}

/// The project's options.
///
/// # Errors
/// [`Error::Conflict`] while another transcription of the recording is under way.
async fn default_options(
    store: &Store,
    recording: &Recording,
    id: &TranscriptionId,
) -> Result<TranscriptionOptions, Error> {
    let newest = async {
        match recording.transcription_id().filter(|newest| *newest != id) {
            Some(newest) => store.transcription(newest).await,
            None => Ok(None),
        }
    };
    let (settings, newest) = try_join(store.settings(&recording.tenant), newest).await?;
    newest.map_or(Ok(()), |newest| newest.require_ended())?;
    Ok(settings.transcription.options)
}

impl Body {
    fn options(self, set: TranscriptionOptions, providers: &ProviderNames) -> Result<TranscriptionOptions, Error> {
        let provider = providers.choose(self.provider.or(set.provider)).map_err(Error::NotTranscribable)?;
        Ok(TranscriptionOptions {
            provider: Some(provider),
            language: self.language.or(set.language),
            diarization: self.diarization.unwrap_or(set.diarization),
        })
    }
}

#[cfg(test)]
mod tests;
