//! Uploads: media files declared, objects recorded, uploads completed.

use capstan_domain::{
    Arrival, Completion, ContentType, DeviceId, EndUserId, Error, Field, FileDetails, FileSize, MAX_MEDIA, Media,
    MediaId, MediaState, MediaStatus, MultipartUpload, Name, Recording, RecordingId, Sha256, Status, StoredObject,
    Timestamp, TransitionCause, UploadId, UploadedObject, Visibility, due_after_publish,
};

use crate::Store;
use crate::attributes::{
    AWAITED, COMPLETION, CONTENT_TYPE, DECLARED_CAPTURED_AT, DECLARED_SHA256, DECLARED_SIZE, DUE_AT, ENDED_AT, ETAG,
    EXPIRES_AT, FILE, ID, LATE_ARRIVALS, MD5, MEDIA, MULTIPART, NAME, OUTCOME, SEQUENCER, SHA256, STARTED_AT, STATUS,
    UPDATED_AT, UPLOADED_AT, URL_EXPIRES_AT, VERIFIED_AT, media, media_attribute, media_state, rejected_object,
    uploaded, uploaded_object,
};
use crate::change::{Change, Changed};
use crate::condition::{
    Comparison, Condition, compares, counts, exists, has_exactly, is, is_awaited, is_missing, is_not_deleted,
    is_unchanged, is_visible, status_is,
};

/// Changes of a media file for which another upload URL is signed. `None` leaves a declaration unchanged.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The media file, whose object is awaited.
    pub media_id: MediaId,
    /// The declared type. It must be unchanged: the object key ends with its extension.
    pub content_type: Option<ContentType>,
    /// The declared size.
    pub size: Option<FileSize>,
    /// The declared hash.
    pub sha256: Option<Sha256>,
    /// The declared capture time.
    pub captured_at: Option<Timestamp>,
    /// When the new URL expires.
    pub url_expires_at: Timestamp,
    /// The multipart upload; `None` for an upload by a single PUT.
    pub multipart: Option<MultipartRenewal>,
}

/// The multipart upload of a media file from now on.
#[derive(Clone, Debug)]
pub struct MultipartRenewal {
    /// The multipart upload that was read, if there was one.
    pub seen: Option<UploadId>,
    /// The same multipart upload, or the one that replaces it.
    pub upload: MultipartUpload,
}

/// Who made a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The end user; `None` if unknown.
    pub end_user_id: Option<EndUserId>,
    /// The device; `None` if unknown.
    pub device_id: Option<DeviceId>,
}

/// What a Plaud-shaped client says of a file when it completes the upload, and what S3 holds.
#[derive(Clone, Debug)]
pub struct UploadedFile {
    /// The media file.
    pub media_id: MediaId,
    /// Its object.
    pub object: StoredObject,
    /// Who made the recording.
    pub owner: Owner,
    /// Name of the recording.
    pub name: Option<Name>,
    /// When the take began.
    pub started_at: Option<Timestamp>,
    /// When the take ended.
    pub ended_at: Option<Timestamp>,
    /// When the claimed hash was verified.
    pub verified_at: Option<Timestamp>,
    /// The client's own fields.
    pub details: FileDetails,
    /// The completing request.
    pub completion: Completion,
}

/// Result of recording an object.
#[derive(Debug)]
pub enum Recorded {
    /// Recorded before the upload was completed.
    InTime,
    /// Recorded after the upload was completed: it is to be processed.
    Late(Box<Recording>),
    /// It was recorded before, or a newer object was.
    Known,
    /// It is not taken, for this reason.
    Ignored(&'static str),
    /// Its recording or its media file does not exist.
    Orphaned,
}

impl Store {
    /// Adds a media file to a pending recording. Two calls where an earlier request has added it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::RecordingNotPending`], [`Error::UploadExpired`], [`Error::TooManyMedia`].
    pub async fn add_media(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        new: &Media,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let has_room = counts(MEDIA, Comparison::Less, MAX_MEDIA);
        let is_new = is_missing(media(&new.id));
        let mut change = Change::when(is_open_for_media(visibility, now)?.and(has_room).and(is_new));
        change.set(media(&new.id), new)?.set(UPDATED_AT, &now)?.add_to_set(AWAITED, [&new.id].into_iter());
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(old) => {
                let old = visibility.admit(*old.ok_or_else(Error::no_recording)?)?;
                // A client repeats its request with the same identifiers and signs a URL that expires later.
                match old.media.get(&new.id) {
                    Some(known) if known.url_expires_at == new.url_expires_at => Ok(old),
                    Some(known) => self.extend_url_expiry(visibility, id, &known.id, new.url_expires_at, now).await,
                    None => Err(old.refuse_media(now)),
                }
            }
        }
    }

