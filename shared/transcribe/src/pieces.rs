//! Many jobs of one provider, side by side.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{Failure, Job, Provider, Started};

/// How often one piece is tried before all of them are given up.
const ATTEMPTS: u32 = 4;
/// Longer than this is not waited for here: whoever asked can do better meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Starts all jobs, at most `at_once` at a time, and answers in their order. One that fails in passing is tried again
/// after a while, so that the others have not been in vain.
///
/// # Errors
/// The first failure that does not pass; the jobs that were not finished by then are dropped.
pub async fn start_all(provider: &Provider, jobs: &[Job], at_once: usize) -> Result<Vec<Started>, Failure> {
    let started = stream::iter(jobs).map(|job| start(provider, job)).buffered(at_once.max(1));
    started.try_collect().await
}

async fn start(provider: &Provider, job: &Job) -> Result<Started, Failure> {
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        match provider.start(job).await {
            Err(Failure::Later { retry_after, .. }) if retry_after.is_none_or(|asked| asked <= LONGEST_WAIT) => {
                tokio::time::sleep(retry_after.unwrap_or(wait)).await;
                wait *= 2;
            }
            Err(Failure::Nonsense { .. }) => tokio::time::sleep(wait).await,
            outcome => return outcome,
        }
    }
    provider.start(job).await
}
