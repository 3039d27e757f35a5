//! Meeting recordings and transcriptions, found by the UUID that a meeting worker gave them.

use capstan_domain::{
    EndUserId, Error, Media, MeetingRecording, MeetingRecordingId, MeetingTranscriptionId, Name, Recording,
    RecordingId, ReportedEnd, Status, Tenant, Timestamp, Transcription, TranscriptionId, TransitionCause,
    due_after_publish,
};

use crate::attributes::{
    self, COMPLETED_AT, ENDED_AT, ERROR, EVENT_TYPE, MEETING, NAME, NAMES, PROCESSED_AT, REVISION, STARTED_AT, STATUS,
    UPDATED_AT, UPLOADED_AT,
};
use crate::change::{Change, Changed};
use crate::condition::{is, is_not_deleted, is_of, is_unchanged, status_is};
use crate::item::{Item, Named};
use crate::keys::{Identifier, Key};
use crate::transaction::{Committed, Transaction};
use crate::{Store, item, keys};

/// Result of a lookup by a UUID that a meeting worker gave.
#[derive(Clone, Debug, PartialEq)]
pub enum ByName<E, I> {
    /// The entity.
    Known(Box<E>),
    /// The entity with this identifier had the UUID, and was deleted.
    Gone(I),
    /// No entity has or had the UUID.
    Unknown,
}

/// Changes that a meeting worker's request makes to a recording. `None` leaves a field unchanged.
#[derive(Clone, Debug)]
pub struct MeetingChange {
    /// What workers sent of it so far.
    pub meeting: MeetingRecording,
    /// Its name.
    pub name: Option<Name>,
    /// When the take began.
    pub started_at: Option<Timestamp>,
    /// When the take ended.
    pub ended_at: Option<Timestamp>,
    /// The end user who made it.
    pub end_user_id: Option<EndUserId>,
    /// Its change of status.
    pub step: MeetingStep,
}

/// Change of status by a meeting worker's request.
#[derive(Clone, Debug)]
pub enum MeetingStep {
    /// None.
    Stay,
    /// The object is stored: Capstan is to process it.
    Begin(Box<Media>),
    /// The worker that processed it reports the end.
    End(ReportedEnd),
}

impl Store {
    /// A recording by the UUID that a worker gave it. Two calls, one where no recording has the UUID.
    pub async fn meeting_recording(
        &self,
        tenant: &Tenant,
        id: &MeetingRecordingId,
    ) -> Result<ByName<Recording, RecordingId>, Error> {
        match self.called::<RecordingId>(keys::meeting_recording(tenant, id)).await? {
            ByName::Known(deleted) if deleted.deleted_at.is_some() => Ok(ByName::Gone(deleted.id)),
            called => Ok(called),
        }
    }

    /// As [`Self::meeting_recording`].
    pub async fn meeting_transcription(
        &self,
        tenant: &Tenant,
        id: &MeetingTranscriptionId,
    ) -> Result<ByName<Transcription, TranscriptionId>, Error> {
        self.called(keys::meeting_transcription(tenant, id)).await
    }

    async fn called<I: Identifier>(&self, key: Key) -> Result<ByName<I::Entity, I>, Error>
    where
        Named<I>: serde::de::DeserializeOwned,
    {
        let Some(Named { names }) = self.read::<Named<I>>(key).await? else { return Ok(ByName::Unknown) };
        let found = self.read(names.key()).await?;
        Ok(found.map_or(ByName::Gone(names), |entity| ByName::Known(Box::new(entity))))
    }

    /// Creates a recording under the UUID that a worker gave it. `gone` is the deleted recording that had the UUID. `false`
    /// when another request came first. One transaction.
    pub async fn create_meeting_recording(
        &self,
        recording: &Recording,
        id: &MeetingRecordingId,
        gone: Option<&RecordingId>,
    ) -> Result<bool, Error> {
        let item = item::recording(recording)?;
        let key = keys::meeting_recording(&recording.tenant, id);
        self.create_named(item, item::named(key, &recording.id)?, gone).await
    }

