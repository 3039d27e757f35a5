//! Every minute: what is due is done.

use capstan_domain::{
    Error, EventType, PICK_UP_SECONDS, ProcessingError, ProcessingErrorCode, Recording, RecordingId, Timestamp,
    TranscriptionEventType, TranscriptionId, TranscriptionStatus, TranscriptionWork, URL_SECONDS, Work,
    told_again_seconds,
};
use capstan_events::Events;
use capstan_lambda::{Clock, Invocation};
use capstan_objects::{ObjectKey, Objects, Original};
use capstan_store::{Changed, Due, DueItem, Identifier, Store, SweepLease};
use capstan_transcripts::Transcripts;
use capstan_uploads::{HASHED_AT_ONCE, take_note};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::Mutex;

/// How much of each shard one look takes.
const PER_SHARD: i32 = 25;
/// How many recordings are worked on side by side.
const CONCURRENT: usize = 16;
/// Seconds after which a sweep leaves the rest to the next one, a minute after it began.
const SWEEP_SECONDS: i64 = 50;

/// Does what is due until nothing is, or the next sweep begins.
///
/// # Errors
/// [`Error::Unavailable`] when the table could not be asked. What fails for one recording is logged, holds up no
/// other, and is due again.
pub async fn handle(
    (store, objects, events): (Store, Objects, Events),
    _: Value,
    invocation: Invocation,
) -> Result<(), Error> {
    let transcripts = Transcripts::new(store.clone(), objects.clone(), events.clone());
    let (clock, reading) = (invocation.clock.clone(), Mutex::new(()));
    let sweep = Sweep { store, objects, events, transcripts, clock, reading };
    let end = invocation.now.plus_seconds(SWEEP_SECONDS);
    while invocation.clock.now() < end {
        let now = invocation.clock.now();
        let due = sweep.store.due(now, PER_SHARD).await?;
        if due.is_empty() {
            break;
        }
        stream::iter(&due).for_each_concurrent(CONCURRENT, |due| sweep.handle(due, now)).await;
    }
    Ok(())
}

/// Seconds that an invocation lasts at most, by template.yaml, and a few more.
pub const INVOCATION_SECONDS: i64 = 330;

struct Sweep {
    store: Store,
    objects: Objects,
    events: Events,
    transcripts: Transcripts,
    clock: Clock,
    /// Held by who reads an object that may be large: the largest is as much as one invocation reads.
    reading: Mutex<()>,
}

impl Sweep {
    async fn handle(&self, due: &Due, now: Timestamp) {
        if let Err(error) = self.take_and_do(due, now).await {
            tracing::error!(?due, %error, "due work");
        }
    }

    async fn take_and_do(&self, due: &Due, now: Timestamp) -> Result<(), Error> {
        match due {
            Due::Recording(due) => self.take_recording(due, now).await,
            Due::Transcription(due) => self.take_transcription(due, now).await,
        }
    }

    async fn take_transcription(&self, due: &DueItem<TranscriptionId>, now: Timestamp) -> Result<(), Error> {
        let held = SweepLease::until(now.plus_seconds(PICK_UP_SECONDS));
        let Some(transcription) = self.store.take_due(due, held).await? else { return Ok(()) };
        let work = transcription.work(now);
        tracing::info!(transcription_id = %transcription.id, ?work, "due work");
        match work {
            // Whoever acts on it moves the transcription on; until then it stays due.
            TranscriptionWork::Announce(due @ TranscriptionEventType::Due) => {
                self.events.publish_transcription(due, &transcription).await?;
                match transcription.status {
                    TranscriptionStatus::Pending => {
                        self.wait(&transcription.id, held, transcription.updated_at, now).await
                    }
                    _ => Ok(()),
                }
            }
            TranscriptionWork::Announce(_) => self.transcripts.publish(&transcription).await,
            TranscriptionWork::GiveUp(error) => self.transcripts.fail(&transcription, &error, now).await,
            TranscriptionWork::Rest => self.store.postpone(&transcription.id, held, None).await,
        }
    }

