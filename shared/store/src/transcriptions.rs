//! Transcriptions: made once, taken up by one worker at a time, ended once.

use std::collections::BTreeMap;

use capstan_domain::{
    Chunk, ChunkNumber, ChunkStatus, Error, Lease, LeaseId, MAX_TRANSCRIPTIONS, PICK_UP_SECONDS, ProviderName,
    Recording, TRANSCRIPTION_LEASE_SECONDS, Tenant, Timestamp, Transcript, TranscriptLocation, Transcription,
    TranscriptionError, TranscriptionEventType, TranscriptionId, TranscriptionStatus,
};
use futures_util::future::try_join_all;

use crate::change::{Change, Changed, delete_when};
use crate::condition::{
    Comparison, Condition, LEASE, compares, exists, has_just, is, is_held_by, is_kept, is_missing, is_unheld,
};
use crate::keys::Identifier;
use crate::transaction::{Committed, Transaction};
use crate::{Page, Store, item};

impl Store {
    /// Keeps a new transcription of a recording, and gives it as it is kept. Finding it kept is no conflict, as for a
    /// recording. One transaction.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the recording has other transcriptions than `recording` knows of, or as many as it may;
    /// [`Error::NotFound`] when it was deleted.
    pub async fn create_transcription(
        &self,
        transcription: Transcription,
        recording: &Recording,
    ) -> Result<Transcription, Error> {
        let is_known = recording.transcriptions.contains(&transcription.id);
        if recording.transcriptions.len() >= MAX_TRANSCRIPTIONS && !is_known {
            let reason = format!("the recording has {MAX_TRANSCRIPTIONS} transcriptions, the most it may");
            return Err(Error::Conflict { reason });
        }
        let mut transaction = Transaction::default();
        let new = transaction.put_new(item::transcription(&transcription)?);
        let as_seen = has_just("transcriptions", recording.transcriptions.iter());
        let mut listed = Change::when(as_seen.and(is_kept()));
        listed
            .add_to_set("transcriptions", std::iter::once(&transcription.id))
            .set("updated_at", &transcription.created_at)?;
        let of = transaction.update(&recording.id, listed);
        let Committed::Refused(refusals) = transaction.commit(self).await? else { return Ok(transcription) };
        let known: Option<Transcription> = refusals.old(new)?;
        let is_this = |known: &Transcription| {
            known.tenant == transcription.tenant && known.recording_id == transcription.recording_id
        };
        if let Some(known) = known.filter(is_this) {
            return Ok(known);
        }
        let current: Option<Recording> = refusals.old(of)?;
        Err(match current.filter(|current| current.deleted_at.is_none()) {
            Some(_) => Error::Conflict { reason: "another transcription of this recording came first".to_owned() },
            None => Error::no_recording(),
        })
    }

    /// The transcription of that id, whoever's it is; `None` when there is none.
    pub async fn transcription(&self, id: &TranscriptionId) -> Result<Option<Transcription>, Error> {
        self.read(id.key()).await
    }

    /// A page of all transcriptions of a tenant, newest first.
    pub async fn list_transcriptions(
        &self,
        tenant: &Tenant,
        after: Option<&TranscriptionId>,
        limit: usize,
    ) -> Result<Page<Transcription, TranscriptionId>, Error> {
        self.list(tenant, after, limit).await
    }

    /// A page of the transcriptions of a recording, newest first.
    pub async fn list_transcriptions_of(
        &self,
        recording: &Recording,
        after: Option<&TranscriptionId>,
        limit: usize,
    ) -> Result<Page<Transcription, TranscriptionId>, Error> {
        let rest = recording.transcriptions.iter().rev().filter(|id| after.is_none_or(|after| *id < after));
        let mut ids: Vec<_> = rest.take(limit + 1).cloned().collect();
        let more = ids.len() > limit;
        ids.truncate(limit);
        let mut found = self.entities(&ids).await?;
        let next = ids.last().filter(|_| more).map(|last| crate::Position { after: last.clone(), left_out: 0 });
        Ok(Page { entities: ids.iter().filter_map(|id| found.remove(id)).collect(), next })
    }