    /// Creates a transcription under the UUID that a worker gave it. As [`Self::create_meeting_recording`].
    pub async fn create_meeting_transcription(
        &self,
        transcription: &Transcription,
        id: &MeetingTranscriptionId,
        gone: Option<&TranscriptionId>,
    ) -> Result<bool, Error> {
        let item = item::transcription(transcription)?;
        let key = keys::meeting_transcription(&transcription.tenant, id);
        self.create_named(item, item::named(key, &transcription.id)?, gone).await
    }

    async fn create_named<I: Identifier + serde::Serialize>(
        &self,
        item: Item,
        name: Item,
        gone: Option<&I>,
    ) -> Result<bool, Error> {
        let mut transaction = Transaction::default();
        transaction.put_new(item);
        match gone {
            Some(gone) => transaction.put_when(is(NAMES, gone)?, name),
            None => transaction.put_new(name),
        };
        Ok(matches!(transaction.commit(self).await?, Committed::Made))
    }

    /// Updates a recording as it was read. Refused when another meeting request or a status change came first.
    pub async fn update_meeting_recording(
        &self,
        seen: &Recording,
        wanted: &MeetingChange,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let revision = seen.meeting.as_ref().map(|meeting| meeting.revision);
        let is_revision = is_unchanged(MEETING.then(REVISION), revision.as_ref())?;
        let mut change = Change::when(is_of(&seen.tenant)?.and(is_not_deleted()).and(is_revision));
        change
            .set(MEETING, &wanted.meeting)?
            .set_if(NAME, wanted.name.as_ref())?
            .set_if(STARTED_AT, wanted.started_at.as_ref())?
            .set_if(ENDED_AT, wanted.ended_at.as_ref())?
            .set(UPDATED_AT, &now)?
            .set_owner(&seen.tenant, wanted.end_user_id.as_ref(), None)?;
        match &wanted.step {
            MeetingStep::Stay => {
                change.require(status_is(seen.status)?);
            }
            MeetingStep::Begin(media) => {
                change
                    .transition(seen.status, TransitionCause::Client, Status::Uploaded)?
                    .set(attributes::media(&media.id), media)?
                    .set(UPLOADED_AT, &now)?
                    .due(&seen.id, Some(due_after_publish(now)))?;
            }
            MeetingStep::End(end) => report(&mut change, seen, *end, now)?,
        }
        change.apply(self, &seen.id).await
    }

    /// Updates a transcription as it was read. Refused when another request changed it since.
    pub async fn update_meeting_transcription(
        &self,
        seen: &Transcription,
        next: &Transcription,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let revision = seen.meeting.as_ref().map(|meeting| meeting.revision);
        let is_revision = is_unchanged(MEETING.then(REVISION), revision.as_ref())?;
        let mut change = Change::when(is_of(&seen.tenant)?.and(is_revision).and(is(STATUS, &seen.status)?));
        change.set(MEETING, &next.meeting)?.set(UPDATED_AT, &now)?;
        if next.status != seen.status {
            change
                .set(STATUS, &next.status)?
                .set_if(EVENT_TYPE, next.event_type.as_ref())?
                .set_if(ERROR, next.error.as_ref())?
                .set_if(COMPLETED_AT, next.completed_at.as_ref())?
                .due(&seen.id, next.due_at(now))?;
        }
        change.apply(self, &seen.id).await
    }
}

/// The end of a recording that its worker processes itself, perhaps before Capstan begins to.
fn report(change: &mut Change, seen: &Recording, end: ReportedEnd, now: Timestamp) -> Result<(), Error> {
    let reported = seen.clone().reported(end, now)?;
    change
        .transition(seen.status, TransitionCause::Report, reported.status)?
        .set_if(EVENT_TYPE, reported.processing.event_type.as_ref())?
        .set_if(ERROR, reported.end.error.as_ref())?
        .set_if(UPLOADED_AT, reported.upload.uploaded_at.as_ref())?
        .set_if(PROCESSED_AT, reported.end.processed_at.as_ref())?
        .due(&seen.id, reported.due_at(now))?;
    Ok(())
}
