//! What a worker tells is added to what is known, and moves the transcription on.

use capstan_aws::busy;
use capstan_domain::{
    Error, MeetingStatus, MeetingTranscription, MeetingTranscriptionId, Tenant, Timestamp, Told, Transcription,
    TranscriptionId,
};
use capstan_http::Request;
use capstan_store::{ByName, Changed, Store};

use super::Body;

/// How often a call that others overtook is tried again: as many workers as this may tell of one transcription at once.
const MAX_TRIES: usize = 32;

/// One call of a worker's.
pub(crate) struct Call {
    id: MeetingTranscriptionId,
    status: Option<MeetingStatus>,
    told: Told,
    now: Timestamp,
    entropy: u128,
}

impl Call {
    pub(crate) fn read(request: &Request) -> Result<Self, Error> {
        let (body, told) = capstan_http::told::<Body>(request)?;
        let (now, entropy) = (request.now(), request.entropy());
        let id = body.social_transcription_id.unwrap_or_else(|| MeetingTranscriptionId::new(entropy));
        Ok(Self { id, status: body.status, told, now, entropy })
    }
}

/// What became of a call.
pub(crate) enum Saved {
    /// It made the transcription, or moved it on.
    Moved(Transcription),
    /// The transcription stands where it stood.
    Kept(Transcription),
}

/// What a call is carried out with.
pub(crate) struct Saving<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: &'a Tenant,
    pub(crate) call: &'a Call,
}

impl Saving<'_> {
    pub(crate) async fn save(&self) -> Result<Saved, Error> {
        for _ in 0..MAX_TRIES {
            let saved = match self.store.meeting_transcription(self.tenant, &self.call.id).await? {
                ByName::Known(seen) => self.update(*seen).await?,
                ByName::Gone(id) => self.create(Some(&id)).await?,
                ByName::Unknown => self.create(None).await?,
            };
            if let Some(saved) = saved {
                return Ok(saved);
            }
        }
        Err(busy("other workers' calls about the same transcription kept coming first"))
    }

    /// `None` when another call came first.
    async fn create(&self, gone: Option<&TranscriptionId>) -> Result<Option<Saved>, Error> {
        let Call { id, status, told, now, entropy } = self.call;
        let meeting = MeetingTranscription { id: *id, told: told.clone(), revision: 0 };
        let new = Transcription::told(TranscriptionId::new(*now, *entropy), self.tenant.clone(), meeting, *now);
        let transcription = new.moved_to(status.unwrap_or(MeetingStatus::Processing), *now);
        let made = self.store.create_meeting_transcription(&transcription, id, gone).await?;
        Ok(made.then_some(Saved::Moved(transcription)))
    }

    /// `None` when another change came first.
    async fn update(&self, seen: Transcription) -> Result<Option<Saved>, Error> {
        let told_by_none = || Error::internal("a worker's transcription was told by none");
        let known = seen.meeting.as_ref().ok_or_else(told_by_none)?;
        let status = MeetingStatus::from(seen.status).after(self.call.status)?;
        let told = known.told.and(self.call.told.clone())?;
        if told == known.told && status == MeetingStatus::from(seen.status) {
            return Ok(Some(Saved::Kept(seen)));
        }
        let meeting = MeetingTranscription { told, revision: known.revision + 1, ..*known };
        let next = Transcription { meeting: Some(meeting), ..seen.clone() }.moved_to(status, self.call.now);
        match self.store.update_meeting_transcription(&seen, &next, self.call.now).await? {
            Changed::Made(changed) if changed.status == seen.status => Ok(Some(Saved::Kept(*changed))),
            Changed::Made(changed) => Ok(Some(Saved::Moved(*changed))),
            Changed::Refused(_) => Ok(None),
        }
    }
}
