//! A recording: one take by a device, with its media files.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    AudioFacts, Completion, Credential, DeviceId, EndUserId, Error, EventType, Facts, Field, FileDetails, Findings,
    Grant, LEASE_SECONDS, LeaseId, MAX_MEDIA, Media, MediaId, MediaState, MediaStatus, MediaType, MeetingRecording,
    MeetingStatus, Metadata, MultipartUpload, Name, Outcome, PENDING_SECONDS, ProcessingError, ProcessingErrorCode,
    RecordingId, Rendition, RenditionId, ReportedEnd, Sha256, Status, StoredObject, Tenant, Timestamp,
    TranscriptionError, TranscriptionErrorCode, TranscriptionId, TransitionCause, UPLOAD_TOKEN_SECONDS,
};

/// How a recording was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A device recorded it.
    Device,
    /// A phone app imported it.
    AppImport,
    /// A program uploaded it.
    ApiUpload,
}

/// Exclusive work on an item, by one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Identifies the attempt.
    pub id: LeaseId,
    /// When the lease expires unless it is renewed.
    pub until: Timestamp,
}

impl Lease {
    /// A lease of [`LEASE_SECONDS`].
    pub fn from(id: LeaseId, now: Timestamp) -> Self {
        Self { id, until: now.plus_seconds(LEASE_SECONDS) }
    }
}

/// The result of processing one object of a media file.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessedMedia {
    /// The media file.
    pub media_id: MediaId,
    /// Entity tag of the object that was processed. A later write of the same key has another one.
    pub etag: String,
    /// The result.
    pub outcome: Outcome,
}

impl ProcessedMedia {
    /// Whether it is the result of the object that the recording has now.
    pub fn is_of(&self, recording: &Recording) -> bool {
        let uploaded = recording.media.get(&self.media_id).and_then(Media::uploaded);
        uploaded.is_some_and(|uploaded| uploaded.object.etag == self.etag)
    }
}

/// Who made a recording, when and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The device that made it.
    pub device_id: Option<DeviceId>,
    /// Which binding of the device it was made in, if the device created it itself.
    pub binding_generation: Option<u32>,
    /// The end user who made it. A Plaud-shaped upload names the end user when it is completed.
    pub end_user_id: Option<EndUserId>,
    /// When the take began.
    pub started_at: Option<Timestamp>,
    /// When the take ended.
    pub ended_at: Option<Timestamp>,
    /// How it was created.
    pub source: Option<Source>,
    /// How the client says that it uploads.
    pub upload_method: Option<String>,
    /// What a Plaud-shaped client sent when it completed the upload.
    pub file: Option<FileDetails>,
}

/// The upload of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// When the recording is deleted unless the upload is completed.
    pub expires_at: Timestamp,
    /// When the upload was completed.
    pub uploaded_at: Option<Timestamp>,
    /// The request that completed it.
    pub completion: Option<Completion>,
    /// When the hash claimed by that request was verified.
    pub verified_at: Option<Timestamp>,
}

/// The processing of a recording while it is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Processing {
    /// Attempts since processing last ended or saved the result of a media file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// The attempt that is under way.
    pub lease: Option<Lease>,
    /// How many objects arrived after the upload was completed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_arrivals: u32,
    /// The event that is still to be published.
    pub event_type: Option<EventType>,
}

/// How the processing of a recording ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// When it ended.
    pub processed_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<ProcessingError>,
}

/// A recording with its media files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Its identifier. Later recordings sort after earlier ones.
    pub id: RecordingId,
    /// Project and mode that own it. Requests outside them get 404.
    pub tenant: Tenant,
    /// Its name.
    pub name: Option<Name>,
    /// Its status. Changed by [`Status::transition`] only.
    pub status: Status,
    /// Key-value data of the owner.
    #[serde(default, with = "crate::metadata::as_text", skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What meeting workers sent of it, if it is a meeting recording.
    pub meeting: Option<MeetingRecording>,
    /// Its media files.
    pub media: BTreeMap<MediaId, Media>,
    /// Who made it, when and how.
    #[serde(flatten)]
    pub origin: Origin,
    /// Its upload.
    #[serde(flatten)]
    pub upload: Upload,
    /// Its processing.
    #[serde(flatten)]
    pub processing: Processing,
    /// How its processing ended.
    #[serde(flatten)]
    pub end: End,
    /// Its transcriptions, in the order of their creation.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub transcriptions: BTreeSet<TranscriptionId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was deleted. The item stays until its objects are deleted and its URLs have expired.
    pub deleted_at: Option<Timestamp>,
}

