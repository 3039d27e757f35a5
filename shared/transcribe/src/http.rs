//! HTTP as all providers need it, bounded in every direction.
//!
//! hyper and rustls are linked with the AWS SDK anyway, so a client of them costs nothing but the root certificates
//! (webpki-roots, 0.2 MB compiled in; reading the system's takes 2 to 4 ms at every start).

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use capstan_domain::TranscriptionErrorCode::{ProviderNotConfigured, UnsupportedFormat};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::header::{CONTENT_LENGTH, DATE, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::failure::redacted;
use crate::{Audio, AudioLocation, Failure};

/// The largest answer that is read, in bytes. Ten hours of words with their times are 30 MB.
pub const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// For an answer that nothing has to be transcribed for.
const QUICK: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);
const CHUNK: usize = 64 * 1024;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A client of HTTP that follows no redirects and waits so long and no longer.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    patience: Duration,
}

/// How long an answer may take.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    /// It only takes note of something, or gives what is there.
    Quick,
    /// The transcription itself.
    Patient,
}

/// A whole answer of status 2xx.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

/// An answer of another status.
pub(crate) struct Unsuccessful {
    pub(crate) status: StatusCode,
    retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

impl Http {
    /// A client that waits for a transcription as long as `patience`: a little less than the function may run.
    pub fn new(patience: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(tcp);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), patience }
    }

    /// How long to wait for an answer.
    pub(crate) fn patience(&self, wait: Wait) -> Duration {
        match wait {
            Wait::Quick => self.patience.min(QUICK),
            Wait::Patient => self.patience,
        }
    }

    /// Sends a request and reads the answer whole.
    ///
    /// The inner result is what the provider said; the outer fails where there was no whole answer.
    pub(crate) async fn exchange(
        &self,
        request: Request<Body>,
        wait: Wait,
    ) -> Result<Result<Answer, Unsuccessful>, Failure> {
        let patience = self.patience(wait);
        let whole = async {
            let answer = self.client.request(request).await.map_err(|error| no_answer(&error))?;
            let (parts, body) = answer.into_parts();
            Ok((parts, read(body).await?))
        };
        let (parts, body) = timeout(patience, whole).await.map_err(|_| late(patience))??;
        Ok(if parts.status.is_success() {
            Ok(Answer { body })
        } else {
            Err(Unsuccessful { status: parts.status, retry_after: retry_after(&parts.headers), body })
        })
    }

    /// The audio of a job as a body to send, read as it is sent.
    pub(crate) async fn audio(&self, audio: &Audio) -> Result<Body, Failure> {
        match &audio.location {
            AudioLocation::File(path) => {
                let unreadable = |error: io::Error| Failure::later(format!("a chunk cannot be read: {}", error.kind()));
                let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
                let chunks = stream::try_unfold(file, |mut file| async move {
                    let mut chunk = BytesMut::with_capacity(CHUNK);
                    let count = file.read_buf(&mut chunk).await?;
                    Ok((count > 0).then(|| (Frame::data(chunk.freeze()), file)))
                });
                Ok(BodyExt::boxed_unsync(StreamBody::new(chunks)))
            }
            AudioLocation::Object { url, .. } => {
                let request = Request::get(url.expose()).body(empty()).map_err(|_| Failure::later("no URL of S3's"))?;
                let patience = self.patience(Wait::Quick);
                let answer = timeout(patience, self.client.request(request)).await.map_err(|_| late(patience))?;
                let answer = answer.map_err(|error| no_answer(&error))?;
                let size = answer.body().size_hint().exact();
                if answer.status() != StatusCode::OK || size != Some(audio.size_bytes) {
                    return Err(Failure::later(format!("the audio cannot be fetched from S3: {}", answer.status())));
                }
                Ok(answer.into_body().map_err(io::Error::other).boxed_unsync())
            }
        }
    }
}

pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// `before`, `body` and `after` as one.
pub(crate) fn enclosed(before: String, body: Body, after: String) -> Body {
    let frame = |text: String| stream::once(async { Ok(Frame::data(Bytes::from(text))) });
    let body = body.into_data_stream().map_ok(Frame::data);
    BodyExt::boxed_unsync(StreamBody::new(frame(before).chain(body).chain(frame(after))))
}

/// Reads a body, but for one that is too large: of that no more than fits is ever in memory.
async fn read(mut body: Incoming) -> Result<Bytes, Failure> {
    let too_large = || Failure::nonsense(format!("an answer of more than {} MB", LARGEST_ANSWER / 1024 / 1024));
    if body.size_hint().lower() > LARGEST_ANSWER as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::later("the connection broke within the answer"))?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > LARGEST_ANSWER {
                return Err(too_large());
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

pub(crate) fn late(patience: Duration) -> Failure {
    Failure::later(format!("no answer within {} s", patience.as_secs_f32()))
}

/// hyper's own words could hold the URL.
fn no_answer(error: &hyper_util::client::legacy::Error) -> Failure {
    Failure::later(if error.is_connect() { "no connection" } else { "the connection broke" })
}

/// Seconds, or a time that is compared with the answer's own (RFC 9110, section 10.2.3), so that no clock is asked.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let wanted = text(RETRY_AFTER)?.trim();
    let wait = match wanted.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let moment = |text| jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp());
            let wait = moment(wanted)?.duration_since(moment(text(DATE)?)?);
            Duration::try_from(wait).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

impl Answer {
    /// The body as the provider's reference says that it is.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        json(&self.body)
    }
}

/// serde's own words could hold what was said.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() { "JSON of another form" } else { "no JSON, or not all of it" };
        Failure::nonsense(format!("{what}: line {}, column {} of {} bytes", error.line(), error.column(), body.len()))
    })
}

impl Unsuccessful {
    /// Failure that the status stands for, with the provider's message if there is one.
    pub(crate) fn failure(&self, words: Option<String>) -> Failure {
        let status = self.status;
        let words = words.filter(|words| !words.trim().is_empty());
        match status.as_u16() {
            300..=399 => Failure::nonsense(format!("a redirect ({status})")),
            // The words of these repeat the key.
            401 | 403 => Failure::refused(ProviderNotConfigured, "The provider refuses the key of this deployment"),
            402 | 408 | 425 | 429 | 500..=599 => {
                let words = words.map(|words| format!(": {}", redacted(&words))).unwrap_or_default();
                Failure::Later { retry_after: self.retry_after, reason: format!("{status}{words}") }
            }
            413 => Failure::refused(UnsupportedFormat, "The file is larger than the provider takes"),
            415 => Failure::refused(UnsupportedFormat, "The provider does not take files of this format"),
            _ => match words {
                Some(words) => Failure::refused_with(&words),
                None => Failure::refused_with(&format!("The provider answered {status}")),
            },
        }
    }
}

/// `Content-Length` of a body whose parts are known, so that servers that take no chunks understand it.
pub(crate) fn length(bytes: u64) -> (http::HeaderName, http::HeaderValue) {
    (CONTENT_LENGTH, bytes.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wait(retry_after_header: &'static str, date: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after_header));
        date.map(|date| headers.insert(DATE, HeaderValue::from_static(date)));
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_time_and_a_day_at_most() {
        let now = Some("Sat, 21 Nov 2026 07:28:00 GMT");
        assert_eq!(wait("120", None), Some(120));
        assert_eq!(wait("Sat, 21 Nov 2026 07:30:30 GMT", now), Some(150));
        assert_eq!(wait("Sat, 21 Nov 2026 07:00:00 GMT", now), Some(0));
        assert_eq!(wait("Sat, 21 Nov 2026 07:30:30 GMT", None), None);
        assert_eq!(wait("99999999999", None), Some(86_400));
        assert_eq!(wait("-1", None), None);
        assert_eq!(wait("soon", now), None);
    }
}
