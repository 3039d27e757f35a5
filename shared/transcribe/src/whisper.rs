//! Any server that speaks OpenAI's "Create transcription", `POST /v1/audio/transcriptions`: OpenAI, Groq, whisper.cpp's
//! server (started with `--inference-path /v1/audio/transcriptions`), speaches, LocalAI.
//!
//! It answers when it is done: there is nothing to ask later and no callback.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_config::SdkConfig;
use capstan_domain::{Confidence, ContentType, Language, Offset, Segment, Transcript};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request};
use serde::Deserialize;

use crate::http::{Answer, Unsuccessful, Wait, enclosed, length};
use crate::words::Voices;
use crate::{
    ApiKey, Callback, CallbackFailure, Failure, Http, Job, JobName, Limits, Polled, ProviderJobId, Started, Variables,
    given,
};

/// OpenAI: "Speech to text", supported file types.
const CONTENT_TYPES: &[ContentType] = &[
    ContentType::AudioFlac,
    ContentType::AudioMpeg,
    ContentType::AudioMp4,
    ContentType::VideoMp4,
    ContentType::AudioOgg,
    ContentType::AudioOpus,
    ContentType::AudioWav,
    ContentType::AudioWebm,
];
/// OpenAI: 25 MB, of which the form around the file is a part.
const LARGEST_REQUEST: u64 = 25 * 1024 * 1024;
const FORM: u64 = 4 * 1024;
/// Formats of OpenAI's models after Whisper. Whisper itself accepts more.
const LONGEST_SECONDS: u64 = 1_400;

/// See the module.
#[derive(Clone, Debug)]
pub struct Whisper {
    http: Http,
    url: String,
    key: Option<ApiKey>,
    model: String,
    limits: Limits,
    /// Until the server says that it knows no `verbose_json`.
    verbose: Arc<AtomicBool>,
}

impl Whisper {
    /// `WHISPER_URL` (with or without its `/v1`), and if needed `WHISPER_API_KEY`, `WHISPER_MODEL` (`whisper-1`),
    /// `WHISPER_LARGEST_BYTES` (25 MB) and `WHISPER_LONGEST_SECONDS` (1,400).
    pub(crate) fn configured(variables: Variables<'_>, http: &Http, _: &SdkConfig) -> Option<Self> {
        let number = |name| {
            let value = given(variables, name)?;
            let number = value.parse::<u64>().ok();
            if number.is_none() {
                tracing::warn!("{name} must be a whole number: the default stands in for it");
            }
            number
        };
        let base = given(variables, "WHISPER_URL")?;
        let base = base.trim_end_matches('/');
        let longest = number("WHISPER_LONGEST_SECONDS").unwrap_or(LONGEST_SECONDS);
        Some(Self {
            http: http.clone(),
            url: format!("{}/v1/audio/transcriptions", base.strip_suffix("/v1").unwrap_or(base)),
            key: given(variables, "WHISPER_API_KEY").map(ApiKey::new),
            model: given(variables, "WHISPER_MODEL").unwrap_or_else(|| "whisper-1".to_owned()),
            limits: Limits {
                content_types: CONTENT_TYPES,
                largest_bytes: number("WHISPER_LARGEST_BYTES").unwrap_or(LARGEST_REQUEST).saturating_sub(FORM),
                longest: Offset::from_milliseconds(longest.saturating_mul(1000)),
            },
            verbose: Arc::new(AtomicBool::new(true)),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) async fn start(&self, job: &Job) -> Result<Started, Failure> {
        let mut verbose = self.verbose.load(Ordering::Relaxed);
        let mut outcome = self.ask(job, verbose).await?;
        if let Err(refusal) = &outcome
            && verbose
            && is_about_form(refusal)
        {
            verbose = false;
            self.verbose.store(false, Ordering::Relaxed);
            outcome = self.ask(job, verbose).await?;
        }
        let answer = outcome.map_err(|refusal| refusal.failure(words(&refusal.body)))?;
        Ok(Started::Done(transcript(&answer, job)?))
    }

    async fn ask(&self, job: &Job, verbose: bool) -> Result<Result<Answer, Unsuccessful>, Failure> {
        let boundary = format!("capstan.{}", job.name);
        let (before, after) = self.form(job, verbose, &boundary);
        let size = before.len() as u64 + job.audio.size_bytes + after.len() as u64;
        let body = enclosed(before, self.http.audio(&job.audio).await?, after);
        let (name, value) = length(size);
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .header(name, value);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.header("Bearer ").map_err(|_| unusable())?);
        }
        self.http.exchange(request.body(body).map_err(|_| unusable())?, Wait::Patient).await
    }

