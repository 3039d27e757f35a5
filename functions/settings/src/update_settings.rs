//! `PUT /v1/settings`

use capstan_domain::{
    Action, Caller, Error, Language, ProviderName, ProviderNames, Settings, Timestamp, TranscriptionOptions,
    TranscriptionSettings,
};
use capstan_http::{Access, Refusals, Reply, Request, SettingsBody};
use serde::Deserialize;
use utoipa::ToSchema;

/// Settings of a project. Absent fields get their defaults.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewSettings)]
pub struct Body {
    /// Transcription of the project's recordings.
    transcription: Option<Transcription>,
}

/// Transcription settings. Absent fields get their defaults.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = NewTranscriptionSettings)]
pub struct Transcription {
    /// Whether to transcribe every recording after processing. Default false.
    automatic: Option<bool>,
    /// Provider. Default: the deployment's preferred provider.
    #[schema(value_type = Option<String>, pattern = "^(whisper|aws|deepgram|assemblyai)$")]
    provider: Option<ProviderName>,
    /// Spoken language. Detected by the provider by default.
    #[schema(value_type = Option<String>, example = "en")]
    language: Option<Language>,
    /// Whether to label speakers, if the provider supports it. Default true.
    diarization: Option<bool>,
}

/// Replaces the settings of the caller's tenant.
///
/// # Errors
/// [`Error::NotTranscribable`] when the deployment has no such provider, [`Error::Invalid`].
#[utoipa::path(
    put, path = "/v1/settings", operation_id = "updateSettings",
    summary = "Replace settings",
    description = "Replaces all settings of the project's live or test data. Absent fields get their defaults.",
    tag = "Settings",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:write"])),
    request_body = Body,
    responses((status = 200, description = "The new settings.", body = SettingsBody), Refusals),
)]
pub async fn handle((access, providers): (Access, ProviderNames), request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteTranscriptions).await?;
    let settings = request.json::<Body>()?.settings(caller, &providers, request.now())?;
    access.store().put_settings(&settings).await?;
    Reply::ok(&SettingsBody::from(&settings))
}

impl Body {
    fn settings(self, caller: Caller, providers: &ProviderNames, now: Timestamp) -> Result<Settings, Error> {
        let Transcription { automatic, provider, language, diarization } = self.transcription.unwrap_or_default();
        let unset = TranscriptionOptions::default();
        let diarization = diarization.unwrap_or(unset.diarization);
        let automatic = automatic.unwrap_or_default();
        if automatic || provider.is_some() {
            providers.choose(provider).map_err(Error::NotTranscribable)?;
        }
        let options = TranscriptionOptions { provider, language, diarization };
        let transcription = TranscriptionSettings { automatic, options };
        Ok(Settings { tenant: caller.tenant, transcription, updated_at: Some(now) })
    }
}

#[cfg(test)]
mod tests;
