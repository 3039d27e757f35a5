//! From a provider's results to the end of a transcription. The transcript of each chunk is saved when it comes, by a
//! response, a callback or a poll; the last one to come joins them.
//!
//! Results may come twice, late, concurrently, or after the end: each is saved once, and the end is published once.

mod job_error;

use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::{
    ChunkNumber, ChunkStatus, Error, Offset, Recording, Status, Timestamp, Transcript, TranscriptLocation,
    Transcription, TranscriptionError, TranscriptionEventType, TranscriptionId,
};
use capstan_events::Events;
use capstan_objects::{ObjectKey, Objects};
use capstan_outbox::Outbox;
use capstan_store::{Changed, Store, transcript_location};
use capstan_transcribe::{Part, Polled, Provider, ProviderJobId, join};
use futures_util::future::{join_all, try_join_all};

pub use job_error::JobError;

/// Saves results of transcriptions and publishes their events.
#[derive(Clone, Debug)]
pub struct Transcripts {
    store: Store,
    objects: Objects,
    events: Events,
}

/// Result of polling a provider for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolledChunk {
    /// Its transcript is saved.
    Done,
    /// The provider works on it.
    Running,
    /// The provider reports by callback only.
    OnlyByCallback,
}

impl FromEnvironment for Transcripts {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        let (store, objects, events) = <(Store, Objects, Events)>::from_environment(environment).await?;
        Ok(Self::new(store, objects, events))
    }
}

impl Transcripts {
    /// Transcriptions in this table and bucket, with events on this bus.
    pub fn new(store: Store, objects: Objects, events: Events) -> Self {
        Self { store, objects, events }
    }

    fn outbox(&self) -> Outbox<'_> {
        Outbox::new(&self.store, &self.events)
    }

    /// The table.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The bucket.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Creates the transcription of a completed recording, if its project wants every recording transcribed. Repeating it
    /// changes nothing; so does any other recording. One GetItem, and a transaction and a PutEvents if it creates one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn request(&self, recording: &Recording, now: Timestamp) -> Result<(), Error> {
        let is_deleted = recording.deleted_at.is_some();
        if recording.status != Status::Completed || is_deleted || !recording.transcriptions.is_empty() {
            return Ok(());
        }
        let settings = self.store.settings(&recording.tenant).await?.transcription;
        if !settings.automatic {
            return Ok(());
        }
        let id = TranscriptionId::of(&recording.id);
        // Without audio there is nothing to transcribe, and no failed transcription is created.
        let Ok(wanted) = Transcription::new(id, recording, settings.options, now) else { return Ok(()) };
        match self.store.create_transcription(wanted, recording).await {
            Ok(created) => self.outbox().publish_transcription(TranscriptionEventType::Due, &created).await,
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Publishes the pending event of a transcription, if it has one, and acknowledges it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the bus did not take it; the event stays pending.
    pub async fn publish(&self, transcription: &Transcription) -> Result<(), Error> {
        let Some(event_type) = transcription.event_type else { return Ok(()) };
        self.outbox().publish_transcription(event_type, transcription).await
    }

    /// Saves the transcript of a chunk, and completes the transcription with the last one. Does nothing after its end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn save_chunk(
        &self,
        transcription: &Transcription,
        number: ChunkNumber,
        transcript: Transcript,
        now: Timestamp,
    ) -> Result<(), Error> {
        if transcription.chunks.len() <= 1 {
            return self.complete(transcription, transcript, now).await;
        }
        self.objects.put_json(&ObjectKey::chunk_transcript(transcription, number), &transcript).await?;
        match self.store.record_chunk(&transcription.id, number, &ChunkStatus::Done, now).await? {
            Changed::Made(newer) if newer.has_all_chunks() => self.join(&newer, now).await,
            Changed::Made(_) | Changed::Refused(_) => Ok(()),
        }
    }

    /// Completes a transcription whose chunks are all transcribed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn join(&self, transcription: &Transcription, now: Timestamp) -> Result<(), Error> {
        let parts = transcription.chunks.iter().map(|(number, chunk)| async move {
            let key = ObjectKey::chunk_transcript(transcription, *number);
            let transcript = self.objects.json(&key).await?;
            let transcript = transcript.ok_or_else(|| Error::internal(format!("the object {key} does not exist")))?;
            Ok::<_, Error>(Part { start: chunk.start, end: chunk.end, transcript })
        });
        let parts = try_join_all(parts).await?;
        self.complete(transcription, join(parts), now).await?;
        self.delete_chunks(transcription).await;
        Ok(())
    }

    async fn complete(
        &self,
        transcription: &Transcription,
        mut transcript: Transcript,
        now: Timestamp,
    ) -> Result<(), Error> {
        // Some providers return the end of the last word as the duration.
        let ends = transcription.chunks.values().map(|chunk| chunk.end);
        transcript.duration = ends.fold(transcript.duration, Offset::max);
        let location = transcript_location(&transcript);
        if location == TranscriptLocation::Object {
            self.objects.put_json(&ObjectKey::transcript(transcription), &transcript).await?;
        }
        match self.store.complete_transcription(&transcription.id, &transcript, &location, now).await? {
            Changed::Made(completed) => self.publish(&completed).await,
            Changed::Refused(_) => Ok(()),
        }
    }

    /// Fails a transcription. Does nothing after its end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn fail(
        &self,
        transcription: &Transcription,
        error: &TranscriptionError,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Changed::Made(failed) = self.store.fail_transcription(&transcription.id, error, now).await? else {
            return Ok(());
        };
        tracing::info!(transcription_id = %failed.id, %error, "transcription failed");
        self.publish(&failed).await?;
        self.delete_chunks(transcription).await;
        Ok(())
    }

    /// Polls a provider for a chunk, and saves its transcript if it is done.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn poll(
        &self,
        provider: &Provider,
        transcription: &Transcription,
        (number, id): (ChunkNumber, &ProviderJobId),
        now: Timestamp,
    ) -> Result<PolledChunk, JobError> {
        match provider.poll(id).await? {
            Polled::Done(transcript) => {
                self.save_chunk(transcription, number, transcript, now).await?;
                Ok(PolledChunk::Done)
            }
            Polled::Running => Ok(PolledChunk::Running),
            Polled::OnlyByCallback => Ok(PolledChunk::OnlyByCallback),
        }
    }

    /// Handles the result of saving a provider's report: a permanent error fails the transcription.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the report should be delivered again.
    pub async fn handle_result(
        &self,
        transcription: &Transcription,
        result: Result<(), JobError>,
        now: Timestamp,
    ) -> Result<(), Error> {
        match result {
            Ok(()) => Ok(()),
            Err(JobError::Permanent(error)) => self.fail(transcription, &error, now).await,
            Err(JobError::Transient { reason, .. }) => {
                Err(Error::Unavailable { retry_after: 30, cause: reason.into() })
            }
            Err(JobError::Internal(error)) => Err(error),
        }
    }

    /// Deletes the objects of chunks. Any that are left are deleted with the recording.
    async fn delete_chunks(&self, transcription: &Transcription) {
        let keys = transcription.chunks.keys().flat_map(|number| {
            [ObjectKey::chunk_transcript(transcription, *number), ObjectKey::chunk_audio(transcription, *number)]
        });
        let keys: Vec<_> = if transcription.chunks.len() > 1 { keys.collect() } else { Vec::new() };
        for deleted in join_all(keys.iter().map(|key| self.objects.delete(key))).await {
            if let Err(error) = deleted {
                tracing::warn!(transcription_id = %transcription.id, %error, "cannot delete an object of a chunk");
            }
        }
    }
}