    /// The bytes before and after the file in a form (RFC 7578).
    fn form(&self, job: &Job, verbose: bool, boundary: &str) -> (String, String) {
        let mut fields = vec![("model", self.model.as_str())];
        if let Some(language) = &job.language {
            // ISO 639-1, no region.
            fields.push(("language", language.primary()));
        }
        if verbose {
            fields.extend([("response_format", "verbose_json"), ("timestamp_granularities[]", "segment")]);
        } else {
            fields.push(("response_format", "json"));
        }
        let mut before = String::new();
        for (name, value) in fields {
            let _ = write!(before, "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        let content_type = job.audio.content_type;
        // Servers tell the format by the extension, and know no `opus`.
        let extension = if content_type == ContentType::AudioOpus { "ogg" } else { content_type.extension() };
        let _ = write!(
            before,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"audio.{extension}\"\r\n\
             Content-Type: {}\r\n\r\n",
            content_type.as_str()
        );
        (before, format!("\r\n--{boundary}--\r\n"))
    }

    pub(crate) async fn poll(&self, _: &ProviderJobId) -> Result<Polled, Failure> {
        Err(Failure::nonsense("this provider answers at once and has no jobs"))
    }

    pub(crate) fn callback(&self, _: &JobName, _: &HeaderMap, _: &[u8]) -> Result<Callback, CallbackFailure> {
        Err(CallbackFailure::NotAuthentic)
    }
}

fn unusable() -> Failure {
    Failure::refused(
        capstan_domain::TranscriptionErrorCode::ProviderNotConfigured,
        "The address or the key of the provider cannot be used",
    )
}

/// OpenAI: `response_format 'verbose_json' is not compatible with model ...`; others word it in their way.
fn is_about_form(refusal: &Unsuccessful) -> bool {
    let body = String::from_utf8_lossy(&refusal.body);
    refusal.status.is_client_error()
        && ["verbose_json", "response_format", "timestamp_granularities"].iter().any(|name| body.contains(name))
}

/// OpenAI: `{"error": {"message"}}`; whisper.cpp: `{"error": "..."}`; speaches (FastAPI): `{"detail": "..."}`.
fn words(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let said = [&body["error"]["message"], &body["error"], &body["detail"]].into_iter().find_map(|said| said.as_str());
    said.map(str::to_owned)
}

/// OpenAI: "The transcription object (Verbose JSON)"; with `json` it has the text only.
#[derive(Deserialize)]
struct Verbose {
    text: Option<String>,
    language: Option<String>,
    duration: Option<Seconds>,
    #[serde(default)]
    segments: Vec<VerboseSegment>,
}

/// OpenAI's reference has once called it a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
struct VerboseSegment {
    text: String,
    start: Option<f64>,
    end: Option<f64>,
    avg_logprob: Option<f64>,
    /// Of servers that can tell speakers apart.
    speaker: Option<String>,
}

fn transcript(answer: &Answer, job: &Job) -> Result<Transcript, Failure> {
    let verbose: Verbose = answer.json()?;
    let Some(text) = verbose.text else {
        // whisper.cpp answers 200 and `{"error": "failed to process audio"}`.
        let said = words(&answer.body);
        return Err(said.map_or_else(|| Failure::nonsense("JSON without a text"), |said| Failure::refused_with(&said)));
    };
    let seconds = match verbose.duration {
        Some(Seconds::Number(seconds)) => Some(seconds),
        Some(Seconds::Text(text)) => text.parse().ok(),
        None => None,
    };
    let duration = seconds.and_then(Offset::from_seconds).unwrap_or(job.duration);
    let mut voices = Voices::default();
    let segments = verbose.segments.into_iter().map(|segment| {
        Some(Segment {
            text: segment.text,
            speaker: segment.speaker.map(|label| voices.speaker(&label)),
            start: Offset::from_seconds(segment.start?.max(0.0))?,
            end: Offset::from_seconds(segment.end?.max(0.0))?,
            // The mean logarithm of the probabilities of the tokens.
            confidence: segment.avg_logprob.and_then(|logarithm| Confidence::new(logarithm.exp())),
        })
    });
    let segments = segments.collect::<Option<Vec<_>>>().filter(|segments| !segments.is_empty());
    // Without times the text spans the whole audio.
    let whole = || {
        vec![Segment { text, speaker: None, start: Offset::default(), end: duration, confidence: None }]
    };
    let language = verbose.language.as_deref().and_then(language_of);
    Ok(Transcript::new(language, duration, segments.unwrap_or_else(whole)))
}

/// Whisper names languages in English; others give codes.
fn language_of(name: &str) -> Option<Language> {
    let small = name.trim().to_ascii_lowercase();
    let code = LANGUAGES.iter().find_map(|(code, name)| (*name == small).then_some(*code));
    code.unwrap_or(name.trim()).parse().ok()
}

/// The languages of Whisper's tokenizer.
const LANGUAGES: &[(&str, &str)] = &[
    ("af", "afrikaans"), ("am", "amharic"), ("ar", "arabic"), ("as", "assamese"), ("az", "azerbaijani"),
    ("ba", "bashkir"), ("be", "belarusian"), ("bg", "bulgarian"), ("bn", "bengali"), ("bo", "tibetan"),
    ("br", "breton"), ("bs", "bosnian"), ("ca", "catalan"), ("cs", "czech"), ("cy", "welsh"), ("da", "danish"),
    ("de", "german"), ("el", "greek"), ("en", "english"), ("es", "spanish"), ("et", "estonian"), ("eu", "basque"),
    ("fa", "persian"), ("fi", "finnish"), ("fo", "faroese"), ("fr", "french"), ("gl", "galician"),
    ("gu", "gujarati"), ("ha", "hausa"), ("haw", "hawaiian"), ("he", "hebrew"), ("hi", "hindi"), ("hr", "croatian"),
    ("ht", "haitian creole"), ("hu", "hungarian"), ("hy", "armenian"), ("id", "indonesian"), ("is", "icelandic"),
    ("it", "italian"), ("ja", "japanese"), ("jw", "javanese"), ("ka", "georgian"), ("kk", "kazakh"), ("km", "khmer"),
    ("kn", "kannada"), ("ko", "korean"), ("la", "latin"), ("lb", "luxembourgish"), ("ln", "lingala"), ("lo", "lao"),
    ("lt", "lithuanian"), ("lv", "latvian"), ("mg", "malagasy"), ("mi", "maori"), ("mk", "macedonian"),
    ("ml", "malayalam"), ("mn", "mongolian"), ("mr", "marathi"), ("ms", "malay"), ("mt", "maltese"),
    ("my", "myanmar"), ("ne", "nepali"), ("nl", "dutch"), ("nn", "nynorsk"), ("no", "norwegian"), ("oc", "occitan"),
    ("pa", "punjabi"), ("pl", "polish"), ("ps", "pashto"), ("pt", "portuguese"), ("ro", "romanian"),
    ("ru", "russian"), ("sa", "sanskrit"), ("sd", "sindhi"), ("si", "sinhala"), ("sk", "slovak"), ("sl", "slovenian"),
    ("sn", "shona"), ("so", "somali"), ("sq", "albanian"), ("sr", "serbian"), ("su", "sundanese"), ("sv", "swedish"),
    ("sw", "swahili"), ("ta", "tamil"), ("te", "telugu"), ("tg", "tajik"), ("th", "thai"), ("tk", "turkmen"),
    ("tl", "tagalog"), ("tr", "turkish"), ("tt", "tatar"), ("uk", "ukrainian"), ("ur", "urdu"), ("uz", "uzbek"),
    ("vi", "vietnamese"), ("yi", "yiddish"), ("yo", "yoruba"), ("yue", "cantonese"), ("zh", "chinese"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_name_and_by_its_code() {
        let of = |name| language_of(name).map(|language| language.to_string());
        assert_eq!(of("English").as_deref(), Some("en"));
        assert_eq!(of("pt-br").as_deref(), Some("pt-BR"));
        assert_eq!(of("klingon"), None);
        assert!(LANGUAGES.iter().all(|(code, _)| code.parse::<Language>().is_ok()));
    }
}