    async fn extend_url_expiry(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        media_id: &MediaId,
        url_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let mut change = Change::when(is_open_for_media(visibility, now)?.and(exists(media(media_id))));
        change.set(media_attribute(media_id, URL_EXPIRES_AT), &url_expires_at)?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(old) => Err(visibility.admit(*old.ok_or_else(Error::no_recording)?)?.refuse_media(now)),
        }
    }

    /// Updates the declaration of a media file whose object is awaited.
    ///
    /// # Errors
    /// As [`Self::add_media`]; [`Error::Invalid`] of `media_id` when no object of that media file is awaited, and of
    /// `multipart` when it has a multipart upload and the renewal has none; [`Error::Conflict`] when its multipart upload
    /// is not the one that was read.
    pub async fn renew_media(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let media_id = &renewal.media_id;
        let mut change = Change::when(is_open_for_media(visibility, now)?.and(is_awaited(media_id)));
        change.set(media_attribute(media_id, URL_EXPIRES_AT), &renewal.url_expires_at)?.set(UPDATED_AT, &now)?;
        let multipart_id = media_attribute(media_id, MULTIPART.then(ID));
        match &renewal.multipart {
            Some(renewed) => {
                let is_seen = is_unchanged(multipart_id.clone(), renewed.seen.as_ref())?;
                // An earlier sending of this request may have set it.
                let is_set = is(multipart_id, &renewed.upload.id)?;
                change.require(is_seen.or(is_set)).set(media_attribute(media_id, MULTIPART), &renewed.upload)?;
            }
            None => {
                change.require(is_missing(media_attribute(media_id, MULTIPART)));
            }
        }
        if let Some(content_type) = renewal.content_type {
            change.require(is(media_attribute(media_id, CONTENT_TYPE), &content_type)?);
        }
        change
            .set_if(media_attribute(media_id, DECLARED_CAPTURED_AT), renewal.captured_at.as_ref())?
            .set_if(media_attribute(media_id, DECLARED_SIZE), renewal.size.as_ref())?
            .set_if(media_attribute(media_id, DECLARED_SHA256), renewal.sha256.as_ref())?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(old) => {
                let recording = visibility.admit(*old.ok_or_else(Error::no_recording)?)?;
                Err(refuse_renewal(&recording, renewal, now))
            }
        }
    }

    /// Removes a media file whose multipart upload was aborted.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] when its object was stored, or another multipart upload was begun.
    pub async fn remove_media(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        media_id: &MediaId,
        aborted: &UploadId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let is_aborted = is(media_attribute(media_id, MULTIPART.then(ID)), aborted)?;
        let mut change = Change::when(is_visible(visibility)?.and(is_awaited(media_id)).and(is_aborted));
        change.remove(media(media_id)).delete_from_set(AWAITED, [media_id].into_iter()).set(UPDATED_AT, &now)?;
        let is_removed = |known: &Recording| !known.media.contains_key(media_id);
        match change.apply_once(self, id, is_removed).await? {
            Changed::Made(recording) => visibility.admit(*recording).map(drop),
            Changed::Refused(old) => {
                visibility.admit(*old.ok_or_else(Error::no_recording)?)?;
                let reason = "the multipart upload was completed or replaced at the same time".to_owned();
                Err(Error::Conflict { reason })
            }
        }
    }

    /// Records an object that S3 holds, as [`Recording::arrival`] decides. One call in the common case, two where the
    /// object is late or known.
    pub async fn record_object(
        &self,
        id: &RecordingId,
        media_id: &MediaId,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Recorded, Error> {
        let recording = match self.record_object_in_time(id, media_id, object, now).await? {
            Changed::Made(_) => return Ok(Recorded::InTime),
            Changed::Refused(None) => return Ok(Recorded::Orphaned),
            Changed::Refused(Some(recording)) => recording,
        };
        match recording.arrival(media_id, object) {
            Arrival::Complements => self.complement_object(&recording, media_id, object, now).await,
            Arrival::Replaces(stored) => self.replace_object(&recording, media_id, stored, object, now).await,
            Arrival::Late => self.record_late_object(id, media_id, object, now).await,
            // Refused although it seemed in time: another write came first.
            Arrival::InTime | Arrival::Known => Ok(Recorded::Known),
            Arrival::Ignored(reason) => Ok(Recorded::Ignored(reason)),
            Arrival::Orphaned => Ok(Recorded::Orphaned),
        }
    }

    async fn record_object_in_time(
        &self,
        id: &RecordingId,
        media_id: &MediaId,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = storing(media_id, &UploadedObject::in_time(object.clone()), now)?;
        change
            .require(is_of_declared_size(media_id, object)?)
            .require(status_is(Status::Pending)?)
            .require(is_newer_than_recorded(media_id, object)?);
        change.apply(self, id).await
    }

    /// Adds hash and sequencer to an object that was recorded before its notification came.
    async fn complement_object(
        &self,
        recording: &Recording,
        media_id: &MediaId,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Recorded, Error> {
        let mut change = Change::when(is(uploaded_object(media_id, ETAG), &object.etag)?);
        change
            .set_if(uploaded_object(media_id, SHA256), object.sha256.as_ref())?
            .set_if(uploaded_object(media_id, MD5), object.md5.as_ref())?
            .set_if(uploaded_object(media_id, SEQUENCER), object.sequencer.as_ref())?;
        // While the recording is pending, a completion that has read it is refused if `updated_at` changes.
        if recording.status != Status::Pending {
            change.set(UPDATED_AT, &now)?;
        }
        change.apply(self, &recording.id).await?;
        Ok(Recorded::Known)
    }

    /// Replaces the object of a completed recording, unless the replaced one was processed.
    pub async fn replace_object(
        &self,
        recording: &Recording,
        media_id: &MediaId,
        replaced: &StoredObject,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Recorded, Error> {
        let late = recording.media.get(media_id).is_some_and(Media::is_late);
        let state = UploadedObject { late, ..UploadedObject::in_time(object.clone()) };
        let mut change = storing(media_id, &state, now)?;
        change
            .require(is_missing(uploaded(media_id).then(OUTCOME)))
            .require(is(uploaded_object(media_id, ETAG), &replaced.etag)?)
            .due(&recording.id, Some(due_after_publish(now)))?;
        match change.apply(self, &recording.id).await? {
            Changed::Made(recording) => Ok(Recorded::Late(recording)),
            Changed::Refused(_) => Ok(Recorded::Ignored("other bytes were processed")),
        }
    }

    async fn record_late_object(
        &self,
        id: &RecordingId,
        media_id: &MediaId,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<Recorded, Error> {
        let mut change = storing(media_id, &UploadedObject::late(object.clone()), now)?;
        change
            .require(is_of_declared_size(media_id, object)?)
            .require(is_awaited(media_id))
            .require(compares(STATUS, Comparison::Other, &Status::Pending)?)
            .add(LATE_ARRIVALS, 1)
            .due(id, Some(due_after_publish(now)))?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(Recorded::Late(recording)),
            Changed::Refused(_) => Ok(Recorded::Known),
        }
    }

    /// Completes an upload without awaited objects.
    pub async fn complete_upload(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = completing(visibility, id, completion, now)?;
        change.require(is_missing(AWAITED)).require(counts(MEDIA, Comparison::More, 0));
        change.apply(self, id).await
    }

    /// Completes an upload whose awaited objects were found in S3: `seen` is the recording as it was read, `found` the
    /// objects. Refused when any media file was added or recorded since.
    pub async fn complete_verified_upload(
        &self,
        visibility: &Visibility,
        seen: &Recording,
        found: &[(MediaId, StoredObject)],
        completion: &Completion,
        verified_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = completing(visibility, &seen.id, completion, now)?;
        // One condition for all media files: an expression has at most 4 KB.
        let awaited = seen.media_in(MediaStatus::Pending).map(|media| &media.id);
        change
            .require(is(UPDATED_AT, &seen.updated_at)?)
            .require(counts(MEDIA, Comparison::Equal, seen.media.len()))
            .require(has_exactly(AWAITED, awaited));
        for (media_id, object) in found {
            let state = MediaState::Uploaded(UploadedObject::in_time(object.clone()));
            change.set(media_state(media_id), &state)?;
        }
        change.delete_from_set(AWAITED, found.iter().map(|(media_id, _)| media_id));
        change.set_if(VERIFIED_AT, verified_at.as_ref())?;
        change.apply(self, &seen.id).await
    }

    /// Completes the upload of a Plaud-shaped file as it was read. Refused when the recording changed since.
    pub async fn complete_file(
        &self,
        visibility: &Visibility,
        seen: &Recording,
        file: &UploadedFile,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let mut change = completing(visibility, &seen.id, &file.completion, now)?;
        let state = MediaState::Uploaded(UploadedObject::in_time(file.object.clone()));
        change.require(is(UPDATED_AT, &seen.updated_at)?).delete_from_set(AWAITED, [&file.media_id].into_iter());
        change
            .set(media_state(&file.media_id), &state)?
            .set(FILE, &file.details)?
            .set_if(NAME, file.name.as_ref())?
            .set_if(STARTED_AT, file.started_at.as_ref())?
            .set_if(ENDED_AT, file.ended_at.as_ref())?
            .set_if(VERIFIED_AT, file.verified_at.as_ref())?
            .set_owner(&seen.tenant, file.owner.end_user_id.as_ref(), file.owner.device_id.as_ref())?;
        change.apply(self, &seen.id).await
    }

    /// Requests that the objects of a pending recording are hashed in the background, unless that was requested before.
    pub async fn request_verification(&self, recording: &Recording, now: Timestamp) -> Result<(), Error> {
        let is_unrequested = compares(DUE_AT, Comparison::AtLeast, &recording.upload.expires_at)?;
        let mut change = Change::when(status_is(Status::Pending)?.and(is_unrequested));
        change.due_exactly(&recording.id, now)?;
        change.apply(self, &recording.id).await.map(drop)
    }

    /// Rejects the object of a media file whose bytes are not the declared ones. Another object is awaited.
    pub async fn reject_object(
        &self,
        id: &RecordingId,
        media_id: &MediaId,
        object: &StoredObject,
        now: Timestamp,
    ) -> Result<(), Error> {
        // The right object may have been stored while the wrong one was hashed.
        let (stored, rejected) = (uploaded_object(media_id, ETAG), rejected_object(media_id, ETAG));
        let is_stored = is(stored.clone(), &object.etag)?;
        let is_awaited = is_missing(stored).and(is_missing(rejected.clone()).or(is(rejected, &object.etag)?));
        let mut change =
            Change::when(status_is(Status::Pending)?.and(exists(media(media_id))).and(is_stored.or(is_awaited)));
        change
            .set(media_state(media_id), &MediaState::Rejected { object: object.clone() })?
            .set(UPDATED_AT, &now)?
            .add_to_set(AWAITED, [media_id].into_iter());
        change.apply(self, id).await.map(drop)
    }
}

fn refuse_renewal(recording: &Recording, renewal: &Renewal, now: Timestamp) -> Error {
    let media = match recording.awaited(&renewal.media_id, now) {
        Ok(media) => media,
        Err(refusal) => return refusal,
    };
    if renewal.content_type.is_some_and(|declared| declared != media.content_type) {
        let rule = format!("must stay {}, as it was first declared", media.content_type.as_str());
        return Error::file_type(rule);
    }
    if media.multipart.is_some() && renewal.multipart.is_none() {
        return Error::invalid(
            Field::Multipart,
            "must be true: the media file has a multipart upload; abort that upload first to use a single PUT",
        );
    }
    Error::Conflict { reason: "another request changed the recording at the same time; try again".to_owned() }
}

fn is_open_for_media(visibility: &Visibility, now: Timestamp) -> Result<Condition, Error> {
    let is_unexpired = compares(EXPIRES_AT, Comparison::More, &now)?;
    Ok(is_visible(visibility)?.and(status_is(Status::Pending)?).and(is_unexpired))
}

/// While the recording is pending, a newer object replaces an older one, and a rejected object is not taken again.
fn is_newer_than_recorded(media_id: &MediaId, object: &StoredObject) -> Result<Condition, Error> {
    let rejected_etag = rejected_object(media_id, ETAG);
    let is_not_rejected =
        is_missing(rejected_etag.clone()).or(compares(rejected_etag, Comparison::Other, &object.etag)?);
    let Some(sequencer) = &object.sequencer else {
        return Ok(is_missing(uploaded(media_id)).and(is_not_rejected));
    };
    // An object that was recorded without a notification has no sequencer: this one is newer, or the same.
    let recorded = uploaded_object(media_id, SEQUENCER);
    let is_newer = is_missing(recorded.clone()).or(compares(recorded, Comparison::Less, sequencer)?);
    Ok(is_newer.and(is_not_rejected))
}

fn is_of_declared_size(media_id: &MediaId, object: &StoredObject) -> Result<Condition, Error> {
    let declared = media_attribute(media_id, DECLARED_SIZE);
    Ok(is_missing(declared.clone()).or(is(declared, &object.size_bytes)?))
}

/// Stores the object of a media file, whatever its state was.
fn storing(media_id: &MediaId, object: &UploadedObject, now: Timestamp) -> Result<Change, Error> {
    let mut change = Change::when(exists(media(media_id)).and(is_not_deleted()));
    change
        .set(media_state(media_id), &MediaState::Uploaded(object.clone()))?
        .set(UPDATED_AT, &now)?
        .delete_from_set(AWAITED, [media_id].into_iter());
    Ok(change)
}

/// Completes the upload.
fn completing(
    visibility: &Visibility,
    id: &RecordingId,
    completion: &Completion,
    now: Timestamp,
) -> Result<Change, Error> {
    let mut change = Change::when(is_visible(visibility)?);
    change
        .transition(Status::Pending, TransitionCause::Client, Status::Uploaded)?
        .set(UPLOADED_AT, &now)?
        .set(UPDATED_AT, &now)?
        .set(COMPLETION, completion)?
        .due(id, Some(due_after_publish(now)))?;
    Ok(change)
}
