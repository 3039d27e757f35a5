//! Processing: claimed by one worker at a time, renewed while it lives, finished once.

use capstan_domain::{
    Error, EventType, LEASE_SECONDS, Lease, LeaseId, Media, MediaId, Outcome, PICK_UP_SECONDS, ProcessingError,
    Recording, RecordingId, Status, Timestamp,
};

use crate::Store;
use crate::change::{Change, Changed};
use crate::condition::{Condition, LEASE, LEASE_UNTIL, is, is_held_by, is_kept, is_missing, is_unheld};

impl Store {
    /// Claims a recording that has media to process. `None` when there is nothing to do or another worker is at it.
    /// Two calls for media that arrived late.
    pub async fn claim(
        &self,
        id: &RecordingId,
        lease: &LeaseId,
        now: Timestamp,
    ) -> Result<Option<Box<Recording>>, Error> {
        let abandoned = is("status", &Status::Processing)?.and(is_unheld(now)?);
        let mut change = Change::when(is("status", &Status::Uploaded)?.or(abandoned));
        change.set("status", &Status::Processing)?;
        hold(&mut change, id, lease, now)?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(Some(recording)),
            // The SDK repeats a call whose answer was lost: then the claim is made already.
            Changed::Refused(Some(old)) if old.lease.as_ref().is_some_and(|held| held.id == *lease) => Ok(Some(old)),
            Changed::Refused(Some(old)) if old.media.values().any(Media::is_unprocessed) => {
                self.claim_late_media(id, lease, now).await
            }
            Changed::Refused(_) => Ok(None),
        }
    }

    async fn claim_late_media(
        &self,
        id: &RecordingId,
        lease: &LeaseId,
        now: Timestamp,
    ) -> Result<Option<Box<Recording>>, Error> {
        let settled = is("status", &Status::Completed)?.or(is("status", &Status::Failed)?);
        let mut change = Change::when(is_unheld(now)?.and(settled));
        hold(&mut change, id, lease, now)?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(Some(recording)),
            // As in `claim`.
            Changed::Refused(Some(old)) if old.lease.as_ref().is_some_and(|held| held.id == *lease) => Ok(Some(old)),
            Changed::Refused(_) => Ok(None),
        }
    }

    /// Holds on to a claimed recording. `false` when the lease was lost or the recording deleted, and with it the work.
    pub async fn renew_lease(&self, id: &RecordingId, lease: &LeaseId, now: Timestamp) -> Result<bool, Error> {
        // The objects of a deleted one are due to be removed, and stay so.
        let mut change = Change::when(is_held_by(lease)?.and(is_kept()));
        change.hold_until(id, now.plus_seconds(LEASE_SECONDS))?;
        Ok(matches!(change.apply(self, id).await?, Changed::Made(_)))
    }

    /// Notes what became of one medium, and holds on to the recording: it goes on, so attempts count anew from this one.
    /// Refused when the lease was lost, and when the medium was written again since it was looked into.
    pub async fn note(
        &self,
        claimed: &Recording,
        lease: &LeaseId,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = concluding(lease, std::iter::once(outcome), now)?;
        change.hold_until(&claimed.id, now.plus_seconds(LEASE_SECONDS))?.set("attempts", &1)?;
        change.apply(self, &claimed.id).await
    }

    /// Ends processing, with what became of the last medium. Refused as [`Self::note`], and when media arrived since
    /// the claim, which are then to be processed too.
    pub async fn finish(
        &self,
        claimed: &Recording,
        lease: &LeaseId,
        last: Option<&Outcome>,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let id = &claimed.id;
        let mut change = concluding(lease, last.into_iter(), now)?;
        change.require(no_more_arrivals(claimed)?).remove(LEASE).remove("attempts");
        let seen = claimed.clone().with_outcomes(last);
        if claimed.status == Status::Processing {
            settle(&mut change, id, seen.verdict(), now)?;
        } else {
            // Who finishes it may die before it asks for text of a sound that came late: somebody looks again.
            let due_at = if seen.has_late_sound() { Some(now.plus_seconds(PICK_UP_SECONDS)) } else { seen.due_at(now) };
            change.due(id, due_at)?;
        }
        change.apply(self, id).await
    }

    /// Lets go of a recording that could not be read or written now, until another attempt.
    pub async fn release(&self, claimed: &Recording, lease: &LeaseId, now: Timestamp) -> Result<(), Error> {
        let mut change = Change::when(is_held_by(lease)?.and(is_kept()));
        change.set(LEASE_UNTIL, &now.sortable())?.due(&claimed.id, Some(claimed.retry_at(now)))?;
        change.apply(self, &claimed.id).await.map(drop)
    }

    /// Gives up what was begun as often as it may: the media that are still unprocessed get the error, and the
    /// primary one decides how a recording that is being processed ends. Does nothing while a worker is at it, or when
    /// a medium was written again since it was read.
    pub async fn give_up(
        &self,
        recording: &Recording,
        error: &ProcessingError,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let id = &recording.id;
        let as_taken = is("status", &recording.status)?;
        let mut change = Change::when(is_unheld(now)?.and(is_kept()).and(as_taken));
        change.remove(LEASE).remove("attempts").set("updated_at", &now)?;
        let mut given_up = recording.clone();
        for media in given_up.media.values_mut().filter(|media| media.is_unprocessed()) {
            media.result = Some(Err(error.clone()));
            change.set(&result(&media.id), &media.result)?;
            // Other bytes that came since are not given up unread.
            let etag = media.stored.as_ref().map(|stored| &stored.etag);
            change.require(is(format!("media.{}.stored.etag", media.id), &etag)?);
        }
        if recording.status == Status::Processing {
            settle(&mut change, id, given_up.verdict(), now)?;
        } else {
            change.due(id, Some(now.plus_seconds(PICK_UP_SECONDS)))?;
        }
        change.apply(self, id).await
    }

    /// Notes that the end of processing was event_published. Two calls where a medium arrived meanwhile or the recording was
    /// deleted: when that is due stays as it is.
    pub async fn event_published(
        &self,
        recording: &Recording,
        event_type: EventType,
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = &recording.id;
        let noted = || -> Result<Change, Error> {
            let mut change = Change::when(is("event_type", &event_type)?);
            change.remove("event_type");
            Ok(change)
        };
        let mut change = noted()?;
        let as_seen = no_more_arrivals(recording)?.and(is_kept());
        change.require(as_seen).due(id, unpublished(recording).due_at(now))?;
        match change.apply(self, id).await? {
            Changed::Refused(Some(newer)) if newer.event_type == Some(event_type) => {
                noted()?.apply(self, id).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// That no medium arrived since the recording was read.
fn no_more_arrivals(seen: &Recording) -> Result<Condition, Error> {
    let as_many = is("late_arrivals", &seen.late_arrivals)?;
    // Zero is not kept, but in items that an earlier version made.
    Ok(if seen.late_arrivals == 0 { is_missing("late_arrivals").or(as_many) } else { as_many })
}

/// What every write of a worker requires and says.
fn concluding<'a>(
    lease: &LeaseId,
    outcomes: impl Iterator<Item = &'a Outcome>,
    now: Timestamp,
) -> Result<Change, Error> {
    let mut change = Change::when(is_held_by(lease)?.and(is_kept()));
    change.set("updated_at", &now)?;
    for outcome in outcomes {
        let same = is(format!("media.{}.stored.etag", outcome.media_id), &outcome.etag)?;
        change.require(same).set(&result(&outcome.media_id), &outcome.result)?;
    }
    Ok(change)
}

fn result(id: &MediaId) -> String {
    format!("media.{id}.result")
}

fn unpublished(recording: &Recording) -> Recording {
    let mut recording = recording.clone();
    recording.event_type = None;
    recording
}

fn hold(change: &mut Change, id: &RecordingId, lease: &LeaseId, now: Timestamp) -> Result<(), Error> {
    change
        .require(is_kept())
        .set(LEASE, &Lease::from(lease.clone(), now))?
        .set("updated_at", &now)?
        .add("attempts", 1)
        .due(id, Some(now.plus_seconds(LEASE_SECONDS)))?;
    Ok(())
}

fn settle(
    change: &mut Change,
    id: &RecordingId,
    verdict: Result<(), ProcessingError>,
    now: Timestamp,
) -> Result<(), Error> {
    let (status, event_type) = Recording::end_of(&verdict);
    change.transition(status)?.set("processed_at", &now)?.set("event_type", &event_type)?;
    change.due(id, Some(now.plus_seconds(PICK_UP_SECONDS)))?;
    match verdict {
        Ok(()) => change.remove("error"),
        Err(error) => change.set("error", &error)?,
    };
    Ok(())
}