    /// Takes up a transcription that nobody is at. `None` when somebody is, and when it has ended.
    pub async fn claim_transcription(
        &self,
        id: &TranscriptionId,
        lease: &LeaseId,
        now: Timestamp,
    ) -> Result<Option<Box<Transcription>>, Error> {
        let until = now.plus_seconds(TRANSCRIPTION_LEASE_SECONDS);
        let held = Lease { id: lease.clone(), until: until.sortable() };
        let free = is_missing("meeting").and(is_unheld(now)?);
        for leaves in [TranscriptionStatus::Pending, TranscriptionStatus::Processing] {
            let mut change = Change::when(free.clone().and(is("status", &leaves)?));
            change.set(LEASE, &held)?.set("status", &TranscriptionStatus::Processing)?.set("updated_at", &now)?;
            change.add("attempts", 1).due(id, Some(until))?;
            if leaves == TranscriptionStatus::Pending {
                change.set("started_at", &now)?.set("event_type", &TranscriptionEventType::Started)?;
            }
            match change.apply(self, id).await? {
                Changed::Made(claimed) => return Ok(Some(claimed)),
                // The SDK repeats a call whose answer was lost: then the claim is made already.
                Changed::Refused(Some(old)) if old.lease.as_ref().is_some_and(|held| held.id == *lease) => {
                    return Ok(Some(old));
                }
                Changed::Refused(Some(old)) if old.status == TranscriptionStatus::Processing => {}
                Changed::Refused(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Notes in which chunks a claimed transcription is given to whom, before any is.
    pub async fn plan_transcription(
        &self,
        id: &TranscriptionId,
        lease: &LeaseId,
        provider: ProviderName,
        chunks: &BTreeMap<ChunkNumber, Chunk>,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let mut change = Change::when(is_held_by(lease)?);
        change.set("options.provider", &provider)?.set("chunks", chunks)?.set("updated_at", &now)?;
        change.apply(self, id).await
    }

    /// Notes where a chunk stands, unless its text is there already. Attempts count anew with each text. Refused when the
    /// transcription has ended.
    pub async fn record_chunk(
        &self,
        id: &TranscriptionId,
        chunk: ChunkNumber,
        standing: &ChunkStatus,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let path = format!("chunks.{chunk}.standing");
        let open = exists(&path).and(compares(&path, Comparison::Other, &ChunkStatus::Done)?);
        let mut change = Change::when(is("status", &TranscriptionStatus::Processing)?.and(open));
        change.set(&path, standing)?.set("updated_at", &now)?;
        if *standing == ChunkStatus::Done {
            change.remove("attempts");
        }
        change.apply(self, id).await
    }

    /// Lets go of a claimed transcription: nobody takes it up again before `next`, however often it is told. `attempts`
    /// is what they are set to, unless they stay as they are.
    pub async fn release_transcription(
        &self,
        id: &TranscriptionId,
        lease: &LeaseId,
        attempts: Option<u32>,
        next: Timestamp,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_held_by(lease)?);
        change.hold_until(id, next)?.set_if("attempts", attempts.as_ref())?;
        change.apply(self, id).await.map(drop)
    }

    /// Ends a transcription with its text. Refused when it has ended before.
    pub async fn complete_transcription(
        &self,
        id: &TranscriptionId,
        transcript: &Transcript,
        kept: &TranscriptLocation,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let mut change = ended(TranscriptionStatus::Completed, TranscriptionEventType::Completed, id, now)?;
        change
            .set("transcript", kept)?
            .set_if("language", transcript.language.as_ref())?
            .set("duration", &transcript.duration)?
            .set("word_count", &transcript.word_count())?;
        change.apply(self, id).await
    }

    /// Ends a transcription without. Refused when it has ended before.
    pub async fn fail_transcription(
        &self,
        id: &TranscriptionId,
        error: &TranscriptionError,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let mut change = ended(TranscriptionStatus::Failed, TranscriptionEventType::Failed, id, now)?;
        change.set("error", error)?;
        change.apply(self, id).await
    }

    /// Notes that something was event_published; what has ended and was told owes nothing any more.
    pub async fn transcription_event_published(
        &self,
        transcription: &Transcription,
        event_type: TranscriptionEventType,
    ) -> Result<(), Error> {
        let mut change = Change::when(is("event_type", &event_type)?);
        change.remove("event_type");
        if transcription.status.is_end() || transcription.meeting.is_some() {
            change.due(&transcription.id, None)?;
        }
        change.apply(self, &transcription.id).await.map(drop)
    }

    /// Removes the transcriptions of a deleted recording. A call for each, side by side.
    pub async fn forget_transcriptions(&self, recording: &Recording) -> Result<(), Error> {
        let of = |id: &TranscriptionId| -> Result<_, Error> {
            Ok(delete_when(is("recording_id", &recording.id)?, self, id.key()))
        };
        let deletions: Vec<_> = recording.transcriptions.iter().map(of).collect::<Result<_, _>>()?;
        try_join_all(deletions).await.map(drop)
    }
}

/// The end of a transcription, which is due until it is told.
fn ended(
    status: TranscriptionStatus,
    event_type: TranscriptionEventType,
    id: &TranscriptionId,
    now: Timestamp,
) -> Result<Change, Error> {
    let leaves = TranscriptionStatus::ALL.into_iter().filter(|from| from.leads_to(status));
    let leaves = leaves.map(|from| is("status", &from)).collect::<Result<_, _>>()?;
    let mut change = Change::when(Condition::Any(leaves));
    change
        .set("status", &status)?
        .set("event_type", &event_type)?
        .set("completed_at", &now)?
        .set("updated_at", &now)?
        .remove("attempts")
        .remove(LEASE)
        .remove("chunks")
        .due(id, Some(now.plus_seconds(PICK_UP_SECONDS)))?;
    Ok(change)
}
