//! Transcription providers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{TranscriptionError, TranscriptionErrorCode};

/// A transcription provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderName {
    /// Any server that speaks OpenAI's `POST /v1/audio/transcriptions`.
    Whisper,
    /// Amazon Transcribe.
    Aws,
    /// Deepgram.
    Deepgram,
    /// AssemblyAI.
    AssemblyAi,
}

impl ProviderName {
    /// Every provider.
    pub const ALL: [Self; 4] = [Self::Whisper, Self::Aws, Self::Deepgram, Self::AssemblyAi];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whisper => "whisper",
            Self::Aws => "aws",
            Self::Deepgram => "deepgram",
            Self::AssemblyAi => "assemblyai",
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProviderName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|provider| provider.as_str() == text);
        known.ok_or("must be one of whisper, aws, deepgram, assemblyai")
    }
}

/// The providers that a deployment has, the preferred one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderNames(Vec<ProviderName>);

impl ProviderNames {
    /// That provider, or the preferred one.
    ///
    /// # Errors
    /// `provider_not_configured` when the deployment has none of that name.
    pub fn choose(&self, wanted: Option<ProviderName>) -> Result<ProviderName, TranscriptionError> {
        let found = match wanted {
            Some(name) => self.0.iter().find(|known| **known == name),
            None => self.0.first(),
        };
        found.copied().ok_or_else(|| {
            let name = wanted.map_or("any provider", ProviderName::as_str);
            let message = format!("This deployment is not set up for {name}");
            TranscriptionError::new(TranscriptionErrorCode::ProviderNotConfigured, message)
        })
    }

    /// All providers.
    pub fn iter(&self) -> impl Iterator<Item = ProviderName> {
        self.0.iter().copied()
    }
}

impl FromStr for ProviderNames {
    type Err = &'static str;

    /// Names separated by commas. An empty text means none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_provider_of_a_deployment_is_the_preferred_one() {
        let names: ProviderNames = "deepgram, whisper".parse().unwrap();
        assert_eq!(names.choose(None), Ok(ProviderName::Deepgram));
        assert_eq!(names.choose(Some(ProviderName::Whisper)), Ok(ProviderName::Whisper));
        let missing = names.choose(Some(ProviderName::Aws)).unwrap_err();
        assert_eq!(missing.to_string(), "provider_not_configured: This deployment is not set up for aws");
        let none: ProviderNames = "".parse().unwrap();
        assert!(none.choose(None).is_err());
        assert!("whisper,otter".parse::<ProviderNames>().is_err());
    }
}
