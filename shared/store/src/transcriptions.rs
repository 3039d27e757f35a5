//! Transcriptions: created once, claimed by one job runner at a time, ended once.

use std::collections::BTreeMap;

use capstan_domain::{
    Chunk, ChunkNumber, ChunkStatus, Error, Lease, LeaseId, MAX_TRANSCRIPTIONS, ProviderName, Recording,
    TRANSCRIPTION_LEASE_SECONDS, Tenant, Timestamp, Transcript, TranscriptLocation, Transcription, TranscriptionError,
    TranscriptionEventType, TranscriptionId, TranscriptionStatus, due_after_publish,
};
use futures_util::future::try_join_all;

use crate::attributes::{
    ATTEMPTS, CHUNKS, COMPLETED_AT, DURATION, ERROR, EVENT_TYPE, LANGUAGE, LEASE, MEETING, OPTIONS, PROVIDER,
    RECORDING_ID, STARTED_AT, STATUS, TRANSCRIPT, TRANSCRIPTIONS, UPDATED_AT, WORD_COUNT, chunk_status,
};
use crate::change::{Change, Changed, delete_when};
use crate::condition::{
    Comparison, Condition, compares, exists, has_exactly, has_lease, is, is_missing, is_not_deleted, is_unleased,
};
use crate::keys::Identifier;
use crate::transaction::{Committed, Transaction};
use crate::{Page, PageQuery, Store, item};

