//! What the tests share: providers of one server, and a job.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use capstan_domain::{ContentType, Offset, ProviderName, Transcript};
use capstan_transcribe::{Audio, AudioLocation, Failure, Http, Job, Provider, Providers, SignedUrl, Started};

/// What must never be printed.
pub(crate) const KEY: &str = "key-that-nobody-may-see";
pub(crate) const SIGNATURE: &str = "signature-that-nobody-may-see";

pub(crate) const CALLBACK_URL: &str = "https://api.example.com/v1/transcription-callbacks/deepgram";

/// AWS behind this URL. One attempt, so that what a test injects is what happens.
pub(crate) fn aws(url: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", KEY, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build()
}

/// All four, each at this URL.
pub(crate) fn providers(url: &str, patience: Duration) -> Providers {
    let variables = |name: &str| match name {
        "WHISPER_URL" | "DEEPGRAM_URL" | "ASSEMBLYAI_URL" => Some(url.to_owned()),
        "TRANSCRIPTION_PROVIDERS" => Some("whisper,deepgram,assemblyai,aws".to_owned()),
        "WHISPER_API_KEY" | "DEEPGRAM_API_KEY" | "ASSEMBLYAI_API_KEY" => Some(KEY.to_owned()),
        _ => None,
    };
    Providers::from_variables(&variables, &Http::new(patience), &aws(url)).unwrap()
}

pub(crate) fn provider(name: ProviderName, url: &str) -> Provider {
    providers(url, Duration::from_secs(20)).get(Some(name)).unwrap().clone()
}

/// Nine seconds of Ogg Opus, 11 bytes, that lie at this server.
pub(crate) fn job(url: &str) -> Job {
    Job {
        name: "rec_01a.txn_01b".parse().unwrap(),
        audio: Audio {
            content_type: ContentType::AudioOpus,
            size_bytes: 11,
            location: AudioLocation::Object {
                bucket: "media".to_owned(),
                key: "proj_1/rec_01a/med_1/audio.opus".to_owned(),
                url: SignedUrl::new(format!("{url}/audio.opus?X-Amz-Signature={SIGNATURE}")),
            },
        },
        duration: Offset::from_milliseconds(9_000),
        language: None,
        diarization: true,
        callback_url: Some(CALLBACK_URL.to_owned()),
    }
}

pub(crate) const AUDIO: &[u8] = b"OggS\0\0hello";

pub(crate) fn done(started: Result<Started, Failure>) -> Transcript {
    match started.unwrap() {
        Started::Done(transcript) => transcript,
        Started::Awaiting(id) => panic!("awaiting {id}"),
    }
}