    async fn take_recording(&self, due: &DueItem<RecordingId>, now: Timestamp) -> Result<(), Error> {
        let held = SweepLease::until(now.plus_seconds(PICK_UP_SECONDS));
        let Some(recording) = self.store.take_due(due, held).await? else { return Ok(()) };
        let work = recording.work(now);
        tracing::info!(recording_id = %recording.id, ?work, "due work");
        // Whoever finished it may have died before it asked.
        self.transcripts.request(&recording, now).await?;
        match work {
            Work::Expire => self.store.expire_recording(&recording.id, now).await.map(drop),
            Work::CheckObjects => self.check_objects(&recording, held, now).await,
            Work::Announce(event_type) => self.publish(&recording, event_type, held, now).await,
            Work::GiveUp => self.give_up(&recording, held, now).await,
            Work::Purge => self.purge(&recording, held).await,
            Work::Forget => {
                self.objects.delete_recording(&recording.tenant.project_id, &recording.id).await?;
                // Only the recording knows of them.
                self.store.forget_transcriptions(&recording).await?;
                self.store.forget_recording(&recording).await
            }
            Work::Rest => self.store.postpone(&recording.id, held, None).await,
        }
    }

    async fn check_objects(&self, recording: &Recording, held: SweepLease, now: Timestamp) -> Result<(), Error> {
        // Reading large objects takes longer than other work: no other sweep takes it until this one has ended.
        let longer = SweepLease::until(now.plus_seconds(INVOCATION_SECONDS));
        self.store.hold_longer(&recording.id, held, longer).await?;
        for media in recording.media.values().filter(|media| media.is_unread()) {
            let key = ObjectKey::of(recording, media);
            let original = Original { key, recording_id: recording.id.clone(), media_id: media.id.clone() };
            let is_small = media.size_bytes().is_some_and(|size| size <= HASHED_AT_ONCE);
            let _alone = if is_small { None } else { Some(self.reading.lock().await) };
            take_note((&self.store, &self.objects, &self.events), &original, None, &self.clock).await?;
        }
        // This was the look that a URL's end asked for.
        self.store.postpone(&recording.id, longer, recording.due_at(now).filter(|due| *due > now)).await
    }

    /// Waits for whoever acts on what was told, the longer the longer nobody has.
    async fn wait<I: Identifier>(
        &self,
        id: &I,
        held: SweepLease,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        match told_again_seconds(since, now) {
            PICK_UP_SECONDS => Ok(()),
            longer => self.store.hold_longer(id, held, SweepLease::until(now.plus_seconds(longer))).await,
        }
    }

    async fn publish(
        &self,
        recording: &Recording,
        event_type: EventType,
        held: SweepLease,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.events.publish(event_type, recording).await?;
        match event_type {
            // Whoever acts on these moves the recording on; until then it stays due.
            EventType::Uploaded | EventType::MediaUploaded => {
                self.wait(&recording.id, held, recording.updated_at, now).await
            }
            EventType::Completed | EventType::Failed => self.store.event_published(recording, event_type, now).await,
        }
    }

    async fn give_up(&self, recording: &Recording, held: SweepLease, now: Timestamp) -> Result<(), Error> {
        let error = ProcessingError {
            code: ProcessingErrorCode::ProcessingError,
            message: format!("Processing was begun {} times and never ended.", recording.attempts),
        };
        let Changed::Made(given_up) = self.store.give_up(recording, &error, now).await? else { return Ok(()) };
        self.transcripts.request(&given_up, now).await?;
        match given_up.event_type {
            Some(event_type) => self.publish(&given_up, event_type, held, now).await,
            None => Ok(()),
        }
    }

    async fn purge(&self, recording: &Recording, held: SweepLease) -> Result<(), Error> {
        self.store.forget_transcriptions(recording).await?;
        self.objects.delete_recording(&recording.tenant.project_id, &recording.id).await?;
        let urls_end = recording.deleted_at.map(|deleted_at| deleted_at.plus_seconds(2 * i64::from(URL_SECONDS)));
        self.store.postpone(&recording.id, held, urls_end).await
    }
}

#[cfg(test)]
mod tests;
