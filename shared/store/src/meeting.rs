//! What Scoot-shaped workers tell of: found by the name that they gave it, which only one of a tenant's has.

use capstan_domain::{
    EndUserId, Error, Media, MeetingRecording, MeetingRecordingId, MeetingTranscriptionId, Name, PICK_UP_SECONDS,
    Recording, RecordingId, ReportedEnd, Status, Tenant, Timestamp, Transcription, TranscriptionId,
};

use crate::change::{Change, Changed};
use crate::condition::{is, is_kept, is_of};
use crate::item::{Item, Named};
use crate::keys::{Identifier, Key};
use crate::transaction::{Committed, Transaction};
use crate::{Store, item, keys};

/// What changes with every call that tells anything new.
const REVISION: &str = "meeting.revision";

/// What is called by a name of a worker's.
#[derive(Clone, Debug, PartialEq)]
pub enum ByName<E, I> {
    /// This.
    Known(Box<E>),
    /// Nothing. Something was, and is deleted.
    Gone(I),
    /// Nothing.
    Unknown,
}

/// What a worker's call changes in a recording.
#[derive(Clone, Debug)]
pub struct MeetingChange {
    /// What workers told of it by now.
    pub meeting: MeetingRecording,
    /// What it is called.
    pub name: Option<Name>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whose it is.
    pub end_user_id: Option<EndUserId>,
    /// How it moves on.
    pub step: MeetingStep,
}

/// How a recording moves on by a worker's call.
#[derive(Clone, Debug)]
pub enum MeetingStep {
    /// It stands as it stands.
    Stay,
    /// Its object is there: it is to be processed.
    Begin(Box<Media>),
    /// Whoever processed it is done.
    End(ReportedEnd),
}

impl Store {
    /// What workers of the tenant's call so. Two calls, one where there is nothing.
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

    /// Keeps a new recording under the name that a worker gave it, in the place of one that is deleted. `false` when
    /// another came first. One transaction.
    pub async fn create_meeting_recording(
        &self,
        recording: &Recording,
        id: &MeetingRecordingId,
        gone: Option<&RecordingId>,
    ) -> Result<bool, Error> {
        let item = item::recording(recording, recording.due_at(recording.created_at))?;
        let key = keys::meeting_recording(&recording.tenant, id);
        self.create_named(item, item::named(key, &recording.id)?, gone).await
    }

    /// Keeps a new transcription under the name that a worker gave it. As [`Self::create_meeting_recording`].
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
            Some(gone) => transaction.put_when(is("names", gone)?, name),
            None => transaction.put_new(name),
        };
        Ok(matches!(transaction.commit(self).await?, Committed::Made))
    }

    /// Changes a recording as it was seen. Refused when it moved on since.
    pub async fn update_meeting_recording(
        &self,
        seen: &Recording,
        wanted: &MeetingChange,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let revision = seen.meeting.as_ref().map(|meeting| meeting.revision);
        let as_seen = is(REVISION, &revision)?.and(is("status", &seen.status)?);
        let mut change = Change::when(is_of(&seen.tenant)?.and(is_kept()).and(as_seen));
        change
            .set("meeting", &wanted.meeting)?
            .set_if("name", wanted.name.as_ref())?
            .set_if("started_at", wanted.started_at.as_ref())?
            .set_if("ended_at", wanted.ended_at.as_ref())?
            .set("updated_at", &now)?;
        if let Some(end_user_id) = &wanted.end_user_id {
            let key = keys::end_user(&seen.tenant, end_user_id);
            change.set("end_user_id", end_user_id)?.set(keys::BY_END_USER.partition, &key)?;
        }
        match &wanted.step {
            MeetingStep::Stay => {}
            MeetingStep::Begin(media) => {
                change
                    .transition(Status::Uploaded)?
                    .set(&format!("media.{}", media.id), media)?
                    .set("uploaded_at", &now)?
                    .due(&seen.id, Some(now.plus_seconds(PICK_UP_SECONDS)))?;
            }
            MeetingStep::End(end) => report(&mut change, seen, *end, now)?,
        }
        change.apply(self, &seen.id).await
    }

    /// Keeps what workers told of a transcription by now, and where it stands. Refused when it moved on since.
    pub async fn update_meeting_transcription(
        &self,
        seen: &Transcription,
        next: &Transcription,
        now: Timestamp,
    ) -> Result<Changed<Transcription>, Error> {
        let revision = seen.meeting.as_ref().map(|meeting| meeting.revision);
        let as_seen = is(REVISION, &revision)?.and(is("status", &seen.status)?);
        let mut change = Change::when(is_of(&seen.tenant)?.and(as_seen));
        change.set("meeting", &next.meeting)?.set("updated_at", &now)?;
        if next.status != seen.status {
            change
                .set("status", &next.status)?
                .set_if("event_type", next.event_type.as_ref())?
                .set_if("error", next.error.as_ref())?
                .set_if("completed_at", next.completed_at.as_ref())?
                .due(&seen.id, next.due_at(now))?;
        }
        change.apply(self, &seen.id).await
    }
}

/// An end from wherever it stands: a worker that processes a recording itself may be done before Capstan begins.
fn report(change: &mut Change, seen: &Recording, end: ReportedEnd, now: Timestamp) -> Result<(), Error> {
    let ended = seen.clone().ended(end, now);
    change
        .set("status", &ended.status)?
        .set_if("event_type", ended.event_type.as_ref())?
        .set_if("error", ended.error.as_ref())?
        .set_if("uploaded_at", ended.uploaded_at.as_ref())?
        .set_if("processed_at", ended.processed_at.as_ref())?
        .due(&seen.id, ended.due_at(now))?;
    Ok(())
}
