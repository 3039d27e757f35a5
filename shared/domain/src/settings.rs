//! Settings of a project.

use serde::{Deserialize, Serialize};

use crate::{Tenant, Timestamp, TranscriptionOptions};

/// Transcription settings of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptionSettings {
    /// Whether every recording is transcribed after processing.
    pub automatic: bool,
    /// Default options.
    pub options: TranscriptionOptions,
}

/// Settings of a project's live or test data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whose they are.
    pub tenant: Tenant,
    /// Transcription of its recordings.
    pub transcription: TranscriptionSettings,
    /// When they were last replaced; `None` if never.
    pub updated_at: Option<Timestamp>,
}

impl Settings {
    /// The default settings.
    pub fn unset(tenant: Tenant) -> Self {
        Self { tenant, transcription: TranscriptionSettings::default(), updated_at: None }
    }
}
