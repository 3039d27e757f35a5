//! A job that is given once more before anybody is bothered.

use std::time::Duration;

use crate::{Failure, Job, Provider, Started};

/// How often a job is given before it is given up.
const ATTEMPTS: u32 = 4;
/// Longer than this is not waited for here: whoever asked can do better meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Gives a provider a job. What fails in passing is tried again after a while, so that the other jobs of its kind have
/// not been in vain.
///
/// # Errors
/// The last failure.
pub async fn start(provider: &Provider, job: &Job) -> Result<Started, Failure> {
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
