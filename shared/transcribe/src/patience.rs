//! A job that is given once more before anybody is bothered.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Failure, Job, Provider, Started};

/// How often a job is given before it is given up.
const ATTEMPTS: u32 = 4;
/// Longer than this is not waited for here, and what took longer is not repeated here: whoever asked has only so much time,
/// and may have been billed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Gives a provider a job. What fails in passing, and soon, is tried again after a while, so that the other jobs of its
/// kind have not been in vain; what makes no sense, once.
///
/// # Errors
/// The last failure.
pub async fn start(provider: &Provider, job: &Job) -> Result<Started, Failure> {
    let (mut wait, mut nonsense) = (FIRST_WAIT, 0);
    for _ in 1..ATTEMPTS {
        let began = Instant::now();
        let outcome = provider.start(job).await;
        let was_quick = began.elapsed() < LONGEST_WAIT;
        match outcome {
            Err(Failure::Later { retry_after, .. })
                if was_quick && retry_after.is_none_or(|asked| asked <= LONGEST_WAIT) =>
            {
                tokio::time::sleep(retry_after.unwrap_or(wait)).await;
                wait *= 2;
            }
            Err(Failure::Nonsense { .. }) if was_quick && nonsense == 0 => {
                nonsense += 1;
                tokio::time::sleep(wait).await;
            }
            outcome => return outcome,
        }
    }
    provider.start(job).await
}