/// Zero is left out of items, since DynamoDB bills a write by the kilobyte and most items are about one.
pub(crate) fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The primary media file of a recording, if it is processed audio.
#[derive(Clone, Copy, Debug)]
pub struct PrimaryAudio<'a> {
    /// The media file.
    pub media: &'a Media,
    /// Its object.
    pub object: &'a StoredObject,
    /// Its facts.
    pub facts: &'a AudioFacts,
    /// Its renditions.
    pub renditions: &'a [Rendition],
}

impl Recording {
    /// A recording that awaits its files for [`PENDING_SECONDS`].
    pub fn new(id: RecordingId, tenant: Tenant, end_user_id: Option<EndUserId>, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            name: None,
            status: Status::Pending,
            metadata: Metadata::default(),
            meeting: None,
            media: BTreeMap::new(),
            origin: Origin { end_user_id, ..Origin::default() },
            upload: Upload {
                expires_at: now.plus_seconds(PENDING_SECONDS),
                uploaded_at: None,
                completion: None,
                verified_at: None,
            },
            processing: Processing::default(),
            end: End::default(),
            transcriptions: BTreeSet::new(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }

    /// The recording after its upload was completed with a media file that is stored already.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is pending.
    pub fn uploaded_with(mut self, media: Media, now: Timestamp) -> Result<Self, Error> {
        self.status = self.status.transition(TransitionCause::Client, Status::Uploaded)?;
        self.upload.uploaded_at = Some(now);
        self.media.insert(media.id.clone(), media);
        Ok(self)
    }

    /// The recording after a meeting worker reported the end of its processing.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its processing has ended.
    pub fn reported(mut self, end: ReportedEnd, now: Timestamp) -> Result<Self, Error> {
        let verdict = end.verdict();
        let (status, event_type) = Self::end_of(&verdict);
        self.status = self.status.transition(TransitionCause::Report, status)?;
        self.processing.event_type = Some(event_type);
        self.end = End { processed_at: Some(now), error: verdict.err() };
        self.upload.uploaded_at = self.upload.uploaded_at.or(Some(now));
        Ok(self)
    }

    /// Status for meeting workers after a request that reports `reported`. A worker may report `PROCESSING` again after
    /// Capstan itself ended the processing, because it was not notified of the end: the status stays.
    ///
    /// # Errors
    /// [`Error::Conflict`] for another status after an end.
    pub fn meeting_status_after(&self, reported: Option<MeetingStatus>) -> Result<MeetingStatus, Error> {
        let has_reported_end = self.meeting.as_ref().is_some_and(|meeting| meeting.reported_at.is_some());
        let is_repeat = |reported: &MeetingStatus| *reported == MeetingStatus::Processing && !has_reported_end;
        MeetingStatus::from(self.status).after(reported.filter(|reported| !is_repeat(reported)))
    }

    /// The status in which processing ends by this verdict, and the event to publish.
    pub fn end_of(verdict: &Result<(), ProcessingError>) -> (Status, EventType) {
        match verdict {
            Ok(()) => (Status::Completed, EventType::Completed),
            Err(_) => (Status::Failed, EventType::Failed),
        }
    }

    /// Its media files of one status, in the order of their creation.
    pub fn media_in(&self, status: MediaStatus) -> impl Iterator<Item = &Media> {
        self.media.values().filter(move |media| media.status() == status)
    }

    /// The media file that decides status, duration and hash of the recording: the first one, where stored files come
    /// before awaited ones, audio before images, and files that arrived in time before late ones.
    pub fn primary(&self) -> Option<&Media> {
        let rank = |media: &&Media| {
            let is_awaited = media.uploaded().is_none();
            (is_awaited, media.content_type.media_type() != MediaType::Audio, media.is_late())
        };
        self.media.values().min_by_key(rank)
    }

    /// Duration of the primary media file in milliseconds. `None` until it is processed, and for an image.
    pub fn duration_ms(&self) -> Option<u64> {
        match &self.primary()?.findings()?.facts {
            Facts::Audio(audio) => Some(audio.duration_ms),
            Facts::Image(_) => None,
        }
    }

    /// Its newest transcription.
    pub fn transcription_id(&self) -> Option<&TranscriptionId> {
        self.transcriptions.last()
    }

    /// The audio to transcribe.
    ///
    /// # Errors
    /// [`Error::NotTranscribable`] when the primary media file is not processed, or is an image.
    pub fn primary_audio(&self) -> Result<PrimaryAudio<'_>, Error> {
        let audio = self.primary().and_then(|media| {
            let (Findings { facts, renditions, .. }, object) = (media.findings()?, media.last_object()?);
            match facts {
                Facts::Audio(facts) => Some(PrimaryAudio { media, object, facts, renditions }),
                Facts::Image(_) => None,
            }
        });
        audio.ok_or_else(|| {
            let message = "The recording has no audio";
            Error::NotTranscribable(TranscriptionError::new(TranscriptionErrorCode::UnsupportedFormat, message))
        })
    }

