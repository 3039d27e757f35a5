//! Amazon Transcribe: `StartTranscriptionJob`, `GetTranscriptionJob`, and the output of a job.
//!
//! The output stays in the service's own bucket for as long as the job does, 90 days; each `GetTranscriptionJob` signs a
//! URL for it. That a job has ended is published on EventBridge too (`Transcribe Job State Change`), at best effort.
//!
//! Actions: `transcribe:StartTranscriptionJob`, `transcribe:GetTranscriptionJob`, and `s3:GetObject` of the audio, which
//! the service reads in the name of the function.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_transcribe::Client;
use aws_sdk_transcribe::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_transcribe::types::{
    LanguageCode, Media, MediaFormat, Settings, TranscriptionJob, TranscriptionJobStatus,
};
use capstan_domain::TranscriptionErrorCode::{ProviderNotConfigured, UnsupportedFormat};
use capstan_domain::{ContentType, Language, Offset, Transcript};
use http::{HeaderMap, Request};
use serde::Deserialize;

use crate::http::{Wait, empty, late};
use crate::words::{Voices, Word, segments};
use crate::{
    Callback, CallbackFailure, Failure, Http, Job, JobName, Limits, AudioLocation, Polled, ProviderJobId, Started, Variables,
};

/// Amazon Transcribe: "Data input and output".
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
/// Amazon Transcribe: "Guidelines and quotas": 2 GB and 4 hours, less what one may be wrong by.
const LARGEST: u64 = 2_000_000_000;
const LONGEST: Offset = Offset::from_milliseconds(4 * 3_600_000 - 60_000);
/// The most speakers that the service distinguishes.
const MOST_SPEAKERS: i32 = 30;

/// See the module.
#[derive(Clone, Debug)]
pub struct Aws {
    http: Http,
    client: Client,
    limits: Limits,
}

