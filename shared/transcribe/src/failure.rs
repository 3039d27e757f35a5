//! How a provider fails.

use std::time::Duration;

use capstan_domain::{TranscriptionError, TranscriptionErrorCode};

/// Why there is no answer, and what to do about it. No text in it holds a key or a URL.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// It passes: try again, a bounded number of times.
    #[error("later: {reason}")]
    Later {
        /// `Retry-After` of the provider, at most a day.
        retry_after: Option<Duration>,
        /// For the log.
        reason: String,
    },
    /// Trying again cannot help.
    #[error("refused: {0}")]
    Refused(TranscriptionError),
    /// The response does not match the provider's reference. It may come from a proxy, so the request is retried once.
    #[error("makes no sense: {reason}")]
    Nonsense {
        /// For the log.
        reason: String,
    },
}

/// Why a callback is not acted on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallbackFailure {
    /// It does not carry the token of the job: it is not from the provider.
    #[error("the callback is not authentic")]
    NotAuthentic,
    /// It is from the provider, and there is no transcript.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Failure {
    pub(crate) fn later(reason: impl Into<String>) -> Self {
        Self::Later { retry_after: None, reason: reason.into() }
    }

    pub(crate) fn nonsense(reason: impl Into<String>) -> Self {
        Self::Nonsense { reason: reason.into() }
    }

    pub(crate) fn refused(code: TranscriptionErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(TranscriptionError::new(code, message))
    }

    /// A refusal in the provider's words: nothing else says what is wrong with the audio.
    pub(crate) fn refused_with(words: &str) -> Self {
        use TranscriptionErrorCode::{AudioCorrupt, AudioTooShort, ProcessingError, UnsupportedFormat};
        let small = words.to_ascii_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| small.contains(phrase));
        let code = if says(&["too short", "long enough", "shorter than"]) {
            AudioTooShort
        } else if says(FORMAT) {
            UnsupportedFormat
        } else if says(&["corrupt", "decode", "failed to read audio", "no audio", "not contain audio"]) {
            AudioCorrupt
        } else {
            ProcessingError
        };
        Self::refused(code, redacted(words))
    }
}

/// By which the providers' words tell that it is the kind of file, and not what is in it.
const FORMAT: &[&str] = &[
    "unsupported media",
    "unsupported format",
    "invalid file format",
    "media format",
    "language",
    "too large",
    "too long",
    "longer than",
    "number of channels",
    "sample rate",
];
const LONGEST_WORDS: usize = 300;

/// A provider's words without the URLs and what else it repeats to us, on one line, and not too many.
pub(crate) fn redacted(words: &str) -> String {
    let mut clean = String::new();
    for word in words.split_whitespace() {
        let start =
            ["http://", "https://", "s3://"].iter().filter_map(|scheme| word.to_ascii_lowercase().find(scheme)).min();
        let signed = word.contains("X-Amz-");
        let shown = match start {
            Some(start) => format!("{}(URL)", &word[..start]),
            None if signed => "(URL)".to_owned(),
            None => word.to_owned(),
        };
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.push_str(&shown);
    }
    match clean.char_indices().nth(LONGEST_WORDS) {
        Some((end, _)) => format!("{}...", &clean[..end]),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_url_and_no_essay_reaches_a_reader() {
        assert_eq!(
            redacted(
                "Download error, unable to download\n'HTTPS://b.s3.amazonaws.com/k?X-Amz-Signature=abc'. Check (s3://b/k)."
            ),
            "Download error, unable to download '(URL) Check ((URL)"
        );
        assert_eq!(redacted("bucket/key?X-Amz-Signature=abc gone"), "(URL) gone");
        assert_eq!(redacted(&"ö".repeat(1000)).chars().count(), LONGEST_WORDS + 3);
    }

    #[test]
    fn messages_quote_the_provider() {
        use TranscriptionErrorCode::{AudioCorrupt, AudioTooShort, ProcessingError, UnsupportedFormat};
        for (words, code) in [
            ("Audio file is too short. Minimum audio length is 0.1 seconds.", AudioTooShort),
            ("Audio duration is too short.", AudioTooShort),
            ("Bad Request: failed to process audio: corrupt or unsupported data", AudioCorrupt),
            ("failed to read audio data", AudioCorrupt),
            ("Unsupported media format", UnsupportedFormat),
            ("Invalid file format. Supported formats: ['flac', 'm4a']", UnsupportedFormat),
            ("Invalid file size: file size too large", UnsupportedFormat),
            ("No such model/language/tier combination found.", UnsupportedFormat),
            ("Something else went wrong", ProcessingError),
        ] {
            let Failure::Refused(error) = Failure::refused_with(words) else { panic!("{words}") };
            assert_eq!(error.code, code, "{words}");
        }
    }
}
