//! `transcription.due`: sends a transcription job to its provider, or polls the provider.

mod audio;
mod job_runner;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::{Error, LeaseId};
use capstan_events::TranscriptionEvent;
use capstan_lambda::Invocation;
use capstan_transcribe::Providers;
use capstan_transcripts::Transcripts;

use job_runner::JobRunner;

/// Base URL at which providers reach `transcription-callback`, from `API_URL`. Empty where they cannot, as on a developer's
/// machine.
#[derive(Clone, Debug)]
pub struct ApiUrl(pub String);

impl FromEnvironment for ApiUrl {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        environment.variable("API_URL").map(Self)
    }
}

/// Makes one attempt at a transcription, unless another job runner holds its lease or it has ended. Repeated or concurrent
/// events send each chunk to the provider once.
///
/// # Errors
/// [`Error::Unavailable`] when AWS was busy: another attempt follows.
pub async fn handle(
    (transcripts, providers, ApiUrl(api_url)): (Transcripts, Providers, ApiUrl),
    event: EventBridgeEvent<TranscriptionEvent>,
    invocation: Invocation,
) -> Result<(), Error> {
    let Invocation { now, entropy, clock, .. } = invocation;
    let lease = LeaseId::new(now, entropy);
    let id = &event.detail.transcription_id;
    let Some(claimed) = transcripts.store().claim_transcription(id, &lease, now).await? else { return Ok(()) };
    JobRunner { transcripts, providers, api_url, lease, began: now, clock }.run(&claimed).await
}

#[cfg(test)]
mod tests;
