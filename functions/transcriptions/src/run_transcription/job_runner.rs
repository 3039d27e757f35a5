//! A job runner: makes one attempt at a transcription job.

use std::collections::BTreeSet;
use std::time::Duration;

use capstan_domain::{
    Chunk, ChunkNumber, ChunkStatus, Error, LeaseId, MAX_ATTEMPTS, ProviderName, RecordingId, Timestamp, Transcription,
    TranscriptionError, TranscriptionErrorCode,
};
use capstan_lambda::Clock;
use capstan_store::Changed;
use capstan_transcribe::{Audio, Job, JobName, Provider, Providers, Started, start};
use capstan_transcripts::{JobError, PolledChunk, Transcripts};
use futures_util::{StreamExt, stream};

use super::audio::{ProviderAudio, in_bucket, provider_audio};

/// Chunks that are sent to a provider concurrently.
const AT_ONCE: usize = 4;
/// Seconds after which no other chunk is sent: half of the function's timeout, so that requests under way can end.
const SENDING_SECONDS: i64 = 450;

pub(crate) struct JobRunner {
    pub(crate) transcripts: Transcripts,
    pub(crate) providers: Providers,
    pub(crate) api_url: String,
    pub(crate) lease: LeaseId,
    pub(crate) began: Timestamp,
    pub(crate) clock: Clock,
}

/// State of a job after one attempt. Of several chunks, the largest state counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum JobState {
    /// The transcription has ended, or another job runner holds its lease.
    Ended,
    /// The provider works on it and reports by callback only.
    Silent,
    /// A chunk was sent to the provider.
    Sent,
    /// The provider answered that it works on it.
    Running,
}

