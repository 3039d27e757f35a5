//! A request to save a meeting recording.

use capstan_domain::{
    EndUser, EndUserId, Error, InvalidLocation, Media, MediaId, MeetingBuckets, MeetingPayload, MeetingRecording,
    MeetingRecordingId, MeetingStatus, Recording, RecordingId, Source, Status, Tenant, Timestamp,
};
use capstan_http::Request;
use capstan_objects::Objects;
use capstan_store::{ByName, Changed, MeetingChange, MeetingStep, Store};

use super::body::Body;
use crate::payload;
use crate::saving::{SaveRequest, Saved};

/// A request to save a meeting recording.
pub(crate) struct RecordingRequest<'a> {
    store: &'a Store,
    objects: &'a Objects,
    buckets: &'a MeetingBuckets,
    tenant: &'a Tenant,
    id: MeetingRecordingId,
    body: Body,
    payload: MeetingPayload,
    now: Timestamp,
    entropy: u128,
}

impl SaveRequest for RecordingRequest<'_> {
    type Entity = Recording;
    type Id = RecordingId;

    async fn find(&self) -> Result<ByName<Recording, RecordingId>, Error> {
        self.store.meeting_recording(self.tenant, &self.id).await
    }

    async fn create(&self, gone: Option<&RecordingId>) -> Result<Option<Saved<Recording>>, Error> {
        let Self { id, body, payload, now, entropy, .. } = self;
        require_order(body.start_date_time, body.end_date_time)?;
        let end = body.status.and_then(MeetingStatus::end);
        let media = if end.is_none() { self.media(payload).await? } else { None };
        let end_user_id = self.end_user_id().await?;
        let mut recording = Recording::new(RecordingId::new(*now, *entropy), self.tenant.clone(), end_user_id, *now);
        recording.name = body.name.clone();
        (recording.origin.started_at, recording.origin.ended_at) = (body.start_date_time, body.end_date_time);
        recording.origin.source = Some(Source::ApiUpload);
        let reported_at = end.map(|_| *now);
        recording.meeting = Some(MeetingRecording { id: *id, payload: payload.clone(), revision: 0, reported_at });
        let recording = match (end, media) {
            (Some(end), _) => recording.reported(end, *now)?,
            (None, Some(media)) => recording.uploaded_with(media, *now)?,
            (None, None) => recording,
        };
        let is_created = self.store.create_meeting_recording(&recording, id, gone).await?;
        Ok(is_created.then_some(Saved::Changed(recording)))
    }

    async fn update(&self, seen: Recording) -> Result<Option<Saved<Recording>>, Error> {
        let Self { body, now, .. } = self;
        let known = seen.meeting.as_ref().ok_or_else(|| Error::internal("a meeting recording without a payload"))?;
        let status = seen.meeting_status_after(body.status)?;
        self.require_same(&seen, known)?;
        let origin = &seen.origin;
        require_order(body.start_date_time.or(origin.started_at), body.end_date_time.or(origin.ended_at))?;
        let payload = known.payload.merged_with(&self.payload)?;
        let step = self.step(&seen, status, &payload).await?;
        let end_user_id = if origin.end_user_id.is_none() { self.end_user_id().await? } else { None };
        if payload == known.payload && end_user_id.is_none() && matches!(step, MeetingStep::Stay) {
            return Ok(Some(Saved::Unchanged(seen)));
        }
        let ends = matches!(step, MeetingStep::End(_));
        let reported_at = known.reported_at.or(ends.then_some(*now));
        let change = MeetingChange {
            meeting: MeetingRecording { payload, revision: known.revision + 1, reported_at, ..*known },
            name: body.name.clone(),
            started_at: body.start_date_time,
            ended_at: body.end_date_time,
            end_user_id,
            step,
        };
        match self.store.update_meeting_recording(&seen, &change, *now).await? {
            Changed::Made(recording) if matches!(change.step, MeetingStep::Stay) => {
                Ok(Some(Saved::Unchanged(*recording)))
            }
            Changed::Made(recording) => Ok(Some(Saved::Changed(*recording))),
            Changed::Refused(_) => Ok(None),
        }
    }
}

