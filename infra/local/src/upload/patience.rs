//! What is tried again, when, and for how long.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::ClientError;
use crate::upload::error::UploadError;

const FIRST_WAIT: Duration = Duration::from_millis(250);
/// After a 429 that says nothing else.
const FIRST_WAIT_WHEN_THROTTLED: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long is tried without progress.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    progress: Mutex<Instant>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, progress: Mutex::new(Instant::now()) }
    }

    /// Something is done that will not have to be done again.
    pub(crate) fn progressed(&self) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits before the try after `tries` that failed, the last with `error`.
    ///
    /// # Errors
    /// [`UploadError::GaveUp`] where that would be too long without progress.
    pub(crate) async fn wait(&self, tries: u32, error: &ClientError) -> Result<(), UploadError> {
        let wait = wait(tries, error, random());
        let since = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let after = since.elapsed();
        if after + wait > self.limit {
            return Err(UploadError::GaveUp { after, last: error.to_string() });
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Twice as long each time, of which the last half is chance, so that a fleet that was cut off together does not come
/// back together. Never sooner than was asked for.
fn wait(tries: u32, error: &ClientError, chance: f64) -> Duration {
    let (first, asked) = match error {
        ClientError::Refused { status: 429, retry_after, .. } => (FIRST_WAIT_WHEN_THROTTLED, *retry_after),
        ClientError::Refused { retry_after, .. } => (FIRST_WAIT, *retry_after),
        ClientError::Unreachable { .. } | ClientError::Write(_) => (FIRST_WAIT, None),
    };
    let doubled = first.saturating_mul(2_u32.saturating_pow(tries)).min(LONGEST_WAIT);
    match asked {
        Some(asked) => asked + first.mul_f64(chance),
        None => doubled.mul_f64(0.5 + chance / 2.0).max(if first == FIRST_WAIT { Duration::ZERO } else { first }),
    }
}

/// From 0 to 1.
fn random() -> f64 {
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / f64::from(u32::MAX)
}

/// Whether the same request may succeed later.
pub(crate) fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Write(_) => true,
        ClientError::Refused { status, code, message, .. } => match status {
            408 | 425 | 429 | 500..=599 => true,
            // Another change came first, or the first request under the same key is still running.
            409 => code.as_deref() == Some("conflict"),
            // S3 lost sight of the client within the body.
            400 => code.is_none() && message.contains("<Code>RequestTimeout</Code>"),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn refused(status: u16, code: Option<&str>, retry_after: Option<u64>) -> ClientError {
        ClientError::Refused {
            method: Method::PUT,
            url: String::new(),
            status,
            message: "".into(),
            code: code.map(Box::from),
            param: None,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn delays_double_up_to_30_s_and_respect_retry_after() {
        let range = |tries, error: &ClientError| [0.0, 1.0].map(|chance| wait(tries, error, chance).as_millis());
        let busy = refused(500, None, None);
        assert_eq!(range(0, &busy), [125, 250]);
        assert_eq!(range(3, &busy), [1000, 2000]);
        assert_eq!(range(100, &busy), [15_000, 30_000]);
        assert_eq!(range(0, &refused(429, None, None)), [1000, 1000]);
        assert_eq!(range(1, &refused(429, None, None)), [1000, 2000]);
        assert_eq!(range(9, &refused(425, None, Some(30))), [30_000, 30_250]);
    }

    #[test]
    fn only_transient_errors_are_retried() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(passes(&refused(status, None, None)), "{status}");
        }
        assert!(passes(&refused(409, Some("conflict"), None)));
        for (status, code) in [(400, "invalid_request"), (401, "unauthorized"), (404, "not_found"), (413, "x")] {
            assert!(!passes(&refused(status, Some(code), None)), "{status}");
        }
        assert!(!passes(&refused(409, Some("idempotency_key_reused"), None)));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_after_so_long_without_progress_and_not_before() {
        let patience = Patience::new(Duration::from_secs(100));
        let busy = refused(503, None, Some(40));
        patience.wait(0, &busy).await.unwrap();
        patience.wait(1, &busy).await.unwrap();
        assert!(matches!(patience.wait(2, &busy).await, Err(UploadError::GaveUp { .. })));
        patience.progressed();
        patience.wait(0, &busy).await.unwrap();
    }
}
