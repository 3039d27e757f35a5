//! AssemblyAI: "Transcribe audio", `POST /v2/transcript`; "Get transcript"; "Webhooks for pre-recorded audio".
//!
//! The webhook carries an id and a status, and is tried ten times; the transcript itself is always fetched.

use aws_config::SdkConfig;
use capstan_domain::{ContentType, Language, Offset, Transcript, TranscriptionErrorCode};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, request};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::{Answer, Body, Wait, empty, full, json as parsed, length};
use crate::key::CallbackToken;
use crate::words::{Voices, Word, segments};
use crate::{
    ApiKey, Callback, CallbackFailure, Failure, Http, Job, JobName, Limits, AudioLocation, Polled, ProviderJobId, Started,
    Variables, given,
};

/// AssemblyAI: "What audio and video file types are supported by your API?"
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
/// AssemblyAI: 5 GB and 10 hours; files that are sent rather than fetched, 2.2 GB.
const LARGEST: u64 = 2_200_000_000;
const LONGEST: Offset = Offset::from_milliseconds(10 * 3_600_000);
/// In which the webhook carries our token.
const TOKEN_HEADER: &str = "x-capstan-callback-token";

/// See the module.
#[derive(Clone, Debug)]
pub struct AssemblyAi {
    http: Http,
    base: String,
    key: ApiKey,
    limits: Limits,
}

