//! `Transcribe Job State Change`: a job of Amazon Transcribe's has ended.
//!
//! These events are sent on best effort: what none comes for is asked for when it is due.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use capstan_domain::{ChunkNumber, Error, ProviderName};
use capstan_lambda::Invocation;
use capstan_transcribe::{JobName, ProviderJobId, Providers};
use capstan_transcripts::Transcripts;
use serde::{Deserialize, Serialize};

/// The `detail` of the event, as far as it is acted on: Amazon Transcribe is asked for the rest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobEvent {
    /// What the job was called when it was started.
    transcription_job_name: String,
}

/// Keeps the text of a job that has ended. Jobs of others in the account are none of ours.
///
/// # Errors
/// [`Error::Unavailable`] when AWS was busy; the job is asked for again when it is due.
pub async fn handle(
    (transcripts, providers): (Transcripts, Providers),
    event: EventBridgeEvent<JobEvent>,
    invocation: Invocation,
) -> Result<(), Error> {
    let Ok(job) = event.detail.transcription_job_name.parse::<JobName>() else { return Ok(()) };
    let Ok(aws) = providers.get(Some(ProviderName::Aws)) else { return Ok(()) };
    let found = transcripts.store().transcription(&job.transcription_id).await?;
    let number = ChunkNumber::new(job.chunk.unwrap_or(0));
    let awaited =
        found.filter(|found| found.awaits(ProviderName::Aws, &job.recording_id, job.chunk.map(ChunkNumber::new)));
    let Some(transcription) = awaited else { return Ok(()) };
    let id = ProviderJobId::of_aws(&job);
    let asked = transcripts.poll(aws, &transcription, (number, &id), invocation.now).await;
    transcripts.handle_result(&transcription, asked.map(drop), invocation.now).await
}

#[cfg(test)]
mod tests;