impl Store {
    /// Creates a transcription of a recording. Returns the stored one if an earlier sending of the request created it. One
    /// transaction.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another transcription was created since `recording` was read, or it has
    /// [`MAX_TRANSCRIPTIONS`];
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
        let is_unchanged = has_exactly(TRANSCRIPTIONS, recording.transcriptions.iter());
        let mut listed = Change::when(is_unchanged.and(is_not_deleted()));
        listed
            .add_to_set(TRANSCRIPTIONS, std::iter::once(&transcription.id))
            .set(UPDATED_AT, &transcription.created_at)?;
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
            Some(_) => Error::Conflict {
                reason: "another transcription of this recording was created at the same time; try again".to_owned(),
            },
            None => Error::no_recording(),
        })
    }

    /// A transcription of any tenant; `None` if it does not exist.
    pub async fn transcription(&self, id: &TranscriptionId) -> Result<Option<Transcription>, Error> {
        self.read(id.key()).await
    }

    /// A page of all transcriptions of a tenant, newest first.
    pub async fn list_transcriptions(
        &self,
        tenant: &Tenant,
        query: &PageQuery<TranscriptionId>,
    ) -> Result<Page<Transcription, TranscriptionId>, Error> {
        self.list(tenant, query).await
    }

    /// A page of the transcriptions of a recording, newest first.
    pub async fn list_transcriptions_of(
        &self,
        recording: &Recording,
        query: &PageQuery<TranscriptionId>,
    ) -> Result<Page<Transcription, TranscriptionId>, Error> {
        self.list_of(recording.transcriptions.iter().rev(), query).await
    }

    /// Claims a transcription. `None` when another job runner holds the lease, and when it has ended. Two calls where its
    /// provider works on it already.
    pub async fn claim_transcription(
        &self,
        id: &TranscriptionId,
        lease: &LeaseId,
        now: Timestamp,
    ) -> Result<Option<Box<Transcription>>, Error> {
        let until = now.plus_seconds(TRANSCRIPTION_LEASE_SECONDS);
        let taken = Lease { id: lease.clone(), until };
        let is_free = is_missing(MEETING).and(is_unleased(now)?);
        let is_claimed = |known: &Transcription| known.lease.as_ref().is_some_and(|held| held.id == *lease);
        for leaves in [TranscriptionStatus::Pending, TranscriptionStatus::Processing] {
            let mut change = Change::when(is_free.clone().and(is(STATUS, &leaves)?));
            change.set(LEASE, &taken)?.set(STATUS, &TranscriptionStatus::Processing)?.set(UPDATED_AT, &now)?;
            change.add(ATTEMPTS, 1).due(id, Some(until))?;
            if leaves == TranscriptionStatus::Pending {
                change.set(STARTED_AT, &now)?.set(EVENT_TYPE, &TranscriptionEventType::Started)?;
            }
            match change.apply_once(self, id, is_claimed).await? {
                Changed::Made(claimed) => return Ok(Some(claimed)),
                Changed::Refused(Some(old)) if old.status == TranscriptionStatus::Processing => {}
                Changed::Refused(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Records the provider and the chunks of a claimed transcription, before the first chunk is sent.
    pub async fn plan_transcription(
        &self,
        id: &TranscriptionId,
        lease: &LeaseId,
        provider: ProviderName,
        chunks: &BTreeMap<ChunkNumber, Chunk>,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let mut change = Change::when(has_lease(lease)?);
        change.set(OPTIONS.then(PROVIDER), &provider)?.set(CHUNKS, chunks)?.set(UPDATED_AT, &now)?;
        change.apply(self, id).await
    }

    /// Records the status of a chunk, unless it is done. Attempts count anew when a chunk is done. Refused when the
    /// transcription has ended.
    pub async fn record_chunk(
        &self,
        id: &TranscriptionId,
        chunk: ChunkNumber,
        status: &ChunkStatus,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let path = chunk_status(chunk);
        let is_open = exists(path.clone()).and(compares(path.clone(), Comparison::Other, &ChunkStatus::Done)?);
        let mut change = Change::when(is(STATUS, &TranscriptionStatus::Processing)?.and(is_open));
        change.set(path, status)?.set(UPDATED_AT, &now)?;
        if *status == ChunkStatus::Done {
            change.remove(ATTEMPTS);
        }
        change.apply(self, id).await
    }

    /// Releases a claimed transcription until `next`: it cannot be claimed before. `None` leaves `attempts` unchanged.
    pub async fn release_transcription(
        &self,
        id: &TranscriptionId,
        lease: &LeaseId,
        attempts: Option<u32>,
        next: Timestamp,
    ) -> Result<(), Error> {
        let mut change = Change::when(has_lease(lease)?);
        change.extend_lease(id, next)?.set_if(ATTEMPTS, attempts.as_ref())?;
        change.apply(self, id).await.map(drop)
    }

    /// Completes a transcription. Refused when it has ended before.
    pub async fn complete_transcription(
        &self,
        id: &TranscriptionId,
        transcript: &Transcript,
        location: &TranscriptLocation,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let mut change = ended(TranscriptionStatus::Completed, TranscriptionEventType::Completed, id, now)?;
        change
            .set(TRANSCRIPT, location)?
            .set_if(LANGUAGE, transcript.language.as_ref())?
            .set(DURATION, &transcript.duration)?
            .set(WORD_COUNT, &transcript.word_count())?;
        change.apply(self, id).await
    }

    /// Fails a transcription. Refused when it has ended before.
    pub async fn fail_transcription(
        &self,
        id: &TranscriptionId,
        error: &TranscriptionError,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let mut change = ended(TranscriptionStatus::Failed, TranscriptionEventType::Failed, id, now)?;
        change.set(ERROR, error)?;
        change.apply(self, id).await
    }

    /// Records that an event was published. No action is due after the event of the end.
    pub async fn transcription_event_published(
        &self,
        transcription: &Transcription,
        event_type: TranscriptionEventType,
    ) -> Result<(), Error> {
        let mut change = Change::when(is(EVENT_TYPE, &event_type)?);
        change.remove(EVENT_TYPE);
        if transcription.status.is_end() || transcription.meeting.is_some() {
            change.due(&transcription.id, None)?;
        }
        change.apply(self, &transcription.id).await.map(drop)
    }

    /// Deletes the transcriptions of a deleted recording. One call for each, concurrently.
    pub async fn delete_transcriptions(&self, recording: &Recording) -> Result<(), Error> {
        let of = |id: &TranscriptionId| -> Result<_, Error> {
            Ok(delete_when(is(RECORDING_ID, &recording.id)?, self, id.key()))
        };
        let deletions: Vec<_> = recording.transcriptions.iter().map(of).collect::<Result<_, _>>()?;
        try_join_all(deletions).await.map(drop)
    }
}

/// Ends a transcription. It is due until the event is published.
fn ended(
    status: TranscriptionStatus,
    event_type: TranscriptionEventType,
    id: &TranscriptionId,
    now: Timestamp,
) -> Result<Change, Error> {
    let leaves = TranscriptionStatus::ALL.into_iter().filter(|from| from.leads_to(status));
    let leaves = leaves.map(|from| is(STATUS, &from)).collect::<Result<_, _>>()?;
    let mut change = Change::when(Condition::Any(leaves));
    change
        .set(STATUS, &status)?
        .set(EVENT_TYPE, &event_type)?
        .set(COMPLETED_AT, &now)?
        .set(UPDATED_AT, &now)?
        .remove(ATTEMPTS)
        .remove(LEASE)
        .remove(CHUNKS)
        .due(id, Some(due_after_publish(now)))?;
    Ok(change)
}

/// Largest transcript, in bytes of JSON, that is stored with its transcription. DynamoDB limits an item to 400 kB.
const MAX_ITEM_TRANSCRIPT_BYTES: usize = 300_000;

/// Where a transcript is to be stored: with its transcription, if DynamoDB's limit allows.
pub fn transcript_location(transcript: &Transcript) -> TranscriptLocation {
    match serde_json::to_string(transcript) {
        Ok(text) if text.len() <= MAX_ITEM_TRANSCRIPT_BYTES => TranscriptLocation::Item(transcript.clone()),
        _ => TranscriptLocation::Object,
    }
}

#[cfg(test)]
mod tests {
    use capstan_domain::{Offset, Segment};

    use super::*;

    #[test]
    fn a_long_transcript_is_stored_in_its_own_object() {
        let transcript = |count: usize| {
            let segment = Segment {
                text: "x".repeat(1000),
                speaker: None,
                start: Offset::default(),
                end: Offset::default(),
                confidence: None,
            };
            Transcript::new(None, Offset::default(), vec![segment; count])
        };
        assert!(matches!(transcript_location(&transcript(200)), TranscriptLocation::Item(_)));
        assert_eq!(transcript_location(&transcript(300)), TranscriptLocation::Object);
    }
}
