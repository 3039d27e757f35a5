//! Media on their way: event_published, arrived, completed.

use capstan_domain::{
    Completion, ContentType, DeviceId, EndUserId, Error, FileDetails, FileSize, MAX_MEDIA, Media, MediaId, MediaStatus,
    MultipartUpload, Name, PICK_UP_SECONDS, Recording, RecordingId, Sha256, Status, StoredObject, Timestamp, UploadId,
    Visibility,
};

use crate::change::{Change, Changed};
use crate::condition::{
    Comparison, Condition, compares, counts, exists, is, is_as_seen, is_kept, is_missing, is_within,
};
use crate::{Store, keys};

/// The set of media whose bytes are awaited. Absent when there is none, which is what completion asks for.
pub(crate) const AWAITED: &str = "awaited";

/// What changes when a medium is signed for again.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The pending medium.
    pub media_id: MediaId,
    /// The type as declared again, which must be the same: the object's key ends with it.
    pub content_type: Option<ContentType>,
    /// Its size as now declared.
    pub size: Option<FileSize>,
    /// Its hash as now declared.
    pub sha256: Option<Sha256>,
    /// When it was taken, as now declared.
    pub captured_at: Option<Timestamp>,
    /// When the new URL ends.
    pub url_expires_at: Timestamp,
    /// How it is sent in parts, unless it is sent in one chunk.
    pub multipart: Option<MultipartRenewal>,
}

/// How a medium is sent in parts from now on.
#[derive(Clone, Debug)]
pub struct MultipartRenewal {
    /// The upload that was seen, if there was one.
    pub seen: Option<UploadId>,
    /// The upload that is under way: the same, or one that takes its place.
    pub upload: MultipartUpload,
}

/// Who made a recording, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The person.
    pub end_user_id: Option<EndUserId>,
    /// With which device.
    pub device_id: Option<DeviceId>,
}

/// What is known of a file when its upload is completed.
#[derive(Clone, Debug)]
pub struct UploadedFile {
    /// Its medium.
    pub media_id: MediaId,
    /// What S3 holds.
    pub object: StoredObject,
    /// Whose it is.
    pub owner: Owner,
    /// What it is called.
    pub name: Option<Name>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When the claimed hash was found to be right.
    pub verified_at: Option<Timestamp>,
    /// What its client told of it.
    pub details: FileDetails,
    /// What marks the call.
    pub completion: Completion,
}

/// What an object's arrival meant.
#[derive(Debug)]
pub enum Arrival {
    /// It was awaited, and its recording is still open.
    InTime,
    /// It was awaited, and its recording was completed without it: it is still to be processed.
    Late(Box<Recording>),
    /// It is known already.
    Repeated,
    /// It replaces bytes that were already acted on, or is not of the size that was declared.
    Ignored(&'static str),
    /// Its recording or its medium is gone or never was.
    Orphaned,
}

fn media(id: &MediaId, field: &str) -> String {
    format!("media.{id}.{field}")
}

impl Store {
    /// Announces a medium of a pending recording. Two calls where an earlier attempt event_published it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::RecordingNotPending`], [`Error::UploadExpired`], [`Error::TooManyMedia`].
    pub async fn add_media(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        medium: &Media,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let room = counts("media", Comparison::Less, MAX_MEDIA);
        let new = is_missing(format!("media.{}", medium.id));
        let mut change = Change::when(is_open_for_media(visibility, now)?.and(room).and(new));
        change
            .set(&format!("media.{}", medium.id), medium)?
            .set("updated_at", &now)?
            .add_to_set(AWAITED, [&medium.id].into_iter());
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(old) => {
                let old = visibility.admit(*old.ok_or_else(Error::no_recording)?)?;
                // The SDK repeats a call whose answer was lost, and a client a request: then it is event_published already.
                match old.media.get(&medium.id) {
                    Some(known) if known.url_expires_at == medium.url_expires_at => Ok(old),
                    Some(known) => self.prolong(visibility, id, &known.id, medium.url_expires_at, now).await,
                    None => Err(old.refuse_media(now)),
                }
            }
        }
    }

