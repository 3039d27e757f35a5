//! Every fault at every exchange where a provider is spoken to.

use std::time::Duration;

use capstan_domain::{ProviderName, TranscriptionErrorCode};
use capstan_transcribe::{Failure, LARGEST_ANSWER, Polled, Started};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::stage::{AUDIO, KEY, SIGNATURE, aws, done, job, providers};
use crate::{assemblyai, deepgram};
use capstan_emulators::peer::{Peer, Reply};

/// Where somebody is asked something.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Exchange {
    Whisper,
    DeepgramStart,
    AssemblyAiStart,
    AssemblyAiPoll,
    AwsStart,
    AwsPoll,
    AwsOutput,
}

const EXCHANGES: [Exchange; 7] = [
    Exchange::Whisper,
    Exchange::DeepgramStart,
    Exchange::AssemblyAiStart,
    Exchange::AssemblyAiPoll,
    Exchange::AwsStart,
    Exchange::AwsPoll,
    Exchange::AwsOutput,
];

impl Exchange {
    /// Asks, with this as the answer, waiting no longer than `patience`.
    async fn ask(self, reply: Reply, patience: Duration) -> (Failure, Peer) {
        let server = match self {
            // The audio is fetched first.
            Self::Whisper => Peer::replying([Reply::bytes(AUDIO), reply]).await,
            _ => Peer::replying([reply]).await,
        };
        let failure = self.ask_at(&server.url, patience).await;
        (failure, server)
    }

    async fn ask_at(self, url: &str, patience: Duration) -> Failure {
        let providers = providers(url, patience);
        let of = |name| providers.get(Some(name)).unwrap();
        let job = job(url);
        let start = |name| {
            let job = job.clone();
            async move { of(name).start(&job).await.unwrap_err() }
        };
        let poll = |name| async move { of(name).poll(&assemblyai::ID.parse().unwrap()).await.unwrap_err() };
        match self {
            Self::Whisper => start(ProviderName::Whisper).await,
            Self::DeepgramStart => start(ProviderName::Deepgram).await,
            Self::AssemblyAiStart => start(ProviderName::AssemblyAi).await,
            Self::AssemblyAiPoll => poll(ProviderName::AssemblyAi).await,
            Self::AwsStart => start(ProviderName::Aws).await,
            Self::AwsPoll => poll(ProviderName::Aws).await,
            Self::AwsOutput => {
                let completed = crate::aws::completed(url);
                let transcribe = Peer::answering(move |_| Reply::json(200, completed.clone())).await;
                let http = capstan_transcribe::Http::new(patience);
                let named = |name: &str| (name == "TRANSCRIPTION_PROVIDERS").then(|| "aws".to_owned());
                let providers =
                    capstan_transcribe::Providers::from_variables(&named, &http, &aws(&transcribe.url)).unwrap();
                let aws = providers.get(Some(ProviderName::Aws)).unwrap();
                aws.poll(&"rec_01a.txn_01b".parse().unwrap()).await.unwrap_err()
            }
        }
    }

    /// Whether the SDK of AWS reads the answer.
    fn is_aws_api(self) -> bool {
        matches!(self, Self::AwsStart | Self::AwsPoll)
    }
}

const PATIENT: Duration = Duration::from_secs(20);

fn assert_silent(failure: &Failure) {
    let printed = format!("{failure} {failure:?}");
    assert!(!printed.contains(KEY) && !printed.contains(SIGNATURE) && !printed.contains("http"), "{printed}");
}

#[track_caller]
fn assert_later(exchange: Exchange, failure: &Failure, wait: Option<u64>) {
    assert_silent(failure);
    let Failure::Later { retry_after, .. } = failure else { panic!("{exchange:?}: {failure}") };
    assert_eq!(retry_after.map(|wait| wait.as_secs()), wait, "{exchange:?}");
}

#[tokio::test]
async fn a_slow_response_times_out() {
    for exchange in EXCHANGES {
        // Waiting for the whole response would succeed.
        let (failure, _) = exchange.ask(Reply::Slow(Duration::from_secs(60)), Duration::from_millis(300)).await;
        assert_later(exchange, &failure, None);
    }
}

#[tokio::test]
async fn an_unavailable_provider_is_retried() {
    for exchange in EXCHANGES {
        // Nobody listens on the discard port.
        let failure = match exchange {
            // Its audio is at the same server, so the answer to the form is dropped instead.
            Exchange::Whisper => exchange.ask(Reply::Drop, PATIENT).await.0,
            _ => exchange.ask_at("http://127.0.0.1:9", PATIENT).await,
        };
        assert_later(exchange, &failure, None);
        let (failure, _) = exchange.ask(Reply::Drop, PATIENT).await;
        assert_later(exchange, &failure, None);
    }
}

