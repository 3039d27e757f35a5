//! Processing: claimed by one worker at a time, renewed while it runs, ended once.

use capstan_domain::{
    Error, EventType, LEASE_SECONDS, Lease, LeaseId, Media, ProcessedMedia, ProcessingError, Recording, RecordingId,
    Status, Timestamp, TransitionCause, due_after_publish,
};

use crate::Store;
use crate::attributes::{
    ATTEMPTS, ERROR, ETAG, EVENT_TYPE, LATE_ARRIVALS, LEASE, OUTCOME, PROCESSED_AT, UNTIL, UPDATED_AT, uploaded,
    uploaded_object,
};
use crate::change::{Change, Changed};
use crate::condition::{Condition, has_lease, is, is_missing, is_not_deleted, is_unleased, status_is};

impl Store {
    /// Claims a recording that has files to process. `None` when it has none or another worker holds the lease. One call
    /// for a recording that was uploaded, two for late files and after a worker died.
    pub async fn claim(
        &self,
        id: &RecordingId,
        lease: &LeaseId,
        now: Timestamp,
    ) -> Result<Option<Box<Recording>>, Error> {
        let mut change = claiming(id, lease, now)?;
        change.transition(Status::Uploaded, TransitionCause::Processing, Status::Processing)?;
        let recording = match self.claimed(change, id, lease).await? {
            Changed::Made(recording) => return Ok(Some(recording)),
            Changed::Refused(None) => return Ok(None),
            Changed::Refused(Some(recording)) => recording,
        };
        let is_interrupted = recording.status == Status::Processing;
        let has_late_files = matches!(recording.status, Status::Completed | Status::Failed)
            && recording.media.values().any(Media::is_unprocessed);
        if !is_interrupted && !has_late_files {
            return Ok(None);
        }
        let mut change = claiming(id, lease, now)?;
        change.require(is_unleased(now)?).require(status_is(recording.status)?);
        match self.claimed(change, id, lease).await? {
            Changed::Made(recording) => Ok(Some(recording)),
            Changed::Refused(_) => Ok(None),
        }
    }

    async fn claimed(&self, claim: Change, id: &RecordingId, lease: &LeaseId) -> Result<Changed, Error> {
        let is_claimed = |known: &Recording| known.processing.lease.as_ref().is_some_and(|held| held.id == *lease);
        claim.apply_once(self, id, is_claimed).await
    }

    /// Renews the lease on a recording. `false` when the lease was lost or the recording deleted: the work must stop.
    pub async fn renew_lease(&self, id: &RecordingId, lease: &LeaseId, now: Timestamp) -> Result<bool, Error> {
        // The objects of a deleted recording are due for deletion, and stay so.
        let mut change = Change::when(has_lease(lease)?.and(is_not_deleted()));
        change.extend_lease(id, now.plus_seconds(LEASE_SECONDS))?;
        Ok(matches!(change.apply(self, id).await?, Changed::Made(_)))
    }

    /// Saves the result of one media file, and renews the lease. Attempts count anew, since the work makes progress.
    /// Refused when the lease was lost, and when the object was overwritten since it was read.
    pub async fn save_outcome(
        &self,
        claimed: &Recording,
        lease: &LeaseId,
        processed: &ProcessedMedia,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = saving(lease, std::iter::once(processed), now)?;
        change.extend_lease(&claimed.id, now.plus_seconds(LEASE_SECONDS))?.set(ATTEMPTS, &1)?;
        change.apply(self, &claimed.id).await
    }

    /// Ends processing, and saves the result of the last media file. Refused as [`Self::save_outcome`], and when objects
    /// arrived since the claim: they are to be processed first.
    pub async fn finish(
        &self,
        claimed: &Recording,
        lease: &LeaseId,
        last: Option<&ProcessedMedia>,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let id = &claimed.id;
        let mut change = saving(lease, last.into_iter(), now)?;
        change.require(has_no_more_arrivals(claimed)?).remove(LEASE).remove(ATTEMPTS);
        let processed = claimed.clone().with_processed(last);
        if claimed.status == Status::Processing {
            end(&mut change, id, processed.verdict(), now)?;
        } else {
            change.due(id, processed.due_after_late_processing(now))?;
        }
        change.apply(self, id).await
    }

    /// Releases a recording that could not be read or written because of a transient error, until the next attempt.
    pub async fn release(&self, claimed: &Recording, lease: &LeaseId, now: Timestamp) -> Result<(), Error> {
        let mut change = Change::when(has_lease(lease)?.and(is_not_deleted()));
        change.set(LEASE.then(UNTIL), &now)?.due(&claimed.id, Some(claimed.retry_at(now)))?;
        change.apply(self, &claimed.id).await.map(drop)
    }

