//! Optimistic concurrency: read, decide, write on the condition that nothing changed; start over if something did.

use std::ops::ControlFlow;

use capstan_domain::Error;

/// Repeats `attempt` while other requests overtake it, at most `tries` times. An attempt gets what was read and returns
/// `Break` with its result, or `Continue` with what to decide on next.
///
/// # Errors
/// Those of `attempt`, and `overtaken()` when other requests overtook every attempt.
pub async fn retry_overtaken<T, R, F>(
    tries: usize,
    overtaken: impl FnOnce() -> Error,
    mut read: R,
    attempt: impl Fn(R) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<ControlFlow<T, R>, Error>>,
{
    for _ in 0..tries {
        read = match attempt(read).await? {
            ControlFlow::Break(done) => return Ok(done),
            ControlFlow::Continue(newer) => newer,
        };
    }
    Err(overtaken())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn countdown(tries: usize, from: u32) -> Result<&'static str, Error> {
        retry_overtaken(tries, || Error::UploadExpired, from, |left| async move {
            Ok(if left == 0 { ControlFlow::Break("done") } else { ControlFlow::Continue(left - 1) })
        })
        .await
    }

    #[tokio::test]
    async fn retries_until_no_other_write_interferes() {
        assert_eq!(countdown(3, 2).await.unwrap(), "done");
    }

    #[tokio::test]
    async fn gives_up_after_its_tries() {
        assert!(matches!(countdown(3, 3).await, Err(Error::UploadExpired)));
    }
}
