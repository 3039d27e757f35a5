//! Deepgram: "Transcribe and analyze pre-recorded audio and video", `POST /v1/listen`, and "STT Callback".
//!
//! With a callback the request is answered at once with a `request_id`, and the transcript comes to the callback, up to
//! ten times, 30 s apart, until somebody answers 2xx. There is nothing to poll. Without one the transcript is the answer.

use std::fmt::Write;

use aws_config::SdkConfig;
use capstan_domain::{ContentType, Offset, Speaker, Transcript, TranscriptionErrorCode};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use crate::http::{Wait, full, json as parsed, length};
use crate::key::CallbackToken;
use crate::words::{Word, segments};
use crate::{
    ApiKey, Callback, CallbackFailure, Failure, Http, Job, JobName, Limits, AudioLocation, Polled, ProviderJobId, Started,
    Variables, given,
};

/// Deepgram: "Supported Audio Formats" lists these among more than a hundred.
const CONTENT_TYPES: &[ContentType] = &[
    ContentType::AudioAac,
    ContentType::AudioFlac,
    ContentType::AudioMpeg,
    ContentType::AudioMp4,
    ContentType::VideoMp4,
    ContentType::AudioOgg,
    ContentType::AudioOpus,
    ContentType::AudioWav,
    ContentType::AudioWebm,
];
/// Deepgram: the largest file is 2 GB.
const LARGEST: u64 = 2_000_000_000;
/// Deepgram's models read an hour in half a minute and are given ten for a request.
const LONGEST: Offset = Offset::from_milliseconds(12 * 3_600_000);
/// A callback is a request to a Lambda function, which takes 6 MB; an hour of words with their times is 3. What is longer
/// is waited for.
const LONGEST_BY_CALLBACK: Offset = Offset::from_milliseconds(3_600_000);

/// See the module.
#[derive(Clone, Debug)]
pub struct Deepgram {
    http: Http,
    base: String,
    key: ApiKey,
    model: String,
    limits: Limits,
}

