//! One worker at one transcription.

use std::collections::BTreeSet;
use std::time::Duration;

use capstan_domain::{
    Chunk, ChunkNumber, ChunkStatus, Error, LeaseId, MAX_ATTEMPTS, ProviderName, RecordingId, Timestamp, Transcription,
    TranscriptionError, TranscriptionErrorCode,
};
use capstan_lambda::Clock;
use capstan_store::Changed;
use capstan_transcribe::{Audio, Job, JobName, Provider, Providers, Started, start};
use capstan_transcripts::{Asked, JobError, Transcripts};
use futures_util::{StreamExt, stream};

use super::sound::{Sounds, in_bucket, sounds};

/// How many chunks of one transcription a provider has at a time.
const AT_ONCE: usize = 4;
/// Seconds after which no other chunk is begun: half of what the function may run, so that those under way can end.
const BEGINNING_SECONDS: i64 = 450;

pub(crate) struct Worker {
    pub(crate) transcripts: Transcripts,
    pub(crate) providers: Providers,
    pub(crate) api_url: String,
    pub(crate) lease: LeaseId,
    pub(crate) began: Timestamp,
    pub(crate) clock: Clock,
}

/// How a transcription stands after one attempt at it. The later of two stands for both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// It has ended, or is another's.
    Ended,
    /// The provider has it and says nothing: it only calls back.
    Silent,
    /// The provider was given something.
    Given,
    /// The provider is known to be at work.
    Awaited,
}

