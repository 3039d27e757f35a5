//! Every minute: the sweep, which does due work.

use capstan_domain::{
    Error, EventType, PICK_UP_SECONDS, ProcessingError, ProcessingErrorCode, Recording, RecordingId, Timestamp,
    TranscriptionEventType, TranscriptionId, TranscriptionStatus, TranscriptionWork, URL_SECONDS, Work,
    republish_seconds,
};
use capstan_events::Events;
use capstan_lambda::{Clock, Invocation};
use capstan_objects::{ObjectKey, Objects, Original};
use capstan_outbox::Outbox;
use capstan_store::{Changed, Due, DueItem, Identifier, Store, SweepLease};
use capstan_transcripts::Transcripts;
use capstan_uploads::{MAX_HASHED_IN_REQUEST_BYTES, record_object};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::Mutex;

/// Due items read from each shard at once.
const PER_SHARD: i32 = 25;
/// Due items handled concurrently.
const CONCURRENT: usize = 16;
/// Seconds after which a sweep leaves the rest to the next sweep, which starts a minute after it.
const SWEEP_SECONDS: i64 = 50;

/// Does due work until there is none, or the next sweep starts.
///
/// # Errors
/// [`Error::Unavailable`] when the due work could not be read. An error of one item is logged and affects no other item;
/// the item is due again.
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

/// The function's timeout in template.yaml, in seconds, and a margin.
pub const INVOCATION_SECONDS: i64 = 330;

struct Sweep {
    store: Store,
    objects: Objects,
    events: Events,
    transcripts: Transcripts,
    clock: Clock,
    /// Locked while a large object is read: one invocation has time for one of the largest objects only.
    reading: Mutex<()>,
}

impl Sweep {
    fn outbox(&self) -> Outbox<'_> {
        Outbox::new(&self.store, &self.events)
    }

    async fn handle(&self, due: &Due, now: Timestamp) {
        if let Err(error) = self.claim_and_handle(due, now).await {
            tracing::error!(?due, %error, "due work failed");
        }
    }

    async fn claim_and_handle(&self, due: &Due, now: Timestamp) -> Result<(), Error> {
        match due {
            Due::Recording(due) => self.handle_recording(due, now).await,
            Due::Transcription(due) => self.handle_transcription(due, now).await,
        }
    }

    async fn handle_transcription(&self, due: &DueItem<TranscriptionId>, now: Timestamp) -> Result<(), Error> {
        let held = SweepLease::until(now.plus_seconds(PICK_UP_SECONDS));
        let Some(transcription) = self.store.claim_due(due, held).await? else { return Ok(()) };
        let work = transcription.work(now);
        tracing::info!(transcription_id = %transcription.id, ?work, "due work");
        match work {
            // It stays due until a job runner claims it.
            TranscriptionWork::Publish(due @ TranscriptionEventType::Due) => {
                self.outbox().publish_transcription(due, &transcription).await?;
                match transcription.status {
                    TranscriptionStatus::Pending => {
                        self.wait(&transcription.id, held, transcription.updated_at, now).await
                    }
                    _ => Ok(()),
                }
            }
            TranscriptionWork::Publish(_) => self.transcripts.publish(&transcription).await,
            TranscriptionWork::GiveUp(error) => self.transcripts.fail(&transcription, &error, now).await,
            TranscriptionWork::Nothing => self.store.release_due(&transcription.id, held, None).await,
        }
    }

    async fn handle_recording(&self, due: &DueItem<RecordingId>, now: Timestamp) -> Result<(), Error> {
        let held = SweepLease::until(now.plus_seconds(PICK_UP_SECONDS));
        let Some(recording) = self.store.claim_due(due, held).await? else { return Ok(()) };
        let work = recording.work(now);
        tracing::info!(recording_id = %recording.id, ?work, "due work");
        // The worker that finished it may have died before it requested a transcription.
        self.transcripts.request(&recording, now).await?;
        match work {
            Work::Expire => self.store.expire_recording(&recording.id, now).await.map(drop),
            Work::CheckObjects => self.check_objects(&recording, held, now).await,
            Work::Publish(event_type) => self.publish(&recording, event_type, held, now).await,
            Work::GiveUp => self.give_up(&recording, held, now).await,
            Work::DeleteObjects => self.delete_objects(&recording, held).await,
            Work::DeleteItem => {
                self.objects.delete_recording(&recording.tenant.project_id, &recording.id).await?;
                // Only the recording has their identifiers.
                self.store.delete_transcriptions(&recording).await?;
                self.store.delete_recording_item(&recording).await
            }
            Work::Nothing => self.store.release_due(&recording.id, held, None).await,
        }
    }

    async fn check_objects(&self, recording: &Recording, held: SweepLease, now: Timestamp) -> Result<(), Error> {
        // Hashing large objects takes longer than other work: no other sweep may start it meanwhile.
        let longer = SweepLease::until(now.plus_seconds(INVOCATION_SECONDS));
        self.store.renew_sweep_lease(&recording.id, held, longer).await?;
        for media in recording.media.values().filter(|media| media.is_unread()) {
            let key = ObjectKey::of(recording, media);
            let original = Original { key, recording_id: recording.id.clone(), media_id: media.id.clone() };
            let is_small = media.size_bytes().is_some_and(|size| size <= MAX_HASHED_IN_REQUEST_BYTES);
            let _alone = if is_small { None } else { Some(self.reading.lock().await) };
            record_object((&self.store, &self.objects, self.outbox()), &original, None, &self.clock).await?;
        }
        // The lookup after the expiry of the last URL happens once.
        self.store.release_due(&recording.id, longer, recording.due_at(now).filter(|due| *due > now)).await
    }

    /// Sets when an event is published again: the longer nothing has followed from it, the later.
    async fn wait<I: Identifier>(
        &self,
        id: &I,
        held: SweepLease,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        match republish_seconds(since, now) {
            PICK_UP_SECONDS => Ok(()),
            longer => self.store.renew_sweep_lease(id, held, SweepLease::until(now.plus_seconds(longer))).await,
        }
    }

    async fn publish(
        &self,
        recording: &Recording,
        event_type: EventType,
        held: SweepLease,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.outbox().publish(event_type, recording, now).await?;
        match event_type {
            // It stays due until a worker claims it.
            EventType::Uploaded | EventType::MediaUploaded => {
                self.wait(&recording.id, held, recording.updated_at, now).await
            }
            EventType::Completed | EventType::Failed => Ok(()),
        }
    }

    async fn give_up(&self, recording: &Recording, held: SweepLease, now: Timestamp) -> Result<(), Error> {
        let error = ProcessingError {
            code: ProcessingErrorCode::ProcessingError,
            message: format!("Processing was tried {} times and never ended.", recording.processing.attempts),
        };
        let Changed::Made(given_up) = self.store.give_up(recording, &error, now).await? else { return Ok(()) };
        self.transcripts.request(&given_up, now).await?;
        match given_up.processing.event_type {
            Some(event_type) => self.publish(&given_up, event_type, held, now).await,
            None => Ok(()),
        }
    }

    async fn delete_objects(&self, recording: &Recording, held: SweepLease) -> Result<(), Error> {
        self.store.delete_transcriptions(recording).await?;
        self.objects.delete_recording(&recording.tenant.project_id, &recording.id).await?;
        let urls_end = recording.deleted_at.map(|deleted_at| deleted_at.plus_seconds(2 * i64::from(URL_SECONDS)));
        self.store.release_due(&recording.id, held, urls_end).await
    }
}

#[cfg(test)]
mod tests;