    /// Notes when the newest URL of a medium ends.
    async fn prolong(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        medium: &MediaId,
        url_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let known = exists(format!("media.{medium}"));
        let mut change = Change::when(is_open_for_media(visibility, now)?.and(known));
        change.set(&media(medium, "url_expires_at"), &url_expires_at)?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(old) => Err(visibility.admit(*old.ok_or_else(Error::no_recording)?)?.refuse_media(now)),
        }
    }

    /// Renews what was declared of a pending medium.
    ///
    /// # Errors
    /// As [`Self::add_media`]; [`Error::Invalid`] of `media_id` when it is not a pending medium of the recording, and of
    /// `multipart` when it is sent in parts and was not asked for so; [`Error::Conflict`] when its upload in parts is
    /// not the one that was seen.
    pub async fn renew_media(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let medium = &renewal.media_id;
        let mut change = Change::when(is_open_for_media(visibility, now)?.and(is_pending(medium)?));
        change.set(&media(medium, "url_expires_at"), &renewal.url_expires_at)?.set("updated_at", &now)?;
        match &renewal.multipart {
            Some(renewed) => {
                let as_seen = is_as_seen(media(medium, "multipart.id"), renewed.seen.as_ref())?;
                // The SDK repeats a call whose answer was lost.
                let done = is(media(medium, "multipart.id"), &renewed.upload.id)?;
                change.require(as_seen.or(done)).set(&media(medium, "multipart"), &renewed.upload)?;
            }
            None => {
                change.require(is_missing(media(medium, "multipart")));
            }
        }
        if let Some(content_type) = renewal.content_type {
            change.require(is(media(medium, "content_type"), &content_type)?);
        }
        change
            .set_if(&media(medium, "declared_captured_at"), renewal.captured_at.as_ref())?
            .set_if(&media(medium, "declared_size"), renewal.size.as_ref())?
            .set_if(&media(medium, "declared_sha256"), renewal.sha256.as_ref())?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(old) => {
                let recording = visibility.admit(*old.ok_or_else(Error::no_recording)?)?;
                Err(refuse_renewal(&recording, renewal, now))
            }
        }
    }

    /// Takes away a medium whose upload in parts was aborted.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] when its bytes came after all, or are sent in another upload.
    pub async fn remove_media(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        medium: &MediaId,
        aborted: &UploadId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let same = is(media(medium, "multipart.id"), aborted)?;
        let mut change = Change::when(is_within(visibility)?.and(is_pending(medium)?).and(same));
        change
            .remove(&format!("media.{medium}"))
            .delete_from_set(AWAITED, [medium].into_iter())
            .set("updated_at", &now)?;
        match change.apply(self, id).await? {
            Changed::Made(_) => Ok(()),
            Changed::Refused(old) => {
                let old = visibility.admit(*old.ok_or_else(Error::no_recording)?)?;
                let reason = "the upload was completed or begun anew meanwhile".to_owned();
                // The SDK repeats a call whose answer was lost: then the medium is gone already.
                if old.media.contains_key(medium) { Err(Error::Conflict { reason }) } else { Ok(()) }
            }
        }
    }

    /// Takes note of an object that S3 holds. One call in the common case, two where it is late or a repeat.
    pub async fn record_object(
        &self,
        id: &RecordingId,
        medium: &MediaId,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Arrival, Error> {
        let mut change = arriving(medium, object, now)?;
        change.require(is("status", &Status::Pending)?).require(is_newer_than_recorded(medium, object)?);
        let old = match change.apply(self, id).await? {
            Changed::Made(_) => return Ok(Arrival::InTime),
            Changed::Refused(None) => return Ok(Arrival::Orphaned),
            Changed::Refused(Some(old)) => old,
        };
        let Some(known) = old.media.get(medium).filter(|_| old.deleted_at.is_none()) else {
            return Ok(Arrival::Orphaned);
        };
        if let Some(stored) = known.stored.as_ref().filter(|_| known.status == MediaStatus::Uploaded) {
            if stored.etag == object.etag {
                return self.complement_object(&old, medium, stored, object, now).await;
            }
            return match (object.sequencer > stored.sequencer, old.status) {
                (false, _) | (true, Status::Pending) => Ok(Arrival::Repeated),
                (true, _) if known.result.is_some() => Ok(Arrival::Ignored("other bytes were processed")),
                (true, _) => self.replace_object(id, medium, stored, object, now).await,
            };
        }
        if !known.expects_size(object.size_bytes) {
            return Ok(Arrival::Ignored("it has another size than was declared"));
        }
        if object.sha256.zip(known.declared_sha256).is_some_and(|(stored, declared)| stored != declared) {
            return Ok(Arrival::Ignored("it holds other bytes than were declared"));
        }
        self.record_late_object(id, medium, object, now).await
    }

    /// The notification of an object that completion saw first: adds what completion did not know.
    async fn complement_object(
        &self,
        recording: &Recording,
        medium: &MediaId,
        stored: &StoredObject,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Arrival, Error> {
        let tells_nothing = object.sha256.is_none() && object.sequencer.is_none();
        if tells_nothing || (stored.sha256.is_some() && stored.sequencer >= object.sequencer) {
            return Ok(Arrival::Repeated);
        }
        let mut change = Change::when(is(media(medium, "stored.etag"), &object.etag)?);
        change
            .set_if(&media(medium, "stored.sha256"), object.sha256.as_ref())?
            .set_if(&media(medium, "stored.md5"), object.md5.as_ref())?
            .set_if(&media(medium, "stored.sequencer"), object.sequencer.as_ref())?;
        // Its completion says that it changed, and is refused where it changed since it was looked over.
        if recording.status != Status::Pending {
            change.set("updated_at", &now)?;
        }
        change.apply(self, &recording.id).await?;
        Ok(Arrival::Repeated)
    }

    /// Other bytes for a medium of a completed recording that nobody has looked into: they are what is there now.
    pub async fn replace_object(
        &self,
        id: &RecordingId,
        medium: &MediaId,
        stored: &StoredObject,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Arrival, Error> {
        let mut change = replacing(medium, object, now)?;
        let unread = is_missing(media(medium, "result"));
        let same = is(media(medium, "stored.etag"), &stored.etag)?;
        change.require(unread).require(same).due(id, Some(now.plus_seconds(PICK_UP_SECONDS)))?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(Arrival::Late(recording)),
            Changed::Refused(_) => Ok(Arrival::Ignored("other bytes were processed")),
        }
    }

    async fn record_late_object(
        &self,
        id: &RecordingId,
        medium: &MediaId,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Arrival, Error> {
        let mut change = arriving(medium, object, now)?;
        change
            .require(is_pending(medium)?)
            .require(compares("status", Comparison::Other, &Status::Pending)?)
            .set(&media(medium, "late"), &true)?
            .add("late_arrivals", 1)
            .due(id, Some(now.plus_seconds(PICK_UP_SECONDS)))?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(Arrival::Late(recording)),
            Changed::Refused(_) => Ok(Arrival::Repeated),
        }
    }

    /// Completes an upload of which nothing is missing.
    pub async fn complete_upload(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = completing(visibility, id, completion, now)?;
        change.require(is_missing(AWAITED)).require(counts("media", Comparison::More, 0));
        change.apply(self, id).await
    }

    /// Completes an upload as it was looked over: `seen` is the recording with the arrivals that S3 was found to
    /// hold. Refused when any medium was event_published or has arrived since.
    pub async fn complete_inspected_upload(
        &self,
        visibility: &Visibility,
        seen: &Recording,
        arrivals: &[(MediaId, StoredObject)],
        completion: &Completion,
        verified_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = completing(visibility, &seen.id, completion, now)?;
        let as_many = counts("media", Comparison::Equal, seen.media.len());
        change.require(is("updated_at", &seen.updated_at)?).require(as_many);
        for (medium, object) in arrivals {
            change.require(is_pending(medium)?);
            change.set(&media(medium, "stored"), object)?.set(&media(medium, "status"), &MediaStatus::Uploaded)?;
        }
        change.delete_from_set(AWAITED, arrivals.iter().map(|(medium, _)| medium));
        change.set_if("verified_at", verified_at.as_ref())?;
        change.apply(self, &seen.id).await
    }

    /// Completes the upload of a file as it was looked over: its one medium holds this object, and its owner is known.
    /// Refused when anything changed since.
    pub async fn complete_file(
        &self,
        visibility: &Visibility,
        seen: &Recording,
        file: &UploadedFile,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = completing(visibility, &seen.id, &file.completion, now)?;
        change.require(is("updated_at", &seen.updated_at)?).delete_from_set(AWAITED, [&file.media_id].into_iter());
        change
            .set(&media(&file.media_id, "stored"), &file.object)?
            .set(&media(&file.media_id, "status"), &MediaStatus::Uploaded)?
            .set("file", &file.details)?
            .set_if("name", file.name.as_ref())?
            .set_if("started_at", file.started_at.as_ref())?
            .set_if("ended_at", file.ended_at.as_ref())?
            .set_if("verified_at", file.verified_at.as_ref())?;
        if let Some(end_user_id) = &file.owner.end_user_id {
            let key = keys::end_user(&seen.tenant, end_user_id);
            change.set("end_user_id", end_user_id)?.set(keys::BY_END_USER.partition, &key)?;
        }
        if let Some(device_id) = &file.owner.device_id {
            let key = keys::device(&seen.tenant, device_id);
            change.set("device_id", device_id)?.set(keys::BY_DEVICE.partition, &key)?;
        }
        change.apply(self, &seen.id).await
    }

    /// Asks for the bytes of a pending recording to be verified in the background, unless that was asked already.
    pub async fn request_verification(&self, recording: &Recording, now: Timestamp) -> Result<(), Error> {
        let unasked = compares(keys::DUE.sort, Comparison::AtLeast, &recording.expires_at.sortable())?;
        let mut change = Change::when(is("status", &Status::Pending)?.and(unasked));
        change.due_exactly(&recording.id, now)?;
        change.apply(self, &recording.id).await.map(drop)
    }

    /// Awaits other bytes for a medium whose stored bytes are not those that the client meant.
    pub async fn reject_object(
        &self,
        id: &RecordingId,
        medium: &MediaId,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<(), Error> {
        // Right bytes may have arrived while the wrong ones were hashed.
        let same = is_missing(media(medium, "stored")).or(is(media(medium, "stored.etag"), &object.etag)?);
        let is_known = exists(format!("media.{medium}"));
        let mut change = Change::when(is("status", &Status::Pending)?.and(is_known).and(same));
        change
            .set(&media(medium, "status"), &MediaStatus::Pending)?
            .set(&media(medium, "stored"), object)?
            .set("updated_at", &now)?
            .add_to_set(AWAITED, [medium].into_iter());
        change.apply(self, id).await.map(drop)
    }
}

fn refuse_renewal(recording: &Recording, renewal: &Renewal, now: Timestamp) -> Error {
    let medium = match recording.awaited(&renewal.media_id, now) {
        Ok(medium) => medium,
        Err(refusal) => return refusal,
    };
    if renewal.content_type.is_some_and(|declared| declared != medium.content_type) {
        let rule = format!("must stay {}, as it was first declared", medium.content_type.as_str());
        return Error::file_type(rule);
    }
    if medium.multipart.is_some() && renewal.multipart.is_none() {
        return Error::invalid("multipart", "must be true: this medium is sent in parts, until its upload is aborted");
    }
    Error::Conflict { reason: "another change to the recording came first; ask again".to_owned() }
}

fn is_open_for_media(visibility: &Visibility, now: Timestamp) -> Result<Condition, Error> {
    let open = compares("expires_at", Comparison::More, &now)?;
    Ok(is_within(visibility)?.and(is("status", &Status::Pending)?).and(open))
}

fn is_pending(medium: &MediaId) -> Result<Condition, Error> {
    is(media(medium, "status"), &MediaStatus::Pending)
}

fn is_newer_than_recorded(medium: &MediaId, object: &StoredObject) -> Result<Condition, Error> {
    // A write whose bytes were found to be wrong is awaited no more, however often it is told.
    let not_refused = is(media(medium, "status"), &MediaStatus::Uploaded)?
        .or(is_missing(media(medium, "stored")))
        .or(compares(media(medium, "stored.etag"), Comparison::Other, &object.etag)?);
    let pending = is_pending(medium)?;
    let Some(sequencer) = &object.sequencer else { return Ok(pending.and(not_refused)) };
    let path = media(medium, "stored.sequencer");
    let older = compares(&path, Comparison::Less, sequencer)?;
    // What a look without a notification recorded has no place in S3's order: what is there now is newer or the same.
    Ok(pending.or(is_missing(path)).or(older).and(not_refused))
}

fn is_of_declared_size(medium: &MediaId, object: &StoredObject) -> Result<Condition, Error> {
    let path = media(medium, "declared_size");
    Ok(is_missing(&path).or(is(path, &object.size_bytes)?))
}

/// A medium has bytes, of the size that was declared.
fn arriving(medium: &MediaId, object: &StoredObject, now: Timestamp) -> Result<Change, Error> {
    let mut change = replacing(medium, object, now)?;
    change.require(is_of_declared_size(medium, object)?);
    Ok(change)
}

/// A medium has these bytes now.
fn replacing(medium: &MediaId, object: &StoredObject, now: Timestamp) -> Result<Change, Error> {
    let mut change = Change::when(exists(format!("media.{medium}")).and(is_kept()));
    change
        .set(&media(medium, "status"), &MediaStatus::Uploaded)?
        .set(&media(medium, "stored"), object)?
        .set("updated_at", &now)?
        .delete_from_set(AWAITED, [medium].into_iter());
    Ok(change)
}

/// The upload is complete.
fn completing(
    visibility: &Visibility,
    id: &RecordingId,
    completion: &Completion,
    now: Timestamp,
) -> Result<Change, Error> {
    let mut change = Change::when(is_within(visibility)?);
    change
        .transition(Status::Uploaded)?
        .set("uploaded_at", &now)?
        .set("updated_at", &now)?
        .set("completion", completion)?
        .due(id, Some(now.plus_seconds(PICK_UP_SECONDS)))?;
    Ok(change)
}
