//! `POST /transcription-callbacks/{provider}/{job}`

use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::{ChunkNumber, Error, ProviderName};
use capstan_http::{Access, Bearer, Reply, Request};
use capstan_idempotency::Dependencies;
use capstan_transcribe::{Callback, CallbackFailure, JobName, Providers};
use capstan_transcripts::Transcripts;

/// What the handler stands on.
#[derive(Clone, Debug)]
pub struct CallbackReceiver {
    /// Where the text goes.
    pub transcripts: Transcripts,
    /// Who may call.
    pub providers: Providers,
}

impl FromEnvironment for CallbackReceiver {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        let (transcripts, providers) = <(Transcripts, Providers)>::from_environment(environment).await?;
        Ok(Self { transcripts, providers })
    }
}

impl Dependencies for CallbackReceiver {
    type Form = Bearer;

    /// Providers have no credential; the token of the job authenticates them.
    fn access(&self) -> Option<&Access> {
        None
    }
}

/// Handles a provider's report on a job. Only the provider can know the token of the job, which comes
/// with it. What comes after the end of the job, or again, changes nothing.
///
/// # Errors
/// [`Error::NotFound`] where no job is named, [`Error::Unauthorized`] without the token, [`Error::Unavailable`] when AWS
/// or the provider was busy: providers call again.
pub async fn handle(
    CallbackReceiver { transcripts, providers }: CallbackReceiver,
    request: Request,
) -> Result<Reply, Error> {
    let name: ProviderName = request.path_parameter("provider", "provider")?;
    let job: JobName = request.path_parameter("job", "job")?;
    let provider = providers.get(Some(name)).map_err(|_| Error::NotFound { what: "provider" })?;
    let received = provider.callback(&job, request.headers(), request.body());
    if received == Err(CallbackFailure::NotAuthentic) {
        return Err(Error::Unauthorized);
    }
    let found = transcripts.store().transcription(&job.transcription_id).await?;
    let (number, now) = (ChunkNumber::new(job.chunk.unwrap_or(0)), request.now());
    let awaited = found.filter(|found| found.awaits(name, &job.recording_id, job.chunk.map(ChunkNumber::new)));
    let Some(transcription) = awaited else { return Ok(Reply::no_content()) };
    let heard = match received {
        Ok(Callback::Done(transcript)) => {
            transcripts.save_chunk(&transcription, number, transcript, now).await.map_err(Into::into)
        }
        Ok(Callback::Ended(id)) => transcripts.poll(provider, &transcription, (number, &id), now).await.map(drop),
        Err(CallbackFailure::Failed(failure)) => Err(failure.into()),
        Err(CallbackFailure::NotAuthentic) => Err(Error::Unauthorized.into()),
    };
    transcripts.handle_result(&transcription, heard, now).await.map(|()| Reply::no_content())
}

#[cfg(test)]
mod tests;
