//! From what a provider says to the end of a transcription: texts of chunks are kept as they come, from an answer, a
//! callback or a question; whoever brings the last one joins them.
//!
//! Everything may come twice, late, at once, or after the end: what is kept is kept once, and the end is told once.

mod setback;

use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::{
    ChunkNumber, ChunkStatus, Error, Offset, Recording, Status, Timestamp, Transcript, TranscriptLocation,
    Transcription, TranscriptionError, TranscriptionEventType, TranscriptionId,
};
use capstan_events::Events;
use capstan_objects::{ObjectKey, Objects};
use capstan_store::{Changed, Store};
use capstan_transcribe::{Part, Polled, Provider, ProviderJobId, join};
use futures_util::future::{join_all, try_join_all};

pub use setback::JobError;

/// Where transcriptions are kept, and the bus that is told of them.
#[derive(Clone, Debug)]
pub struct Transcripts {
    store: Store,
    objects: Objects,
    events: Events,
}

/// What asking a provider for a chunk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Its text was there, and is kept.
    Heard,
    /// The provider is at work.
    Running,
    /// This provider only calls back.
    Silent,
}

impl FromEnvironment for Transcripts {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        let (store, objects, events) = <(Store, Objects, Events)>::from_environment(environment).await?;
        Ok(Self::new(store, objects, events))
    }
}

impl Transcripts {
    /// Of this table, this bucket and this bus.
    pub fn new(store: Store, objects: Objects, events: Events) -> Self {
        Self { store, objects, events }
    }

    /// The table.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The bucket.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Asks for the transcription of a completed recording, where its project wants that of all. Doing it again changes
    /// nothing, and of any other recording it does nothing. A GetItem; a transaction and a PutEvents more where it does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn request(&self, recording: &Recording, now: Timestamp) -> Result<(), Error> {
        let is_kept = recording.deleted_at.is_none();
        if recording.status != Status::Completed || !is_kept || !recording.transcriptions.is_empty() {
            return Ok(());
        }
        let settings = self.store.settings(&recording.tenant).await?.transcription;
        if !settings.automatic {
            return Ok(());
        }
        let id = TranscriptionId::of(&recording.id);
        // What has no sound has no words; its project need not be told of that each time.
        let Ok(wanted) = Transcription::new(id, recording, settings.options, now) else { return Ok(()) };
        match self.store.create_transcription(wanted, recording).await {
            Ok(made) => self.events.publish_transcription(TranscriptionEventType::Due, &made).await,
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells what a transcription still owes to be told, and notes that.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the bus did not take it; it stays owed.
    pub async fn publish(&self, transcription: &Transcription) -> Result<(), Error> {
        let Some(event_type) = transcription.event_type else { return Ok(()) };
        self.events.publish_transcription(event_type, transcription).await?;
        self.store.transcription_event_published(transcription, event_type).await
    }

    /// Keeps the text of a chunk, and ends the transcription with the last one. Nothing happens after its end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn hear(
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
            Changed::Made(newer) if newer.is_heard() => self.join(&newer, now).await,
            Changed::Made(_) | Changed::Refused(_) => Ok(()),
        }
    }

    /// Ends a transcription whose chunks are all heard.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn join(&self, transcription: &Transcription, now: Timestamp) -> Result<(), Error> {
        let parts = transcription.chunks.iter().map(|(number, chunk)| async move {
            let key = ObjectKey::chunk_transcript(transcription, *number);
            let transcript = self.objects.json(&key).await?;
            let transcript = transcript.ok_or_else(|| Error::internal(format!("there is no {key}")))?;
            Ok::<_, Error>(Part { start: chunk.start, end: chunk.end, transcript })
        });
        let parts = try_join_all(parts).await?;
        self.complete(transcription, join(parts), now).await?;
        self.clear(transcription).await;
        Ok(())
    }

    async fn complete(
        &self,
        transcription: &Transcription,
        mut transcript: Transcript,
        now: Timestamp,
    ) -> Result<(), Error> {
        // Some providers tell of the words only, and the sound goes on after the last.
        let ends = transcription.chunks.values().map(|chunk| chunk.end);
        transcript.duration = ends.fold(transcript.duration, Offset::max);
        let kept = TranscriptLocation::of(&transcript);
        if kept == TranscriptLocation::Object {
            self.objects.put_json(&ObjectKey::transcript(transcription), &transcript).await?;
        }
        match self.store.complete_transcription(&transcription.id, &transcript, &kept, now).await? {
            Changed::Made(completed) => self.publish(&completed).await,
            Changed::Refused(_) => Ok(()),
        }
    }

    /// Ends a transcription without its text. Nothing happens after its end.
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
        self.clear(transcription).await;
        Ok(())
    }

    /// Asks a provider how a chunk stands, and keeps its text if it is there.
    ///
    /// # Errors
    /// [`JobError`], the provider's or ours.
    pub async fn ask(
        &self,
        provider: &Provider,
        transcription: &Transcription,
        (number, id): (ChunkNumber, &ProviderJobId),
        now: Timestamp,
    ) -> Result<Asked, JobError> {
        match provider.poll(id).await? {
            Polled::Done(transcript) => {
                self.hear(transcription, number, transcript, now).await?;
                Ok(Asked::Heard)
            }
            Polled::Running => Ok(Asked::Running),
            Polled::OnlyByCallback => Ok(Asked::Silent),
        }
    }

    /// What is to be done about news that may have been bad: what is final ends the transcription.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when whoever brought the news should bring it again.
    pub async fn settle(
        &self,
        transcription: &Transcription,
        news: Result<(), JobError>,
        now: Timestamp,
    ) -> Result<(), Error> {
        match news {
            Ok(()) => Ok(()),
            Err(JobError::Final(error)) => self.fail(transcription, &error, now).await,
            Err(JobError::Passing { reason, .. }) => Err(Error::Unavailable { retry_after: 30, cause: reason.into() }),
            Err(JobError::Ours(error)) => Err(error),
        }
    }

    /// Deletes what was kept of chunks. What is left goes with the recording.
    async fn clear(&self, transcription: &Transcription) {
        let keys = transcription.chunks.keys().flat_map(|number| {
            [ObjectKey::chunk_transcript(transcription, *number), ObjectKey::chunk_audio(transcription, *number)]
        });
        let keys: Vec<_> = if transcription.chunks.len() > 1 { keys.collect() } else { Vec::new() };
        for deleted in join_all(keys.iter().map(|key| self.objects.delete(key))).await {
            if let Err(error) = deleted {
                tracing::warn!(transcription_id = %transcription.id, %error, "a chunk is left");
            }
        }
    }
}
