//! A request to save a meeting transcription.

use capstan_domain::{
    Error, MeetingPayload, MeetingStatus, MeetingTranscription, MeetingTranscriptionId, Tenant, Timestamp,
    Transcription, TranscriptionId,
};
use capstan_http::Request;
use capstan_store::{ByName, Changed, Store};

use super::Body;
use crate::payload;
use crate::saving::{SaveRequest, Saved};

/// A request to save a meeting transcription.
pub(crate) struct TranscriptionRequest<'a> {
    store: &'a Store,
    tenant: &'a Tenant,
    id: MeetingTranscriptionId,
    status: Option<MeetingStatus>,
    payload: MeetingPayload,
    now: Timestamp,
    entropy: u128,
}

impl SaveRequest for TranscriptionRequest<'_> {
    type Entity = Transcription;
    type Id = TranscriptionId;

    async fn find(&self) -> Result<ByName<Transcription, TranscriptionId>, Error> {
        self.store.meeting_transcription(self.tenant, &self.id).await
    }

    async fn create(&self, gone: Option<&TranscriptionId>) -> Result<Option<Saved<Transcription>>, Error> {
        let Self { id, status, payload, now, entropy, .. } = self;
        let meeting = MeetingTranscription { id: *id, payload: payload.clone(), revision: 0 };
        let id_of_ours = TranscriptionId::new(*now, *entropy);
        let transcription = Transcription::by_meeting_worker(id_of_ours, self.tenant.clone(), meeting, *now)
            .with_meeting_status(status.unwrap_or(MeetingStatus::Processing), *now);
        let is_created = self.store.create_meeting_transcription(&transcription, id, gone).await?;
        Ok(is_created.then_some(Saved::Changed(transcription)))
    }

    async fn update(&self, seen: Transcription) -> Result<Option<Saved<Transcription>>, Error> {
        let without = || Error::internal("a meeting transcription without a payload");
        let known = seen.meeting.as_ref().ok_or_else(without)?;
        let status = MeetingStatus::from(seen.status).after(self.status)?;
        let payload = known.payload.merged_with(&self.payload)?;
        if payload == known.payload && status == MeetingStatus::from(seen.status) {
            return Ok(Some(Saved::Unchanged(seen)));
        }
        let meeting = MeetingTranscription { payload, revision: known.revision + 1, ..*known };
        let next = Transcription { meeting: Some(meeting), ..seen.clone() }.with_meeting_status(status, self.now);
        match self.store.update_meeting_transcription(&seen, &next, self.now).await? {
            Changed::Made(changed) if changed.status == seen.status => Ok(Some(Saved::Unchanged(*changed))),
            Changed::Made(changed) => Ok(Some(Saved::Changed(*changed))),
            Changed::Refused(_) => Ok(None),
        }
    }
}

impl<'a> TranscriptionRequest<'a> {
    pub(crate) fn read(request: &Request, store: &'a Store, tenant: &'a Tenant) -> Result<Self, Error> {
        let (body, payload) = payload::read::<Body>(request)?;
        let (now, entropy) = (request.now(), request.entropy());
        let id = body.social_transcription_id.unwrap_or_else(|| MeetingTranscriptionId::new(entropy));
        Ok(Self { store, tenant, id, status: body.status, payload, now, entropy })
    }
}
