use std::borrow::Cow;
use std::fmt::Display;
use std::io;

use crate::Analysis;

/// Why a file was not processed. `Display` is meant for the person who made the recording.
///
/// Corrupt, unsupported and too short are properties of the bytes: trying again cannot help.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The bytes are of a supported type but contain no usable audio.
    #[error("{0}")]
    Corrupt(Cow<'static, str>),
    /// The bytes are whole but of a type, or with properties, that are not processed.
    #[error("{0}")]
    Unsupported(String),
    /// Less than one second of sound. The analysis is complete; nothing else was kept.
    #[error("The recording is shorter than one second ({} ms)", .analysis.duration_ms)]
    TooShort {
        /// Properties of the short audio.
        analysis: Box<Analysis>,
    },
    /// The source could not be read. This says nothing about the file: try again.
    #[error("The file could not be read: {0}")]
    Source(#[source] io::Error),
    /// The scratch directory could not be written. This says nothing about the file: try again.
    #[error("Scratch space could not be written: {0}")]
    Scratch(#[source] io::Error),
}

impl AudioError {
    pub(crate) const EMPTY: Self = Self::Corrupt(Cow::Borrowed("The file is empty: upload it again"));
    pub(crate) const NO_AUDIO_BYTES: Self =
        Self::Corrupt(Cow::Borrowed("The file is cut off or damaged before its audio begins: upload the whole file"));
    pub(crate) const DAMAGED: Self =
        Self::Corrupt(Cow::Borrowed("The file is damaged: less than half of its audio can be decoded"));

    pub(crate) fn unknown_type() -> Self {
        Self::unsupported("This is not an audio file of a supported type")
    }

    pub(crate) fn unknown_coding() -> Self {
        Self::unsupported("The audio codec of this file is not supported")
    }

    /// `reason` is a clause without a full stop. The message goes on with what to send instead.
    pub(crate) fn unsupported(reason: impl Display) -> Self {
        Self::Unsupported(format!("{reason}. Send Opus, AAC-LC, MP3, FLAC or WAV"))
    }
}