    /// Gives up processing: the unprocessed media files fail with the error, and the primary one decides how a recording
    /// that is being processed ends. Does nothing while a worker holds the lease, or when an object was overwritten since
    /// the recording was read.
    pub async fn give_up(
        &self,
        recording: &Recording,
        error: &ProcessingError,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let id = &recording.id;
        let failed = |media: &Media| {
            let uploaded = media.uploaded().filter(|_| media.is_unprocessed())?;
            let etag = uploaded.object.etag.clone();
            Some(ProcessedMedia { media_id: media.id.clone(), etag, outcome: Err(error.clone()) })
        };
        let failed: Vec<_> = recording.media.values().filter_map(failed).collect();
        let mut change = Change::when(is_unleased(now)?.and(is_not_deleted()).and(status_is(recording.status)?));
        change.remove(LEASE).remove(ATTEMPTS).set(UPDATED_AT, &now)?;
        set_outcomes(&mut change, failed.iter())?;
        if recording.status == Status::Processing {
            end(&mut change, id, recording.clone().with_processed(&failed).verdict(), now)?;
        } else {
            change.due(id, Some(due_after_publish(now)))?;
        }
        change.apply(self, id).await
    }

    /// Records that the event of the end was published. Two calls where an object arrived or the recording was deleted at
    /// the same time: the time at which the next action is due then stays.
    pub async fn event_published(
        &self,
        recording: &Recording,
        event_type: EventType,
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = &recording.id;
        let published = || -> Result<Change, Error> {
            let mut change = Change::when(is(EVENT_TYPE, &event_type)?);
            change.remove(EVENT_TYPE);
            Ok(change)
        };
        let mut after = recording.clone();
        after.processing.event_type = None;
        let mut change = published()?;
        let is_unchanged = has_no_more_arrivals(recording)?.and(is_not_deleted());
        change.require(is_unchanged).due(id, after.due_at(now))?;
        match change.apply(self, id).await? {
            Changed::Refused(Some(newer)) if newer.processing.event_type == Some(event_type) => {
                published()?.apply(self, id).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// No object arrived late since the recording was read.
fn has_no_more_arrivals(read: &Recording) -> Result<Condition, Error> {
    match read.processing.late_arrivals {
        0 => Ok(is_missing(LATE_ARRIVALS)),
        count => is(LATE_ARRIVALS, &count),
    }
}

/// Takes the lease, and counts the attempt.
fn claiming(id: &RecordingId, lease: &LeaseId, now: Timestamp) -> Result<Change, Error> {
    let mut change = Change::when(is_not_deleted());
    let lease = Lease::from(lease.clone(), now);
    let until = lease.until;
    change.set(LEASE, &lease)?.set(UPDATED_AT, &now)?.add(ATTEMPTS, 1).due(id, Some(until))?;
    Ok(change)
}

/// Saves results under a lease.
fn saving<'a>(
    lease: &LeaseId,
    processed: impl Iterator<Item = &'a ProcessedMedia>,
    now: Timestamp,
) -> Result<Change, Error> {
    let mut change = Change::when(has_lease(lease)?.and(is_not_deleted()));
    change.set(UPDATED_AT, &now)?;
    set_outcomes(&mut change, processed)?;
    Ok(change)
}

fn set_outcomes<'a>(change: &mut Change, processed: impl Iterator<Item = &'a ProcessedMedia>) -> Result<(), Error> {
    for ProcessedMedia { media_id, etag, outcome } in processed {
        // The object may have been overwritten since it was read.
        change.require(is(uploaded_object(media_id, ETAG), etag)?);
        change.set(uploaded(media_id).then(OUTCOME), outcome)?;
    }
    Ok(())
}

/// Ends the processing of a recording.
fn end(
    change: &mut Change,
    id: &RecordingId,
    verdict: Result<(), ProcessingError>,
    now: Timestamp,
) -> Result<(), Error> {
    let (status, event_type) = Recording::end_of(&verdict);
    change
        .transition(Status::Processing, TransitionCause::Processing, status)?
        .set(PROCESSED_AT, &now)?
        .set(EVENT_TYPE, &event_type)?
        .due(id, Some(due_after_publish(now)))?;
    match verdict {
        Ok(()) => change.remove(ERROR),
        Err(error) => change.set(ERROR, &error)?,
    };
    Ok(())
}