impl<'a> RecordingRequest<'a> {
    pub(crate) fn read(
        request: &Request,
        (store, objects, buckets): (&'a Store, &'a Objects, &'a MeetingBuckets),
        tenant: &'a Tenant,
    ) -> Result<Self, Error> {
        let (body, payload) = payload::read::<Body>(request)?;
        let (now, entropy) = (request.now(), request.entropy());
        let id = body.social_recording_id.unwrap_or_else(|| MeetingRecordingId::new(entropy));
        Ok(Self { store, objects, buckets, tenant, id, body, payload, now, entropy })
    }

    async fn step(
        &self,
        seen: &Recording,
        status: MeetingStatus,
        payload: &MeetingPayload,
    ) -> Result<MeetingStep, Error> {
        match status.end() {
            Some(end) if MeetingStatus::from(seen.status) == MeetingStatus::Processing => Ok(MeetingStep::End(end)),
            None if seen.status == Status::Pending => {
                let media = self.media(payload).await?;
                Ok(media.map_or(MeetingStep::Stay, |media| MeetingStep::Begin(Box::new(media))))
            }
            Some(_) | None => Ok(MeetingStep::Stay),
        }
    }

    /// The owner, and the object once it is processed, cannot change.
    fn require_same(&self, seen: &Recording, known: &MeetingRecording) -> Result<(), Error> {
        let has_changed = |field: &str| {
            let (before, now) = (known.payload.text(field), self.payload.text(field));
            before.zip(now).is_some_and(|(before, now)| !before.eq_ignore_ascii_case(&now))
        };
        if has_changed("userId") {
            return Err(Error::invalid("userId", "must be the userId of the first request"));
        }
        let location = seen.media.values().find_map(|media| media.location.as_ref());
        let differs = |sent: &Option<String>, known: &str| sent.as_ref().is_some_and(|sent| sent != known);
        match location {
            Some(location) if differs(&self.body.recording_id, &location.key) => {
                Err(Error::invalid("recordingId", "must be the key with which processing began"))
            }
            Some(location) if differs(&self.body.s3_bucket, location.bucket.as_str()) => {
                Err(Error::invalid("s3Bucket", "must be the bucket with which processing began"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The media file to process, if the payload names an object.
    async fn media(&self, payload: &MeetingPayload) -> Result<Option<Media>, Error> {
        let Some(key) = payload.text("recordingId") else { return Ok(None) };
        let location =
            self.buckets.location(self.tenant, payload.text("s3Bucket").as_deref(), &key).map_err(invalid_location)?;
        let Self { now, entropy, .. } = self;
        let missing = || {
            let rule = format!("must be the key of an object in the bucket {} that Capstan may read", location.bucket);
            Error::invalid("recordingId", rule)
        };
        let object = self.objects.find(&location, *now).await?.ok_or_else(missing)?;
        Ok(Some(Media::stored_at(location, MediaId::new(*now, *entropy), object, *now)))
    }

    async fn end_user_id(&self) -> Result<Option<EndUserId>, Error> {
        let Self { body, now, entropy, .. } = self;
        let Some(user_id) = body.user_id else { return Ok(None) };
        let external_id = user_id.external_id().map_err(Error::internal)?;
        let new = EndUser::new(EndUserId::new(*now, *entropy), self.tenant.clone(), *now);
        Ok(Some(self.store.end_user_called_or(&external_id, new).await?.id))
    }
}

fn require_order(began: Option<Timestamp>, ended: Option<Timestamp>) -> Result<(), Error> {
    if began.zip(ended).is_some_and(|(began, ended)| ended < began) {
        return Err(Error::invalid("endDateTime", "must not be before startDateTime"));
    }
    Ok(())
}

fn invalid_location(invalid: InvalidLocation) -> Error {
    match invalid {
        InvalidLocation::Bucket(rule) => Error::invalid("s3Bucket", rule),
        InvalidLocation::Key(rule) => Error::invalid("recordingId", rule),
    }
}
