//! What a project has set, as clients see it.

use capstan_domain::{Language, ProviderName, Settings, TranscriptionSettings};
use serde::Serialize;
use utoipa::ToSchema;

/// What a project has set, for its live or its test data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settings)]
pub struct SettingsBody {
    /// How its recordings are transcribed.
    pub transcription: TranscriptionSettingsBody,
    /// When they were last set; null as long as they never were.
    #[schema(required, format = DateTime)]
    pub updated_at: Option<String>,
}

/// How a project's recordings are transcribed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptionSettings)]
pub struct TranscriptionSettingsBody {
    /// Whether every recording is, as soon as it is processed.
    pub automatic: bool,
    /// Who transcribes: `whisper`, `aws`, `deepgram` or `assemblyai`; null is the deployment's preferred provider.
    #[schema(required, pattern = "^(whisper|aws|deepgram|assemblyai)$")]
    pub provider: Option<&'static str>,
    /// The language that is spoken; null leaves it to the provider to find out.
    #[schema(required, example = "en")]
    pub language: Option<String>,
    /// Whether to tell the speakers apart, where the provider can.
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
