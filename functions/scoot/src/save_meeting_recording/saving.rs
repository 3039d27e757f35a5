//! What a worker tells is added to what is known, and moves the recording on.

use capstan_aws::busy;
use capstan_domain::{
    EndUser, EndUserId, Error, Media, MediaId, MeetingBuckets, MeetingRecording, MeetingStatus, Recording, RecordingId,
    Source, Status, Tenant, Timestamp, Told,
};
use capstan_objects::Objects;
use capstan_store::{ByName, Changed, MeetingChange, MeetingStep, Store};

use super::body::Call;

/// How often a call that others overtook is tried again: as many workers as this may tell of one recording at once.
const MAX_TRIES: usize = 32;

/// What became of a call.
pub(crate) enum Saved {
    /// It made the recording, or moved it on.
    Moved(Recording),
    /// The recording stands where it stood.
    Kept(Recording),
}

/// What a call is carried out with.
pub(crate) struct Saving<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: &'a Objects,
    pub(crate) buckets: &'a MeetingBuckets,
    pub(crate) tenant: &'a Tenant,
    pub(crate) call: &'a Call,
}

impl Saving<'_> {
    pub(crate) async fn save(&self) -> Result<Saved, Error> {
        for _ in 0..MAX_TRIES {
            let saved = match self.store.meeting_recording(self.tenant, &self.call.id).await? {
                ByName::Known(seen) => self.update(*seen).await?,
                ByName::Gone(id) => self.create(Some(&id)).await?,
                ByName::Unknown => self.create(None).await?,
            };
            if let Some(saved) = saved {
                return Ok(saved);
            }
        }
        Err(busy("other workers' calls about the same recording kept coming first"))
    }

    /// `None` when another call came first.
    async fn create(&self, gone: Option<&RecordingId>) -> Result<Option<Saved>, Error> {
        let Call { id, body, told, now, entropy } = self.call;
        in_order(body.start_date_time, body.end_date_time)?;
        let end = body.status.and_then(MeetingStatus::end);
        let media = if end.is_none() { self.medium(told).await? } else { None };
        let end_user_id = self.end_user_id().await?;
        let mut recording = Recording::new(RecordingId::new(*now, *entropy), self.tenant.clone(), end_user_id, *now);
        recording.name = body.name.clone();
        (recording.started_at, recording.ended_at) = (body.start_date_time, body.end_date_time);
        recording.source = Some(Source::ApiUpload);
        recording.meeting =
            Some(MeetingRecording { id: *id, told: told.clone(), revision: 0, reported_at: end.map(|_| *now) });
        let recording = match (end, media) {
            (Some(end), _) => recording.ended(end, *now),
            (None, Some(media)) => recording.uploaded_with(media, *now),
            (None, None) => recording,
        };
        let made = self.store.create_meeting_recording(&recording, id, gone).await?;
        Ok(made.then_some(Saved::Moved(recording)))
    }

    /// `None` when another change came first.
    async fn update(&self, seen: Recording) -> Result<Option<Saved>, Error> {
        let Call { body, now, .. } = self.call;
        let known = seen.meeting.as_ref().ok_or_else(|| Error::internal("a worker's recording was told by none"))?;
        let status = seen.meeting_status_after(body.status)?;
        self.require_same(&seen, known)?;
        in_order(body.start_date_time.or(seen.started_at), body.end_date_time.or(seen.ended_at))?;
        let told = known.told.and(self.call.told.clone())?;
        let step = self.step(&seen, status, &told).await?;
        let end_user_id = if seen.end_user_id.is_none() { self.end_user_id().await? } else { None };
        if told == known.told && end_user_id.is_none() && matches!(step, MeetingStep::Stay) {
            return Ok(Some(Saved::Kept(seen)));
        }
        let ends = matches!(step, MeetingStep::End(_));
        let reported_at = known.reported_at.or(ends.then_some(*now));
        let change = MeetingChange {
            meeting: MeetingRecording { told, revision: known.revision + 1, reported_at, ..*known },
            name: body.name.clone(),
            started_at: body.start_date_time,
            ended_at: body.end_date_time,
            end_user_id,
            step,
        };
        match self.store.update_meeting_recording(&seen, &change, *now).await? {
            Changed::Made(recording) if matches!(change.step, MeetingStep::Stay) => Ok(Some(Saved::Kept(*recording))),
            Changed::Made(recording) => Ok(Some(Saved::Moved(*recording))),
            Changed::Refused(_) => Ok(None),
        }
    }

    async fn step(&self, seen: &Recording, status: MeetingStatus, told: &Told) -> Result<MeetingStep, Error> {
        match status.end() {
            Some(end) if MeetingStatus::from(seen.status) == MeetingStatus::Processing => Ok(MeetingStep::End(end)),
            None if seen.status == Status::Pending => {
                let media = self.medium(told).await?;
                Ok(media.map_or(MeetingStep::Stay, |media| MeetingStep::Begin(Box::new(media))))
            }
            Some(_) | None => Ok(MeetingStep::Stay),
        }
    }

    /// Whose it is and what is processed stays as it was first said.
    fn require_same(&self, seen: &Recording, known: &MeetingRecording) -> Result<(), Error> {
        let differs = |field: &str| {
            let (before, now) = (known.told.text(field), self.call.told.text(field));
            before.zip(now).is_some_and(|(before, now)| !before.eq_ignore_ascii_case(now))
        };
        if differs("userId") {
            return Err(Error::invalid("userId", "must stay as it was first told"));
        }
        let place = seen.media.values().find_map(|media| media.place.as_ref());
        let other = |told: &Option<String>, at: &str| told.as_ref().is_some_and(|told| told != at);
        match place {
            Some(place) if other(&self.call.body.recording_id, &place.key) => {
                Err(Error::invalid("recordingId", "must stay as it was when the processing began"))
            }
            Some(place) if other(&self.call.body.s3_bucket, place.bucket.as_str()) => {
                Err(Error::invalid("s3Bucket", "must stay as it was when the processing began"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The object that is to be processed, if one is named.
    async fn medium(&self, told: &Told) -> Result<Option<Media>, Error> {
        let Some(key) = told.text("recordingId") else { return Ok(None) };
        let place = self.buckets.place(self.tenant, told.text("s3Bucket"), key)?;
        let Call { now, entropy, .. } = self.call;
        let missing = || {
            let rule = format!("must be the key of an object in the bucket {} that Capstan may read", place.bucket);
            Error::invalid("recordingId", rule)
        };
        let object = self.objects.find(&place, *now).await?.ok_or_else(missing)?;
        Ok(Some(Media::at(place, MediaId::new(*now, *entropy), object, *now)))
    }

    async fn end_user_id(&self) -> Result<Option<EndUserId>, Error> {
        let Call { body, now, entropy, .. } = self.call;
        let Some(user_id) = body.user_id else { return Ok(None) };
        let external_id = user_id.external_id().map_err(Error::internal)?;
        let new = EndUser::new(EndUserId::new(*now, *entropy), self.tenant.clone(), *now);
        Ok(Some(self.store.end_user_called_or(&external_id, new).await?.id))
    }
}

fn in_order(began: Option<Timestamp>, ended: Option<Timestamp>) -> Result<(), Error> {
    if began.zip(ended).is_some_and(|(began, ended)| ended < began) {
        return Err(Error::invalid("endDateTime", "must not be before startDateTime"));
    }
    Ok(())
}
