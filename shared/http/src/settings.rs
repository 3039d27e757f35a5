//! Settings in responses.

use capstan_domain::{Language, ProviderName, Settings, TranscriptionSettings};
use serde::Serialize;
use utoipa::ToSchema;

/// Settings of a project's live or test data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settings)]
pub struct SettingsBody {
    /// Transcription of the project's recordings.
    pub transcription: TranscriptionSettingsBody,
    /// When the settings were last replaced. Null if never.
    #[schema(required, format = DateTime)]
    pub updated_at: Option<String>,
}

/// Transcription settings of a project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptionSettings)]
pub struct TranscriptionSettingsBody {
    /// Whether every recording is transcribed after processing.
    pub automatic: bool,
    /// `whisper`, `aws`, `deepgram` or `assemblyai`. Null: the deployment's preferred provider.
    #[schema(required, pattern = "^(whisper|aws|deepgram|assemblyai)$")]
    pub provider: Option<&'static str>,
    /// Spoken language. Null: detected by the provider.
    #[schema(required, example = "en")]
    pub language: Option<String>,
    /// Whether speakers are labelled, if the provider supports it.
    pub diarization: bool,
}

impl From<&Settings> for SettingsBody {
    fn from(settings: &Settings) -> Self {
        let TranscriptionSettings { automatic, options } = &settings.transcription;
        Self {
            transcription: TranscriptionSettingsBody {
                automatic: *automatic,
                provider: options.provider.map(ProviderName::as_str),
                language: options.language.as_ref().map(Language::to_string),
                diarization: options.diarization,
            },
            updated_at: settings.updated_at.map(|at| at.to_string()),
        }
    }
}
