//! What a project has set.

use serde::{Deserialize, Serialize};

use crate::{Tenant, Timestamp, TranscriptionOptions};

/// How a project's recordings are transcribed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptionSettings {
    /// Whether every recording is, as soon as it is processed.
    pub automatic: bool,
    /// What is asked for where nobody asks for anything else.
    pub options: TranscriptionOptions,
}

/// What a project has set, for its live or its test data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whose they are.
    pub tenant: Tenant,
    /// How its recordings are transcribed.
    pub transcription: TranscriptionSettings,
    /// When they were last changed; `None` as long as they never were.
    pub updated_at: Option<Timestamp>,
}

impl Settings {
    /// What holds for who has set nothing.
    pub fn unset(tenant: Tenant) -> Self {
        Self { tenant, transcription: TranscriptionSettings::default(), updated_at: None }
    }
}