impl AssemblyAi {
    /// `ASSEMBLYAI_API_KEY`, and for its servers in Europe `ASSEMBLYAI_URL`.
    pub(crate) fn configured(variables: Variables<'_>, http: &Http, _: &SdkConfig) -> Option<Self> {
        let base = given(variables, "ASSEMBLYAI_URL").unwrap_or_else(|| "https://api.assemblyai.com".to_owned());
        Some(Self {
            http: http.clone(),
            base: base.trim_end_matches('/').to_owned(),
            key: given(variables, "ASSEMBLYAI_API_KEY").map(ApiKey::new)?,
            limits: Limits { content_types: CONTENT_TYPES, largest_bytes: LARGEST, longest: LONGEST },
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) async fn start(&self, job: &Job) -> Result<Started, Failure> {
        let audio_url = match &job.audio.location {
            AudioLocation::Object { url, .. } => url.expose().to_owned(),
            AudioLocation::File(_) => self.upload(job).await?,
        };
        let body = self.order(job, &audio_url).to_string();
        let request = self.request(request::Builder::new().method("POST"), "/v2/transcript")?;
        let request = request.header(CONTENT_TYPE, "application/json");
        let answer = self.exchange(request, full(body), Wait::Quick).await?;
        let queued: Queued = answer.json()?;
        Ok(Started::Awaiting(queued.id.parse()?))
    }

    /// AssemblyAI: "Upload a media file". Only its own servers can fetch it from where it is then.
    async fn upload(&self, job: &Job) -> Result<String, Failure> {
        let (name, value) = length(job.audio.size_bytes);
        let request = self.request(request::Builder::new().method("POST"), "/v2/upload")?;
        let request = request.header(CONTENT_TYPE, "application/octet-stream").header(name, value);
        let answer = self.exchange(request, self.http.audio(&job.audio).await?, Wait::Patient).await?;
        Ok(answer.json::<Uploaded>()?.upload_url)
    }

    fn order(&self, job: &Job, audio_url: &str) -> Value {
        let mut order = json!({ "audio_url": audio_url, "speaker_labels": job.diarization });
        match &job.language {
            Some(language) => order["language_code"] = code_of(language).into(),
            None => order["language_detection"] = true.into(),
        }
        if let Some(url) = &job.callback_url {
            order["webhook_url"] = url.as_str().into();
            order["webhook_auth_header_name"] = TOKEN_HEADER.into();
            order["webhook_auth_header_value"] = CallbackToken::new(&self.key, &job.name).as_str().into();
        }
        order
    }

    pub(crate) async fn poll(&self, id: &ProviderJobId) -> Result<Polled, Failure> {
        let request = self.request(request::Builder::new(), &format!("/v2/transcript/{id}"))?;
        let transcribed: Transcribed = self.exchange(request, empty(), Wait::Quick).await?.json()?;
        match transcribed.status {
            Status::Queued | Status::Processing => Ok(Polled::Running),
            Status::Completed => Ok(Polled::Done(transcript(transcribed)?)),
            Status::Error => Err(Failure::refused_with(transcribed.error.as_deref().unwrap_or("It gives no reason"))),
        }
    }

    pub(crate) fn callback(&self, job: &JobName, headers: &HeaderMap, body: &[u8]) -> Result<Callback, CallbackFailure> {
        if !CallbackToken::new(&self.key, job).is_header(TOKEN_HEADER, headers) {
            return Err(CallbackFailure::NotAuthentic);
        }
        let ended: Ended = parsed(body)?;
        Ok(Callback::Ended(ended.transcript_id.parse()?))
    }

    fn request(&self, request: request::Builder, path: &str) -> Result<request::Builder, Failure> {
        let key = self.key.header("").map_err(|_| unusable())?;
        Ok(request.uri(format!("{}{path}", self.base)).header(AUTHORIZATION, key))
    }

    async fn exchange(&self, request: request::Builder, body: Body, wait: Wait) -> Result<Answer, Failure> {
        let request: Request<Body> = request.body(body).map_err(|_| unusable())?;
        let outcome = self.http.exchange(request, wait).await?;
        outcome.map_err(|refusal| refusal.failure(words(&refusal.body)))
    }
}

fn unusable() -> Failure {
    Failure::refused(
        TranscriptionErrorCode::ProviderNotConfigured,
        "The address or the key of the provider cannot be used",
    )
}

/// AssemblyAI: "Supported languages". English has regions, of which the British is `uk`.
fn code_of(language: &Language) -> &str {
    match language.as_str() {
        "en-US" => "en_us",
        "en-GB" => "en_uk",
        "en-AU" => "en_au",
        _ => language.primary(),
    }
}

fn words(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["error"].as_str().map(str::to_owned)
}

#[derive(Deserialize)]
struct Uploaded {
    upload_url: String,
}

#[derive(Deserialize)]
struct Queued {
    id: String,
}

/// The body of the webhook. Its status says nothing that the transcript does not.
#[derive(Deserialize)]
struct Ended {
    transcript_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Queued,
    Processing,
    Completed,
    Error,
}

/// AssemblyAI: the transcript object. Times are milliseconds; `audio_duration` is seconds.
#[derive(Deserialize)]
struct Transcribed {
    status: Status,
    error: Option<String>,
    language_code: Option<String>,
    audio_duration: Option<f64>,
    utterances: Option<Vec<Utterance>>,
    words: Option<Vec<TranscribedWord>>,
}

#[derive(Deserialize)]
struct Utterance {
    words: Vec<TranscribedWord>,
}

#[derive(Deserialize)]
struct TranscribedWord {
    text: String,
    start: u64,
    end: u64,
    confidence: Option<f64>,
    speaker: Option<String>,
}

fn transcript(transcribed: Transcribed) -> Result<Transcript, Failure> {
    let mut voices = Voices::default();
    let mut joined = |words: Vec<TranscribedWord>| {
        let words = words.into_iter().map(|word| Word {
            text: word.text,
            start: Offset::from_milliseconds(word.start),
            end: Offset::from_milliseconds(word.end),
            speaker: word.speaker.map(|label| voices.speaker(&label)),
            confidence: word.confidence,
        });
        segments(&words.collect::<Vec<_>>())
    };
    let segments = match (transcribed.utterances, transcribed.words) {
        (Some(utterances), _) => utterances.into_iter().flat_map(|utterance| joined(utterance.words)).collect(),
        (None, Some(words)) => joined(words),
        (None, None) => return Err(Failure::nonsense("a completed transcript without words")),
    };
    let language = transcribed.language_code.as_deref().and_then(|code| {
        if code.eq_ignore_ascii_case("en_uk") { "en-GB" } else { code }.parse().ok()
    });
    let duration = transcribed.audio_duration.and_then(Offset::from_seconds).unwrap_or_default();
    Ok(Transcript::new(language, duration, segments))
}