impl Deepgram {
    /// `DEEPGRAM_API_KEY`, and if needed `DEEPGRAM_MODEL` (`nova-3`) and `DEEPGRAM_URL`.
    pub(crate) fn configured(variables: Variables<'_>, http: &Http, _: &SdkConfig) -> Option<Self> {
        let base = given(variables, "DEEPGRAM_URL").unwrap_or_else(|| "https://api.deepgram.com".to_owned());
        Some(Self {
            http: http.clone(),
            base: base.trim_end_matches('/').to_owned(),
            key: given(variables, "DEEPGRAM_API_KEY").map(ApiKey::new)?,
            model: given(variables, "DEEPGRAM_MODEL").unwrap_or_else(|| "nova-3".to_owned()),
            limits: Limits { content_types: CONTENT_TYPES, largest_bytes: LARGEST, longest: LONGEST },
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) async fn start(&self, job: &Job) -> Result<Started, Failure> {
        let callback = job.callback_url.as_deref().filter(|_| job.duration <= LONGEST_BY_CALLBACK);
        let request = Request::post(format!("{}/v1/listen?{}", self.base, self.query(job, callback)?))
            .header(AUTHORIZATION, self.key.header("Token ").map_err(|_| unusable())?);
        let request = match &job.audio.location {
            AudioLocation::Object { url, .. } => {
                let body = json!({ "url": url.expose() }).to_string();
                request.header(CONTENT_TYPE, "application/json").body(full(body))
            }
            AudioLocation::File(_) => {
                let (name, value) = length(job.audio.size_bytes);
                let request = request.header(CONTENT_TYPE, job.audio.content_type.as_str()).header(name, value);
                request.body(self.http.audio(&job.audio).await?)
            }
        };
        let request = request.map_err(|_| unusable())?;
        // A file is on its way for longer than a URL.
        let quick = callback.is_some() && matches!(job.audio.location, AudioLocation::Object { .. });
        let outcome = self.http.exchange(request, if quick { Wait::Quick } else { Wait::Patient }).await?;
        let answer = outcome.map_err(|refusal| refusal.failure(words(&refusal.body)))?;
        if callback.is_none() {
            return Ok(Started::Done(transcript(answer.json()?)?));
        }
        let accepted: Accepted = answer.json()?;
        Ok(Started::Awaiting(accepted.request_id.parse()?))
    }

    fn query(&self, job: &Job, callback: Option<&str>) -> Result<String, Failure> {
        let encoded = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let mut query = format!(
            "model={}&punctuate=true&smart_format=true&utterances=true&diarize={}",
            encoded(&self.model),
            job.diarization
        );
        let _ = match &job.language {
            Some(language) => write!(query, "&language={}", encoded(language.as_str())),
            None => write!(query, "&detect_language=true"),
        };
        if let Some(url) = callback {
            let url = CallbackToken::new(&self.key, &job.name).in_url(url).ok_or_else(unusable)?;
            let _ = write!(query, "&callback={}", encoded(&url));
        }
        Ok(query)
    }

    pub(crate) async fn poll(&self, _: &ProviderJobId) -> Result<Polled, Failure> {
        Ok(Polled::OnlyByCallback)
    }

    pub(crate) fn callback(&self, job: &JobName, headers: &HeaderMap, body: &[u8]) -> Result<Callback, CallbackFailure> {
        if !CallbackToken::new(&self.key, job).is_basic_of(headers) {
            return Err(CallbackFailure::NotAuthentic);
        }
        Ok(Callback::Done(transcript(parsed(body)?)?))
    }
}

fn unusable() -> Failure {
    Failure::refused(
        TranscriptionErrorCode::ProviderNotConfigured,
        "The address or the key of the provider, or that of the callback, cannot be used",
    )
}

/// Deepgram: "Errors". Two forms: `err_msg`, and `message` with `details`.
fn words(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let said = body["err_msg"].as_str().or_else(|| body["details"].as_str()).or_else(|| body["message"].as_str());
    said.map(str::to_owned)
}

#[derive(Deserialize)]
struct Accepted {
    request_id: String,
}

/// The answer, and the body of a callback.
#[derive(Deserialize)]
struct Listened {
    metadata: Option<Metadata>,
    results: Option<Results>,
    err_msg: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    duration: f64,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    channels: Vec<Channel>,
    #[serde(default)]
    utterances: Vec<Utterance>,
}

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Utterance>,
    detected_language: Option<String>,
}

#[derive(Deserialize)]
struct Utterance {
    #[serde(default)]
    words: Vec<ListenedWord>,
}

#[derive(Deserialize)]
struct ListenedWord {
    word: String,
    punctuated_word: Option<String>,
    start: f64,
    end: f64,
    confidence: Option<f64>,
    speaker: Option<u32>,
}

fn transcript(listened: Listened) -> Result<Transcript, Failure> {
    if let Some(said) = listened.err_msg {
        return Err(Failure::refused_with(&said));
    }
    let results = listened.results.ok_or_else(|| Failure::nonsense("JSON without results"))?;
    let channel = results.channels.first();
    let language = channel.and_then(|channel| channel.detected_language.as_deref()?.parse().ok());
    let duration = listened.metadata.and_then(|metadata| Offset::from_seconds(metadata.duration)).unwrap_or_default();
    let parts = if results.utterances.is_empty() {
        channel.and_then(|channel| channel.alternatives.get(..1)).unwrap_or_default()
    } else {
        &results.utterances
    };
    let parts = parts.iter().map(|part| part.words.iter().map(ListenedWord::as_word).collect::<Option<Vec<_>>>());
    let parts = parts.collect::<Option<Vec<_>>>().ok_or_else(|| Failure::nonsense("words at no time"))?;
    Ok(Transcript::new(language, duration, parts.iter().flat_map(|words| segments(words)).collect()))
}

impl ListenedWord {
    fn as_word(&self) -> Option<Word> {
        Some(Word {
            text: self.punctuated_word.as_ref().unwrap_or(&self.word).clone(),
            start: Offset::from_seconds(self.start)?,
            end: Offset::from_seconds(self.end)?,
            speaker: self.speaker.map(Speaker::from_index),
            confidence: self.confidence,
        })
    }
}
