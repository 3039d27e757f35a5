//! `transcription.due`: a transcription is given to its provider, or the provider is asked how it stands.

mod sound;
mod worker;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::{Error, LeaseId};
use capstan_events::TranscriptionEvent;
use capstan_lambda::Invocation;
use capstan_transcribe::Providers;
use capstan_transcripts::Transcripts;

use worker::Worker;

/// Where providers visibility `transcription-callback`, from `API_URL`. Empty when they cannot, as on a developer's machine.
#[derive(Clone, Debug)]
pub struct ApiUrl(pub String);

impl FromEnvironment for ApiUrl {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        environment.variable("API_URL").map(Self)
    }
}

/// Takes up a transcription, unless another worker is at it or it has ended. Running it twice, or twice at once, gives a
/// provider each chunk once.
///
/// # Errors
/// [`Error::Unavailable`] when AWS was busy: the transcription is taken up again.
pub async fn handle(
    (transcripts, providers, ApiUrl(api_url)): (Transcripts, Providers, ApiUrl),
    event: EventBridgeEvent<TranscriptionEvent>,
    invocation: Invocation,
) -> Result<(), Error> {
    let Invocation { now, entropy, clock, .. } = invocation;
    let lease = LeaseId::new(now, entropy);
    let id = &event.detail.transcription_id;
    let Some(claimed) = transcripts.store().claim_transcription(id, &lease, now).await? else { return Ok(()) };
    Worker { transcripts, providers, api_url, lease, began: now, clock }.bring_on(&claimed).await
}

#[cfg(test)]
mod tests;