impl Aws {
    /// Needs no variable: region and credentials are the function's.
    #[allow(clippy::unnecessary_wraps)] // As all providers.
    pub(crate) fn configured(_: Variables<'_>, http: &Http, aws: &SdkConfig) -> Option<Self> {
        Some(Self {
            http: http.clone(),
            client: Client::new(aws),
            limits: Limits { content_types: CONTENT_TYPES, largest_bytes: LARGEST, longest: LONGEST },
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) async fn start(&self, job: &Job) -> Result<Started, Failure> {
        let AudioLocation::Object { bucket, key, .. } = &job.audio.location else {
            return Err(Failure::refused(UnsupportedFormat, "Amazon Transcribe takes objects in S3 only"));
        };
        let settings = job.diarization.then(|| {
            Settings::builder().show_speaker_labels(true).max_speaker_labels(MOST_SPEAKERS).build()
        });
        let language = job.language.as_ref().map(code_of).transpose()?;
        let id = ProviderJobId::of_aws(&job.name);
        let request = self
            .client
            .start_transcription_job()
            .transcription_job_name(id.as_str())
            .media(Media::builder().media_file_uri(format!("s3://{bucket}/{key}")).build())
            .set_media_format(format_of(job.audio.content_type))
            .set_identify_language(language.is_none().then_some(true))
            .set_language_code(language)
            .set_settings(settings)
            .send();
        match self.within_patience(request).await? {
            Ok(answer) if answer.transcription_job.is_none() => Err(Failure::nonsense("an answer without a job")),
            Ok(_) => Ok(Started::Awaiting(id)),
            // The name is taken: this very job has been started before.
            Err(error) if error.code() == Some("ConflictException") => Ok(Started::Awaiting(id)),
            Err(error) => Err(failure(&error)),
        }
    }

    pub(crate) async fn poll(&self, id: &ProviderJobId) -> Result<Polled, Failure> {
        let request = self.client.get_transcription_job().transcription_job_name(id.as_str()).send();
        let answer = self.within_patience(request).await?.map_err(|error| failure(&error))?;
        let job = answer.transcription_job;
        let job = job.ok_or_else(|| Failure::nonsense("an answer without a job"))?;
        match &job.transcription_job_status {
            Some(TranscriptionJobStatus::Completed) => Ok(Polled::Done(self.output(&job).await?)),
            Some(TranscriptionJobStatus::Failed) => {
                Err(Failure::refused_with(job.failure_reason().unwrap_or("Amazon Transcribe gives no reason")))
            }
            _ => Ok(Polled::Running),
        }
    }

    /// The SDK by itself waits for ever.
    async fn within_patience<T>(&self, request: impl Future<Output = T>) -> Result<T, Failure> {
        let patience = self.http.patience(Wait::Quick);
        tokio::time::timeout(patience, request).await.map_err(|_| late(patience))
    }

    async fn output(&self, job: &TranscriptionJob) -> Result<Transcript, Failure> {
        let url = job.transcript().and_then(|transcript| transcript.transcript_file_uri());
        let url = url.ok_or_else(|| Failure::nonsense("a completed job without a transcript"))?;
        let request = Request::get(url).body(empty()).map_err(|_| Failure::nonsense("a transcript at no URL"))?;
        // A URL that has expired is signed anew by the next poll.
        let outcome = self.http.exchange(request, Wait::Quick).await?;
        let answer = outcome.map_err(|refusal| Failure::later(format!("the output: {}", refusal.status)))?;
        transcript(answer.json()?, job.language_code().and_then(|code| code.as_str().parse().ok()))
    }

    pub(crate) fn callback(&self, _: &JobName, _: &HeaderMap, _: &[u8]) -> Result<Callback, CallbackFailure> {
        Err(CallbackFailure::NotAuthentic)
    }
}

fn failure<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Failure {
    match error.code() {
        Some("BadRequestException" | "NotFoundException") => {
            Failure::refused_with(error.message().unwrap_or("Amazon Transcribe gives no reason"))
        }
        Some("AccessDeniedException" | "UnrecognizedClientException" | "InvalidSignatureException") => {
            Failure::refused(ProviderNotConfigured, "Amazon Transcribe refuses this deployment")
        }
        Some(code) => Failure::later(code),
        None => Failure::later("Amazon Transcribe does not answer"),
    }
}

fn format_of(content_type: ContentType) -> Option<MediaFormat> {
    match content_type {
        ContentType::AudioFlac => Some(MediaFormat::Flac),
        ContentType::AudioMpeg => Some(MediaFormat::Mp3),
        ContentType::AudioMp4 => Some(MediaFormat::M4A),
        ContentType::VideoMp4 => Some(MediaFormat::Mp4),
        ContentType::AudioOgg | ContentType::AudioOpus => Some(MediaFormat::Ogg),
        ContentType::AudioWav => Some(MediaFormat::Wav),
        ContentType::AudioWebm => Some(MediaFormat::Webm),
        _ => None,
    }
}

/// The service wants a region. A language without one is that of the United States, of the country of the same name, or
/// the first that there is.
fn code_of(language: &Language) -> Result<LanguageCode, Failure> {
    let primary = language.primary();
    let guesses = [language.to_string(), format!("{primary}-US"), format!("{primary}-{}", primary.to_ascii_uppercase())];
    // Spanish as in Spain, but English as in the United States.
    let guesses = if primary == "en" { guesses } else { [guesses[0].clone(), guesses[2].clone(), guesses[1].clone()] };
    let known = LanguageCode::values();
    let exact = guesses.iter().find_map(|guess| known.iter().find(|code| *code == guess));
    let first = || known.iter().find(|code| code.split('-').next() == Some(primary));
    exact.or_else(first).map(|code| LanguageCode::from(*code)).ok_or_else(|| {
        Failure::refused(UnsupportedFormat, format!("Amazon Transcribe does not know the language {language}"))
    })
}

/// Amazon Transcribe: "Example diarization output (batch)". Numbers are strings.
#[derive(Deserialize)]
struct Output {
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    items: Vec<Item>,
    speaker_labels: Option<SpeakerLabels>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: Kind,
    start_time: Option<String>,
    end_time: Option<String>,
    speaker_label: Option<String>,
    alternatives: Vec<Alternative>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Pronunciation,
    Punctuation,
}

#[derive(Deserialize)]
struct Alternative {
    content: String,
    confidence: Option<String>,
}

#[derive(Deserialize)]
struct SpeakerLabels {
    segments: Vec<LabelledSegment>,
}

#[derive(Deserialize)]
struct LabelledSegment {
    #[serde(default)]
    items: Vec<LabelledItem>,
}

#[derive(Deserialize)]
struct LabelledItem {
    start_time: String,
    speaker_label: String,
}

fn transcript(output: Output, language: Option<Language>) -> Result<Transcript, Failure> {
    // Older outputs label the speakers beside the items only.
    let labels = output.results.speaker_labels.into_iter().flat_map(|labels| labels.segments);
    let labels = labels.flat_map(|segment| segment.items).map(|item| (item.start_time, item.speaker_label));
    let labels: HashMap<_, _> = labels.collect();
    let mut voices = Voices::default();
    let mut words: Vec<Word> = Vec::new();
    for item in output.results.items {
        let Some(best) = item.alternatives.into_iter().next() else { continue };
        if item.kind == Kind::Punctuation {
            // It belongs to the word before it and has no time.
            if let Some(word) = words.last_mut() {
                word.text.push_str(&best.content);
            }
            continue;
        }
        let label = item.speaker_label.or_else(|| labels.get(item.start_time.as_deref()?).cloned());
        let time = |text: Option<String>| text.and_then(|text| Offset::from_seconds(text.parse().ok()?));
        let (Some(start), Some(end)) = (time(item.start_time), time(item.end_time)) else {
            return Err(Failure::nonsense("words at no time"));
        };
        words.push(Word {
            text: best.content,
            start,
            end,
            speaker: label.map(|label| voices.speaker(&label)),
            confidence: best.confidence.and_then(|text| text.parse().ok()),
        });
    }
    // The output does not say how long the audio was.
    Ok(Transcript::new(language, Offset::default(), segments(&words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_without_a_region_is_given_one() {
        for (given, wanted) in [
            ("en", "en-US"), ("en-GB", "en-GB"), ("de", "de-DE"), ("es", "es-ES"), ("pt", "pt-PT"), ("pt-BR", "pt-BR"),
            ("ja", "ja-JP"), ("zh", "zh-CN"), ("fr-BE", "fr-FR"),
        ] {
            assert_eq!(code_of(&given.parse().unwrap()).unwrap().as_str(), wanted, "{given}");
        }
        assert!(code_of(&"tlh".parse().unwrap()).is_err());
    }
}