impl JobState {
    fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl JobRunner {
    /// Makes one attempt at a claimed transcription, and releases it.
    pub(crate) async fn run(&self, claimed: &Transcription) -> Result<(), Error> {
        let state = match self.transcripts.publish(claimed).await {
            Ok(()) => self.advance(claimed).await,
            Err(error) => Err(error.into()),
        };
        let now = self.clock.now();
        match state {
            Ok(JobState::Ended) => Ok(()),
            Ok(JobState::Running) => self.release(claimed, Some(0), claimed.poll_at(now)).await,
            // An attempt that only waited is not counted.
            Ok(JobState::Silent) => {
                self.release(claimed, Some(claimed.attempts.saturating_sub(1)), claimed.poll_at(now)).await
            }
            // The provider accepted a chunk: its result is awaited even if this was the last attempt.
            Ok(JobState::Sent) => {
                self.release(claimed, Some(claimed.attempts.min(MAX_ATTEMPTS - 1)), claimed.poll_at(now)).await
            }
            Err(JobError::Permanent(error)) => self.transcripts.fail(claimed, &error, now).await,
            Err(JobError::Transient { reason, .. }) if self.was_last_attempt(claimed).await? => {
                let message = format!("The provider failed {} times. Last error: {reason}", claimed.attempts);
                let error = TranscriptionError::new(TranscriptionErrorCode::ProcessingError, message);
                self.transcripts.fail(claimed, &error, now).await
            }
            Err(JobError::Transient { retry_after, reason }) => {
                tracing::warn!(transcription_id = %claimed.id, reason, "transcription attempt failed");
                let next = claimed.retry_at(now, retry_after.as_ref().map(Duration::as_secs));
                self.release(claimed, None, next).await
            }
            Err(JobError::Internal(error)) => {
                self.release(claimed, None, claimed.retry_at(now, None)).await?;
                Err(error)
            }
        }
    }

    /// Whether this was the last attempt, and no chunk was done since it began.
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

    async fn advance(&self, claimed: &Transcription) -> Result<JobState, JobError> {
        let provider = self.providers.get(claimed.options.provider)?;
        let Some(recording_id) = &claimed.recording_id else { return Ok(JobState::Ended) };
        let found = self.transcripts.store().recording(recording_id).await?;
        let Some(recording) = found.filter(|recording| recording.deleted_at.is_none()) else {
            return Ok(JobState::Ended);
        };
        if claimed.has_all_chunks() {
            self.transcripts.join(claimed, self.clock.now()).await?;
            return Ok(JobState::Ended);
        }
        let (state, unsent) = self.poll(provider, claimed).await?;
        if !claimed.chunks.is_empty() && unsent.is_empty() {
            return Ok(state);
        }
        let audio = provider_audio(self.transcripts.objects(), &recording, provider.limits(), self.clock.now()).await?;
        let Some((planned, unsent)) = self.plan(provider, claimed, &audio, unsent).await? else {
            return Ok(JobState::Ended);
        };
        self.send_chunks(provider, &planned, audio, &unsent).await.map(|sent| state.and(sent))
    }

    /// Polls the provider for the chunks that it has. Also returns the chunks that are still to be sent.
    async fn poll(
        &self,
        provider: &Provider,
        claimed: &Transcription,
    ) -> Result<(JobState, BTreeSet<ChunkNumber>), JobError> {
        let (mut state, mut unsent) = (JobState::Ended, BTreeSet::new());
        for (number, chunk) in &claimed.chunks {
            let now = self.clock.now();
            match &chunk.status {
                ChunkStatus::Done => {}
                ChunkStatus::Sending => drop(unsent.insert(*number)),
                ChunkStatus::Awaited { job_id, .. } => {
                    match self.transcripts.poll(provider, claimed, (*number, &job_id.parse()?), now).await? {
                        PolledChunk::Done => {}
                        PolledChunk::Running => state = state.and(JobState::Running),
                        PolledChunk::OnlyByCallback if chunk.must_be_sent_again(now)? => drop(unsent.insert(*number)),
                        PolledChunk::OnlyByCallback => state = state.and(JobState::Silent),
                    }
                }
            }
        }
        Ok((state, unsent))
    }

    /// Records the chunks before the first is sent, unless they are recorded already. `None` when the lease was lost.
    async fn plan(
        &self,
        provider: &Provider,
        claimed: &Transcription,
        audio: &ProviderAudio,
        unsent: BTreeSet<ChunkNumber>,
    ) -> Result<Option<(Transcription, BTreeSet<ChunkNumber>)>, Error> {
        let spans = |chunk: &Chunk| (chunk.start, chunk.end);
        if claimed.chunks.values().map(spans).eq(audio.chunks.values().map(|(chunk, _)| spans(chunk))) {
            return Ok(Some((claimed.clone(), unsent)));
        }
        let chunks = audio.chunks.iter().map(|(number, (chunk, _))| (*number, chunk.clone())).collect();
        let store = self.transcripts.store();
        let planned = store.plan_transcription(&claimed.id, &self.lease, provider.name(), &chunks, self.clock.now());
        let Changed::Made(planned) = planned.await? else { return Ok(None) };
        let all = planned.chunks.keys().copied().collect();
        Ok(Some((*planned, all)))
    }

    /// Sends chunks to the provider, a few at a time, and saves the transcripts that it returns at once.
    async fn send_chunks(
        &self,
        provider: &Provider,
        planned: &Transcription,
        audio: ProviderAudio,
        unsent: &BTreeSet<ChunkNumber>,
    ) -> Result<JobState, JobError> {
        let mut requests = Vec::new();
        for (number, (chunk, file)) in &audio.chunks {
            if unsent.contains(number) {
                requests.push(self.send_chunk(provider, planned, &audio.recording_id, (*number, chunk, file)));
            }
        }
        let mut sent = stream::iter(requests).buffer_unordered(AT_ONCE);
        let (mut state, mut failure) = (JobState::Ended, None);
        while let Some(outcome) = sent.next().await {
            match outcome {
                Ok(chunk) => state = state.and(chunk),
                // The results of the other chunks are saved.
                Err(other @ (JobError::Transient { .. } | JobError::Internal(_))) => failure = Some(other),
                Err(last @ JobError::Permanent(_)) => return Err(last),
            }
        }
        failure.map_or(Ok(state), Err)
    }

    async fn send_chunk(
        &self,
        provider: &Provider,
        planned: &Transcription,
        recording_id: &RecordingId,
        (number, chunk, audio): (ChunkNumber, &Chunk, &Audio),
    ) -> Result<JobState, JobError> {
        if self.clock.now() >= self.began.plus_seconds(SENDING_SECONDS) {
            let reason = "the function has no time left to send all chunks".to_owned();
            return Err(JobError::Transient { retry_after: None, reason });
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
                self.transcripts.save_chunk(planned, number, transcript, now).await?;
                Ok(JobState::Ended)
            }
            Started::Awaiting(job_id) => {
                let times = planned.chunks.get(&number).map_or(0, Chunk::times_sent) + 1;
                let awaited = ChunkStatus::Awaited { job_id: job_id.to_string(), since: now, times };
                self.transcripts.store().record_chunk(&planned.id, number, &awaited, now).await?;
                Ok(JobState::Sent)
            }
        }
    }
}