    /// Whether its audio was processed after the recording had ended, and nobody has requested a transcription: the audio
    /// arrived late, or a meeting worker had reported the end before.
    pub fn has_late_audio(&self) -> bool {
        let is_late = |audio: PrimaryAudio<'_>| audio.media.is_late() || self.meeting.is_some();
        self.transcriptions.is_empty() && self.primary_audio().is_ok_and(is_late)
    }

    /// Why a failed recording cannot be transcribed.
    pub fn failure(&self) -> TranscriptionError {
        let code = match self.end.error.as_ref().map(|error| error.code) {
            Some(ProcessingErrorCode::AudioTooShort) => TranscriptionErrorCode::AudioTooShort,
            Some(ProcessingErrorCode::AudioCorrupt) => TranscriptionErrorCode::AudioCorrupt,
            Some(ProcessingErrorCode::UnsupportedFormat) => TranscriptionErrorCode::UnsupportedFormat,
            Some(ProcessingErrorCode::ProcessingError) | None => TranscriptionErrorCode::ProcessingError,
        };
        let message = self.end.error.as_ref().map_or("The recording failed", |error| &error.message);
        TranscriptionError::new(code, message)
    }

    /// SHA-256 of the stored bytes of the primary media file. `None` until they are read.
    pub fn content_sha256(&self) -> Option<Sha256> {
        self.primary()?.last_object()?.sha256
    }

    /// When the hash of the primary media file was found equal to the declared or claimed one.
    pub fn content_sha256_verified_at(&self) -> Option<Timestamp> {
        let declared_and_stored = || {
            let primary = self.primary()?;
            let object = primary.last_object()?;
            (object.sha256.is_some() && object.sha256 == primary.declared_sha256).then_some(object.recorded_at)
        };
        let claimed = self.upload.completion.as_ref().and_then(|completion| completion.content_sha256);
        let claimed_and_stored = claimed.is_some() && claimed == self.content_sha256();
        self.upload.verified_at.filter(|_| claimed_and_stored).or_else(declared_and_stored)
    }

    /// The rendition of that identifier, with the media file that it was made from.
    pub fn rendition(&self, id: &RenditionId) -> Option<(&Media, &Rendition)> {
        self.media.values().find_map(|media| {
            media.renditions().iter().find(|rendition| rendition.id == *id).map(|rendition| (media, rendition))
        })
    }

    /// A credential for the upload of its files only, valid for [`UPLOAD_TOKEN_SECONDS`].
    ///
    /// # Errors
    /// [`Error::RecordingNotPending`], [`Error::UploadExpired`].
    pub fn upload_credential(&self, now: Timestamp) -> Result<Credential, Error> {
        self.require_open(now)?;
        let grant = Grant::Upload { recording_id: self.id.clone() };
        let expires_at = Some(now.plus_seconds(UPLOAD_TOKEN_SECONDS.into()));
        Ok(Credential { expires_at, ..Credential::new(self.tenant.clone(), grant, now) })
    }