#[tokio::test]
async fn a_busy_provider_names_the_delay() {
    for exchange in EXCHANGES {
        for status in [408, 429, 500, 502, 503, 504] {
            let body = format!(r#"{{"error": "Too many of https://x/?sig={SIGNATURE}", "err_msg": "busy"}}"#);
            let (failure, _) = exchange.ask(Reply::json(status, body).with("retry-after", "7"), PATIENT).await;
            // AWS names no time; of its bucket it does not matter.
            let named = !exchange.is_aws_api() && exchange != Exchange::AwsOutput;
            assert_later(exchange, &failure, named.then_some(7));
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    for exchange in EXCHANGES {
        let (failure, _) = exchange.ask(Reply::Truncated(r#"{"text": "Once upon a"#), PATIENT).await;
        assert_later(exchange, &failure, None);
    }
}

#[tokio::test]
async fn an_invalid_response_is_permanent_and_not_echoed() {
    for exchange in EXCHANGES {
        for body in
            ["", "<html>It works!</html>", "[1]", "{}", r#"{"id": 7, "text": 7, "status": 7}"#, "\u{0}", "{\"text\":"]
        {
            let (failure, _) = exchange.ask(Reply::json(200, body), PATIENT).await;
            assert_silent(&failure);
            match failure {
                Failure::Nonsense { reason } => assert!(!reason.contains("It works"), "{reason}"),
                // The SDK does not tell nonsense from silence.
                Failure::Later { .. } if exchange.is_aws_api() => {}
                other => panic!("{exchange:?} {body}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn an_answer_of_200_mb_is_dropped_on_the_way() {
    const SIZE: u64 = 200 * 1024 * 1024;
    for exchange in EXCHANGES.into_iter().filter(|exchange| !exchange.is_aws_api()) {
        for declares_length in [true, false] {
            let (failure, server) = exchange.ask(Reply::Huge { size: SIZE, declares_length }, PATIENT).await;
            assert!(matches!(failure, Failure::Nonsense { .. }), "{exchange:?}: {failure}");
            let taken = if declares_length { 24 * 1024 * 1024 } else { LARGEST_ANSWER as u64 + 24 * 1024 * 1024 };
            assert!(server.sent() < taken, "{exchange:?} took {} bytes", server.sent());
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for exchange in EXCHANGES.into_iter().filter(|exchange| !exchange.is_aws_api()) {
        let elsewhere = Peer::answering(|_| Reply::json(200, "{}")).await;
        for status in [301, 302, 303, 307, 308] {
            let (failure, _) = exchange.ask(Reply::json(status, "").with("location", &elsewhere.url), PATIENT).await;
            assert!(!matches!(failure, Failure::Refused(_)), "{exchange:?}: {failure}");
            assert_silent(&failure);
        }
        assert!(elsewhere.take_seen().is_empty());
    }
}

#[tokio::test]
async fn a_key_that_is_refused_is_a_matter_of_the_deployment_and_not_repeated() {
    for exchange in EXCHANGES.into_iter().filter(|exchange| *exchange != Exchange::AwsOutput) {
        let body = if exchange.is_aws_api() {
            r#"{"__type": "UnrecognizedClientException", "message": "The security token is invalid"}"#.to_owned()
        } else {
            format!(r#"{{"error": {{"message": "Incorrect API key provided: {KEY}"}}, "err_msg": "{KEY}"}}"#)
        };
        let (failure, _) = exchange.ask(Reply::json(401, body), PATIENT).await;
        assert_silent(&failure);
        let Failure::Refused(error) = failure else { panic!("{exchange:?}: {failure}") };
        assert_eq!(error.code, TranscriptionErrorCode::ProviderNotConfigured, "{exchange:?}");
    }
}

#[tokio::test]
async fn too_large_and_unknown_formats_are_refused_permanently() {
    for status in [413, 415] {
        let (failure, _) = Exchange::Whisper.ask(Reply::json(status, "<html>"), PATIENT).await;
        let Failure::Refused(error) = failure else { panic!("{failure}") };
        assert_eq!(error.code, TranscriptionErrorCode::UnsupportedFormat);
    }
}

/// Who answers one request twice must not have the second taken for the answer to the next one.
#[tokio::test]
async fn a_second_result_is_ignored() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let twice = |body: &str| {
        let one = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        format!("{one}{one}")
    };
    let first = twice(r#"{"request_id": "first"}"#);
    let other = twice(r#"{"request_id": "other"}"#);
    tokio::spawn(async move {
        for answer in [first, other] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(stream);
            });
        }
    });
    let providers = providers(&url, PATIENT);
    let deepgram = providers.get(Some(ProviderName::Deepgram)).unwrap();
    for id in ["first", "other"] {
        let started = deepgram.start(&job(&url)).await.unwrap();
        assert_eq!(started, Started::Awaiting(id.parse().unwrap()));
    }
}

/// A job that is started twice, because nobody heard of the first, and answers that come twice, are as one.
#[tokio::test]
async fn the_same_answer_twice_is_the_same_transcript() {
    let server = Peer::answering(|seen| match seen.line.split(' ').next() {
        Some("GET") => Reply::json(200, assemblyai::COMPLETED),
        _ => Reply::json(200, deepgram::LISTENED),
    })
    .await;
    let providers = providers(&server.url, PATIENT);
    let assemblyai = providers.get(Some(ProviderName::AssemblyAi)).unwrap();
    let id = assemblyai::ID.parse().unwrap();
    let (one, two) = (assemblyai.poll(&id).await.unwrap(), assemblyai.poll(&id).await.unwrap());
    assert!(matches!(one, Polled::Done(_)) && one == two);
    let deepgram = providers.get(Some(ProviderName::Deepgram)).unwrap();
    let mut job = job(&server.url);
    job.callback_url = None;
    assert_eq!(done(deepgram.start(&job).await), done(deepgram.start(&job).await));
}