impl Progress {
    fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl Worker {
    /// Does what can be done of a claimed transcription now, and lets go of it.
    pub(crate) async fn bring_on(&self, claimed: &Transcription) -> Result<(), Error> {
        let progress = match self.transcripts.publish(claimed).await {
            Ok(()) => self.advance(claimed).await,
            Err(error) => Err(error.into()),
        };
        let now = self.clock.now();
        match progress {
            Ok(Progress::Ended) => Ok(()),
            Ok(Progress::Awaited) => self.release(claimed, Some(0), claimed.ask_at(now)).await,
            // An attempt that only waited is none.
            Ok(Progress::Silent) => {
                self.release(claimed, Some(claimed.attempts.saturating_sub(1)), claimed.ask_at(now)).await
            }
            // It was taken: whatever this attempt cost, the provider is waited for.
            Ok(Progress::Given) => {
                self.release(claimed, Some(claimed.attempts.min(MAX_ATTEMPTS - 1)), claimed.ask_at(now)).await
            }
            Err(JobError::Final(error)) => self.transcripts.fail(claimed, &error, now).await,
            Err(JobError::Passing { reason, .. }) if self.was_last_attempt(claimed).await? => {
                let message = format!("The provider failed {} times; the last time: {reason}", claimed.attempts);
                let error = TranscriptionError::new(TranscriptionErrorCode::ProcessingError, message);
                self.transcripts.fail(claimed, &error, now).await
            }
            Err(JobError::Passing { retry_after, reason }) => {
                tracing::warn!(transcription_id = %claimed.id, reason, "transcription put off");
                let next = claimed.retry_at(now, retry_after.as_ref().map(Duration::as_secs));
                self.release(claimed, None, next).await
            }
            Err(JobError::Ours(error)) => {
                self.release(claimed, None, claimed.retry_at(now, None)).await?;
                Err(error)
            }
        }
    }

    /// Whether it was taken up as often as it may be, and nothing was heard of the provider all that time.
    async fn was_last_attempt(&self, claimed: &Transcription) -> Result<bool, Error> {
        if claimed.attempts < MAX_ATTEMPTS {
            return Ok(false);
        }
        let now = self.transcripts.store().transcription(&claimed.id).await?;
        Ok(now.is_none_or(|now| now.attempts >= MAX_ATTEMPTS))
    }

    async fn release(&self, claimed: &Transcription, attempts: Option<u32>, next: Timestamp) -> Result<(), Error> {
        self.transcripts.store().release_transcription(&claimed.id, &self.lease, attempts, next).await
    }

    async fn advance(&self, claimed: &Transcription) -> Result<Progress, JobError> {
        let provider = self.providers.get(claimed.options.provider)?;
        let Some(recording_id) = &claimed.recording_id else { return Ok(Progress::Ended) };
        let found = self.transcripts.store().recording(recording_id).await?;
        let Some(recording) = found.filter(|recording| recording.deleted_at.is_none()) else {
            return Ok(Progress::Ended);
        };
        if claimed.is_heard() {
            self.transcripts.join(claimed, self.clock.now()).await?;
            return Ok(Progress::Ended);
        }
        let (asked, ungiven) = self.ask(provider, claimed).await?;
        if !claimed.chunks.is_empty() && ungiven.is_empty() {
            return Ok(asked);
        }
        let sounds = sounds(self.transcripts.objects(), &recording, provider.limits(), self.clock.now()).await?;
        let Some((planned, ungiven)) = self.plan(provider, claimed, &sounds, ungiven).await? else {
            return Ok(Progress::Ended);
        };
        self.give(provider, &planned, sounds, &ungiven).await.map(|given| asked.and(given))
    }

    /// Asks for the chunks that the provider has. Also tells which it has yet to be given.
    async fn ask(
        &self,
        provider: &Provider,
        claimed: &Transcription,
    ) -> Result<(Progress, BTreeSet<ChunkNumber>), JobError> {
        let (mut progress, mut ungiven) = (Progress::Ended, BTreeSet::new());
        for (number, chunk) in &claimed.chunks {
            let now = self.clock.now();
            match &chunk.standing {
                ChunkStatus::Done => {}
                ChunkStatus::Given => drop(ungiven.insert(*number)),
                ChunkStatus::Awaited { job_id, .. } => {
                    match self.transcripts.ask(provider, claimed, (*number, &job_id.parse()?), now).await? {
                        Asked::Heard => {}
                        Asked::Running => progress = progress.and(Progress::Awaited),
                        Asked::Silent if chunk.is_to_be_given_again(now)? => drop(ungiven.insert(*number)),
                        Asked::Silent => progress = progress.and(Progress::Silent),
                    }
                }
            }
        }
        Ok((progress, ungiven))
    }

    /// Notes which chunks there are before any is given, unless that is noted already. `None` when the lease was lost.
    async fn plan(
        &self,
        provider: &Provider,
        claimed: &Transcription,
        sounds: &Sounds,
        ungiven: BTreeSet<ChunkNumber>,
    ) -> Result<Option<(Transcription, BTreeSet<ChunkNumber>)>, Error> {
        let spans = |chunk: &Chunk| (chunk.start, chunk.end);
        if claimed.chunks.values().map(spans).eq(sounds.chunks.values().map(|(chunk, _)| spans(chunk))) {
            return Ok(Some((claimed.clone(), ungiven)));
        }
        let chunks = sounds.chunks.iter().map(|(number, (chunk, _))| (*number, chunk.clone())).collect();
        let store = self.transcripts.store();
        let planned = store.plan_transcription(&claimed.id, &self.lease, provider.name(), &chunks, self.clock.now());
        let Changed::Made(planned) = planned.await? else { return Ok(None) };
        let all = planned.chunks.keys().copied().collect();
        Ok(Some((*planned, all)))
    }

    /// Gives the provider its chunks, a few at a time, and keeps the texts of those that it answers at once.
    async fn give(
        &self,
        provider: &Provider,
        planned: &Transcription,
        sounds: Sounds,
        ungiven: &BTreeSet<ChunkNumber>,
    ) -> Result<Progress, JobError> {
        let mut giving = Vec::new();
        for (number, (chunk, audio)) in &sounds.chunks {
            if ungiven.contains(number) {
                giving.push(self.give_one(provider, planned, &sounds.recording_id, (*number, chunk, audio)));
            }
        }
        let mut given = stream::iter(giving).buffer_unordered(AT_ONCE);
        let (mut progress, mut setback) = (Progress::Ended, None);
        while let Some(outcome) = given.next().await {
            match outcome {
                Ok(one) => progress = progress.and(one),
                // The others are not in vain: what they bring is kept.
                Err(other @ (JobError::Passing { .. } | JobError::Ours(_))) => setback = Some(other),
                Err(last @ JobError::Final(_)) => return Err(last),
            }
        }
        setback.map_or(Ok(progress), Err)
    }

    async fn give_one(
        &self,
        provider: &Provider,
        planned: &Transcription,
        recording_id: &RecordingId,
        (number, chunk, audio): (ChunkNumber, &Chunk, &Audio),
    ) -> Result<Progress, JobError> {
        if self.clock.now() >= self.began.plus_seconds(BEGINNING_SECONDS) {
            let reason = "there was no time left for all chunks".to_owned();
            return Err(JobError::Passing { retry_after: None, reason });
        }
        let audio = match provider.name() {
            ProviderName::Aws => {
                in_bucket(self.transcripts.objects(), planned, number, audio.clone(), self.clock.now()).await?
            }
            ProviderName::Whisper | ProviderName::Deepgram | ProviderName::AssemblyAi => audio.clone(),
        };
        let name = JobName {
            recording_id: recording_id.clone(),
            transcription_id: planned.id.clone(),
            chunk: (planned.chunks.len() > 1).then(|| number.get()),
        };
        let callback_url = || format!("{}/transcription-callbacks/{}/{name}", self.api_url, provider.name());
        let callback_url = (!self.api_url.is_empty()).then(callback_url);
        let job = Job {
            name,
            audio,
            duration: chunk.end.minus(chunk.start),
            language: planned.options.language.clone(),
            diarization: planned.options.diarization,
            callback_url,
        };
        let started = start(provider, &job).await?;
        let now = self.clock.now();
        match started {
            Started::Done(transcript) => {
                self.transcripts.hear(planned, number, transcript, now).await?;
                Ok(Progress::Ended)
            }
            Started::Awaiting(job_id) => {
                let times = planned.chunks.get(&number).map_or(0, Chunk::times_given) + 1;
                let awaited = ChunkStatus::Awaited { job_id: job_id.to_string(), since: now, times };
                self.transcripts.store().record_chunk(&planned.id, number, &awaited, now).await?;
                Ok(Progress::Given)
            }
        }
    }
}