    /// A media file that is uploaded in parts, and its multipart upload.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn multipart_upload(&self, media_id: &MediaId) -> Result<(&Media, &MultipartUpload), Error> {
        let media = self.media.get(media_id).ok_or(Error::NotFound { what: "media file" })?;
        let upload = media.multipart.as_ref().ok_or(Error::NotFound { what: "multipart upload" })?;
        Ok((media, upload))
    }

    /// The media file that a Plaud-shaped client uploads, and its multipart upload.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no media file is uploaded in parts.
    pub fn file_upload(&self) -> Result<(&Media, &MultipartUpload), Error> {
        let in_parts = self.media.values().find_map(|media| media.multipart.as_ref().map(|upload| (media, upload)));
        in_parts.ok_or(Error::NotFound { what: "file" })
    }

    /// A media file whose object is awaited, for which another upload URL may be signed.
    ///
    /// # Errors
    /// [`Error::RecordingNotPending`], [`Error::UploadExpired`], [`Error::Invalid`] of `media_id`.
    pub fn awaited(&self, media_id: &MediaId, now: Timestamp) -> Result<&Media, Error> {
        self.require_open(now)?;
        let awaited = self.media.get(media_id).filter(|media| media.uploaded().is_none());
        awaited.ok_or_else(|| Error::invalid(Field::MediaId, "must be a pending media file of this recording"))
    }

    fn require_open(&self, now: Timestamp) -> Result<(), Error> {
        if self.status == Status::Pending && self.upload.expires_at > now {
            Ok(())
        } else {
            Err(self.refuse_media(now))
        }
    }

    /// Why this recording accepts no further media file.
    pub fn refuse_media(&self, now: Timestamp) -> Error {
        if self.status != Status::Pending {
            Error::RecordingNotPending { status: self.status }
        } else if self.upload.expires_at <= now {
            Error::UploadExpired
        } else if self.media.len() >= MAX_MEDIA {
            Error::TooManyMedia
        } else {
            Error::Conflict { reason: "another request changed the recording at the same time; try again".to_owned() }
        }
    }

    /// The recording as the completing request was answered, without what changed since. Name, metadata and hash are the
    /// present ones.
    #[must_use]
    pub fn as_completed(mut self) -> Self {
        let Some(uploaded_at) = self.upload.uploaded_at else { return self };
        self.status = Status::Uploaded;
        self.updated_at = uploaded_at;
        self.end.error = None;
        self.transcriptions.clear();
        for media in self.media.values_mut() {
            if media.is_late() {
                media.state = MediaState::Awaited {};
            } else if let MediaState::Uploaded(uploaded) = &mut media.state {
                uploaded.outcome = None;
            }
        }
        self
    }

    /// The recording after these objects arrived in time.
    #[must_use]
    pub fn with_uploaded(mut self, objects: &[(MediaId, StoredObject)]) -> Self {
        for (id, object) in objects {
            if let Some(media) = self.media.remove(id) {
                self.media.insert(id.clone(), media.with_object(object.clone()));
            }
        }
        self
    }

    /// The recording after these results were saved.
    #[must_use]
    pub fn with_processed<'a>(mut self, results: impl IntoIterator<Item = &'a ProcessedMedia>) -> Self {
        for processed in results {
            let Some(media) = self.media.get_mut(&processed.media_id) else { continue };
            if let MediaState::Uploaded(uploaded) = &mut media.state {
                uploaded.outcome = Some(processed.outcome.clone());
            }
        }
        self
    }

    /// How processing ends. The primary media file decides.
    pub fn verdict(&self) -> Result<(), ProcessingError> {
        self.primary().and_then(Media::error).map_or(Ok(()), |error| Err(error.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContentType, Mode, UploadedObject};

    fn now() -> Timestamp {
        Timestamp::from_milliseconds(1_736_931_600_000).unwrap()
    }

    fn object(bytes: &[u8]) -> StoredObject {
        StoredObject {
            size_bytes: 1,
            etag: "a".to_owned(),
            sha256: Some(Sha256::of(bytes)),
            md5: None,
            sequencer: None,
            recorded_at: now(),
        }
    }

    fn recording(media: &[(&str, ContentType, MediaState)]) -> Recording {
        let tenant = Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live };
        let mut recording = Recording::new("rec_1".parse().unwrap(), tenant, Some("eu_1".parse().unwrap()), now());
        for (id, content_type, state) in media {
            let id: MediaId = id.parse().unwrap();
            let media = Media::new(id.clone(), *content_type, now().plus_seconds(3600), now());
            recording.media.insert(id, Media { state: state.clone(), ..media });
        }
        recording
    }

    fn awaited() -> MediaState {
        MediaState::Awaited {}
    }

    fn uploaded() -> MediaState {
        MediaState::Uploaded(UploadedObject::in_time(object(b"x")))
    }

    fn late() -> MediaState {
        MediaState::Uploaded(UploadedObject::late(object(b"x")))
    }

    #[test]
    fn the_primary_media_file_is_the_first_stored_audio_in_time() {
        use ContentType::{AudioOpus, AudioWav, ImagePng};
        let primary = |media: &[_]| recording(media).primary().map(|media| media.id.to_string());
        assert_eq!(primary(&[]), None);
        for (first, second, expected) in [
            ((ImagePng, uploaded()), (AudioWav, uploaded()), "med_2"),
            ((AudioOpus, awaited()), (AudioWav, uploaded()), "med_2"),
            ((AudioOpus, awaited()), (ImagePng, uploaded()), "med_2"),
            ((AudioOpus, uploaded()), (AudioWav, uploaded()), "med_1"),
            ((AudioOpus, late()), (AudioWav, uploaded()), "med_2"),
            ((AudioOpus, late()), (ImagePng, uploaded()), "med_1"),
        ] {
            let media = [("med_1", first.0, first.1), ("med_2", second.0, second.1)];
            assert_eq!(primary(&media), Some(expected.to_owned()), "{media:?}");
        }
    }

    #[test]
    fn the_primary_media_file_decides_whether_the_recording_failed() {
        let recording =
            recording(&[("med_1", ContentType::ImagePng, uploaded()), ("med_2", ContentType::AudioWav, uploaded())]);
        let corrupt = ProcessingError { code: ProcessingErrorCode::AudioCorrupt, message: "broken".into() };
        let failed = |id: &str| ProcessedMedia {
            media_id: id.parse().unwrap(),
            etag: "a".to_owned(),
            outcome: Err(corrupt.clone()),
        };
        assert_eq!(recording.clone().with_processed(&[failed("med_1")]).verdict(), Ok(()));
        assert_eq!(recording.with_processed(&[failed("med_2")]).verdict(), Err(corrupt.clone()));
    }

    #[test]
    fn a_claimed_hash_of_other_bytes_verifies_nothing() {
        let completion = Completion { content_sha256: Some(Sha256::of(b"x")), ..Completion::default() };
        for (bytes, verified_at) in [(b"x", Some(now())), (b"y", None)] {
            let state = MediaState::Uploaded(UploadedObject::in_time(object(bytes)));
            let mut recording = recording(&[("med_1", ContentType::AudioWav, state)]);
            (recording.upload.completion, recording.upload.verified_at) = (Some(completion.clone()), Some(now()));
            assert_eq!(recording.content_sha256_verified_at(), verified_at);
        }
    }

    #[test]
    fn a_replayed_completion_shows_late_files_as_awaited() {
        let media = [("med_1", ContentType::AudioWav, uploaded()), ("med_2", ContentType::AudioWav, late())];
        let mut recording = recording(&media);
        recording.upload.uploaded_at = Some(now());
        recording.status = Status::Completed;
        let answered = recording.as_completed();
        let statuses: Vec<_> = answered.media.values().map(Media::status).collect();
        assert_eq!((answered.status, statuses), (Status::Uploaded, vec![MediaStatus::Uploaded, MediaStatus::Pending]));
    }

    #[test]
    fn an_entity_survives_serialization() {
        let mut stored = recording(&[
            ("med_1", ContentType::AudioWav, awaited()),
            ("med_2", ContentType::AudioWav, MediaState::Rejected { object: object(b"y") }),
            ("med_3", ContentType::AudioWav, late()),
        ]);
        stored.metadata =
            serde_json::from_str(r#"{"a": 0.1, "b": 12345678901234567, "c": [1e300, {"d": null}]}"#).unwrap();
        stored.processing.lease = Some(Lease::from("lease_1".parse().unwrap(), now()));
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<Recording>(&text).unwrap(), stored);
    }
}
