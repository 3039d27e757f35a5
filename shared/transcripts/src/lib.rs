//! From what a provider says to the end of a transcription: texts of pieces are kept as they come, from an answer, a
//! callback or a question; whoever brings the last one joins them.
//!
//! Everything may come twice, late, at once, or after the end: what is kept is kept once, and the end is told once.

mod setback;

use capstan_domain::{
    Error, KeptTranscript, Offset, PieceNumber, PieceStanding, Recording, Status, Timestamp, Transcript, Transcription,
    TranscriptionAnnouncement, TranscriptionError, TranscriptionId,
};
use capstan_events::Events;
use capstan_objects::{ObjectKey, Objects};
use capstan_store::{Changed, Store};
use capstan_transcribe::{Part, Polled, Provider, ProviderJobId, join};
use futures_util::future::{join_all, try_join_all};

pub use setback::Setback;

/// Where transcriptions are kept, and the bus that is told of them.
#[derive(Clone, Debug)]
pub struct Transcripts {
    store: Store,
    objects: Objects,
    events: Events,
}

/// What asking a provider for a piece came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Its text was there, and is kept.
    Heard,
    /// The provider is at work.
    Running,
    /// This provider only calls back.
    Silent,
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
            Ok(made) => self.events.announce_transcription(TranscriptionAnnouncement::Due, &made).await,
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells what a transcription still owes to be told, and notes that.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the bus did not take it; it stays owed.
    pub async fn announce(&self, transcription: &Transcription) -> Result<(), Error> {
        let Some(announcement) = transcription.announcement else { return Ok(()) };
        self.events.announce_transcription(announcement, transcription).await?;
        self.store.transcription_announced(transcription, announcement).await
    }

    /// Keeps the text of a piece, and ends the transcription with the last one. Nothing happens after its end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn hear(
        &self,
        transcription: &Transcription,
        number: PieceNumber,
        transcript: Transcript,
        now: Timestamp,
    ) -> Result<(), Error> {
        if transcription.pieces.len() <= 1 {
            return self.complete(transcription, transcript, now).await;
        }
        self.objects.put_json(&ObjectKey::piece_transcript(transcription, number), &transcript).await?;
        match self.store.note_piece(&transcription.id, number, &PieceStanding::Done, now).await? {
            Changed::Made(newer) if newer.is_heard() => self.join(&newer, now).await,
            Changed::Made(_) | Changed::Refused(_) => Ok(()),
        }
    }

    /// Ends a transcription whose pieces are all heard.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when AWS was busy.
    pub async fn join(&self, transcription: &Transcription, now: Timestamp) -> Result<(), Error> {
        let parts = transcription.pieces.iter().map(|(number, piece)| async move {
            let key = ObjectKey::piece_transcript(transcription, *number);
            let transcript = self.objects.json(&key).await?;
            let transcript = transcript.ok_or_else(|| Error::internal(format!("there is no {key}")))?;
            Ok::<_, Error>(Part { start: piece.start, end: piece.end, transcript })
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
        let ends = transcription.pieces.values().map(|piece| piece.end);
        transcript.duration = ends.fold(transcript.duration, Offset::max);
        let kept = KeptTranscript::of(&transcript);
        if kept == KeptTranscript::Object {
            self.objects.put_json(&ObjectKey::transcript(transcription), &transcript).await?;
        }
        match self.store.complete_transcription(&transcription.id, &transcript, &kept, now).await? {
            Changed::Made(completed) => self.announce(&completed).await,
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
        self.announce(&failed).await?;
        self.clear(transcription).await;
        Ok(())
    }

    /// Asks a provider how a piece stands, and keeps its text if it is there.
    ///
    /// # Errors
    /// [`Setback`], the provider's or ours.
    pub async fn ask(
        &self,
        provider: &Provider,
        transcription: &Transcription,
        (number, id): (PieceNumber, &ProviderJobId),
        now: Timestamp,
    ) -> Result<Asked, Setback> {
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
        news: Result<(), Setback>,
        now: Timestamp,
    ) -> Result<(), Error> {
        match news {
            Ok(()) => Ok(()),
            Err(Setback::Final(error)) => self.fail(transcription, &error, now).await,
            Err(Setback::Passing { reason, .. }) => Err(Error::Unavailable { retry_after: 30, cause: reason.into() }),
            Err(Setback::Ours(error)) => Err(error),
        }
    }

    /// Deletes what was kept of pieces. What is left goes with the recording.
    async fn clear(&self, transcription: &Transcription) {
        let keys = transcription.pieces.keys().flat_map(|number| {
            [ObjectKey::piece_transcript(transcription, *number), ObjectKey::piece_sound(transcription, *number)]
        });
        let keys: Vec<_> = if transcription.pieces.len() > 1 { keys.collect() } else { Vec::new() };
        for deleted in join_all(keys.iter().map(|key| self.objects.delete(key))).await {
            if let Err(error) = deleted {
                tracing::warn!(transcription_id = %transcription.id, %error, "a piece is left");
            }
        }
    }
}
