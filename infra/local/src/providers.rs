//! The transcription providers of a stack on one machine: those that the environment of `cargo run` names.

use std::collections::BTreeMap;

/// Names an OpenAI-compatible server, and makes it the provider.
pub const TRANSCRIBE_URL: &str = "CAPSTAN_TRANSCRIBE_URL";

/// How to get a transcript.
pub const HOW: &str = "set CAPSTAN_TRANSCRIBE_URL to an OpenAI-compatible server, such as that of \
    `whisper-server -m ggml-base.en.bin --convert --inference-path /v1/audio/transcriptions` (whisper.cpp) at \
    http://127.0.0.1:8080";

/// The variables of the functions that speak to providers, as a deployment has them.
const VARIABLES: [&str; 11] = [
    "ASSEMBLYAI_API_KEY",
    "ASSEMBLYAI_URL",
    "DEEPGRAM_API_KEY",
    "DEEPGRAM_MODEL",
    "DEEPGRAM_URL",
    "TRANSCRIPTION_PROVIDERS",
    "WHISPER_API_KEY",
    "WHISPER_LARGEST_BYTES",
    "WHISPER_LONGEST_SECONDS",
    "WHISPER_MODEL",
    "WHISPER_URL",
];

/// What this process was given for its functions.
#[must_use]
pub fn of_environment() -> BTreeMap<String, String> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut variables: BTreeMap<_, _> =
        VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), given(name)?))).collect();
    if let Some(url) = given(TRANSCRIBE_URL) {
        variables.insert("WHISPER_URL".to_owned(), url);
        variables.entry("TRANSCRIPTION_PROVIDERS".to_owned()).or_insert_with(|| "whisper".to_owned());
    }
    variables
}
