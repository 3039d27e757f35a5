//! A recording and the arrows between its states.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    AudioFacts, Credential, DeviceId, EndUserId, Error, EventType, Facts, FileDetails, Findings, Grant, LEASE_SECONDS,
    LeaseId, MAX_ATTEMPTS, MAX_MEDIA, Media, MediaId, MediaStatus, MediaType, MeetingRecording, MeetingStatus,
    Metadata, MultipartUpload, Name, PENDING_SECONDS, PICK_UP_SECONDS, ProcessingError, ProcessingErrorCode,
    RecordingId, Rendition, RenditionId, ReportedEnd, Sha256, StoredObject, Tenant, Timestamp, TranscriptionError,
    TranscriptionErrorCode, TranscriptionId, UPLOAD_TOKEN_SECONDS,
};

/// Where a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its files are awaited.
    Pending,
    /// Its client said that they are all sent.
    Uploaded,
    /// They are being looked into.
    Processing,
    /// All is known and made.
    Completed,
    /// It cannot be processed; `error` says why.
    Failed,
}

impl Status {
    /// Every state there is.
    pub const ALL: [Status; 5] = [Self::Pending, Self::Uploaded, Self::Processing, Self::Completed, Self::Failed];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Uploaded => "uploaded",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether there is an arrow from this state to that one.
    pub fn leads_to(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::Uploaded)
                | (Self::Uploaded | Self::Failed, Self::Processing)
                | (Self::Processing, Self::Completed | Self::Failed)
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

/// How a recording came to be.
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

/// What marked the call that completed an upload, so that its exact repeat is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Its `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The hash that it claimed.
    pub content_sha256: Option<Sha256>,
    /// The size in bytes that it claimed.
    pub size_bytes: Option<u64>,
    /// Which call it was: one whose answer was lost knows its own work by it.
    pub call: Option<String>,
}

impl Completion {
    /// What a later call is to this one.
    pub fn repeat(&self, later: &Self) -> Repeat {
        let same_key = self.idempotency_key.is_some() && self.idempotency_key == later.idempotency_key;
        let same_hash = self.content_sha256 == later.content_sha256;
        if same_key && !(same_hash && self.size_bytes == later.size_bytes) {
            Repeat::KeyReused
        } else if same_key || (same_hash && self.content_sha256.is_some()) {
            Repeat::Exact
        } else {
            Repeat::Other
        }
    }

    /// Whether that call and this one are the same single call.
    pub fn is_same_request(&self, other: &Self) -> bool {
        self.call.is_some() && self.call == other.call
    }
}

/// What a call is to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The same again.
    Exact,
    /// Another one under the same `Idempotency-Key`.
    KeyReused,
    /// Another one.
    Other,
}

/// A worker's hold on a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Which attempt holds it.
    pub id: LeaseId,
    /// When the hold ends unless it is renewed, in sortable form.
    pub until: String,
}

impl Lease {
    /// The hold that an attempt has from now on.
    pub fn from(id: LeaseId, now: Timestamp) -> Self {
        Self { id, until: now.plus_seconds(LEASE_SECONDS).sortable() }
    }
}

/// What became of one medium.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Which.
    pub media_id: MediaId,
    /// The write that was looked into.
    pub etag: String,
    /// What was learned and made, or why not.
    pub result: Result<Findings, ProcessingError>,
}

impl Outcome {
    /// Whether it is of what the recording holds now.
    pub fn is_of(&self, recording: &Recording) -> bool {
        let stored = recording.media.get(&self.media_id).and_then(|media| media.stored.as_ref());
        stored.is_some_and(|stored| stored.etag == self.etag)
    }
}

/// A recording with its media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Its identifier. Later recordings sort after earlier ones.
    pub id: RecordingId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The device that made it.
    pub device_id: Option<DeviceId>,
    /// The person who made it. Of a file, it is known when its upload is completed.
    pub end_user_id: Option<EndUserId>,
    /// What it is called.
    pub name: Option<Name>,
    /// Where it stands.
    pub status: Status,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What its owner attached.
    #[serde(default, with = "crate::metadata::as_text", skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// How it came to be.
    pub source: Option<Source>,
    /// How its client says that it uploads.
    pub upload_method: Option<String>,
    /// What a Plaud-shaped client told of it when it completed the upload.
    pub file: Option<FileDetails>,
    /// What Scoot-shaped workers told of it.
    pub meeting: Option<MeetingRecording>,
    /// Its files.
    pub media: BTreeMap<MediaId, Media>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything about it last changed.
    pub updated_at: Timestamp,
    /// When its client said that all is sent.
    pub uploaded_at: Option<Timestamp>,
    /// When its processing ended.
    pub processed_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// When it goes unless it was completed.
    pub expires_at: Timestamp,
    /// What marked the call that completed it.
    pub completion: Option<Completion>,
    /// When the claimed hash was found to be right.
    pub verified_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<ProcessingError>,
    /// How often processing was begun since it last ended, or was done with one of its media.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// Who is processing it.
    pub lease: Option<Lease>,
    /// How many media arrived after it was completed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_arrivals: u32,
    /// What is still to be event_published.
    pub event_type: Option<EventType>,
    /// What was asked to make text of it, the last one last.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub transcriptions: BTreeSet<TranscriptionId>,
}

/// What is not kept: DynamoDB bills a write by the whole item, each begun kilobyte, and most of them are about one.
pub(crate) fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The sound that stands for a recording, and what was learned of it.
#[derive(Clone, Copy, Debug)]
pub struct Sound<'a> {
    /// The medium.
    pub media: &'a Media,
    /// What S3 holds of it.
    pub stored: &'a StoredObject,
    /// What is in it.
    pub facts: &'a AudioFacts,
    /// What was made of it.
    pub renditions: &'a [Rendition],
}

impl Recording {
    /// A new recording that awaits its files.
    pub fn new(id: RecordingId, tenant: Tenant, end_user_id: Option<EndUserId>, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            device_id: None,
            end_user_id,
            name: None,
            status: Status::Pending,
            started_at: None,
            ended_at: None,
            metadata: Metadata::default(),
            source: None,
            upload_method: None,
            file: None,
            meeting: None,
            media: BTreeMap::new(),
            created_at: now,
            updated_at: now,
            uploaded_at: None,
            processed_at: None,
            deleted_at: None,
            expires_at: now.plus_seconds(PENDING_SECONDS),
            completion: None,
            verified_at: None,
            error: None,
            attempts: 0,
            lease: None,
            late_arrivals: 0,
            event_type: None,
            transcriptions: BTreeSet::new(),
        }
    }

    /// The same with a medium whose bytes are there: its upload is complete.
    #[must_use]
    pub fn uploaded_with(mut self, media: Media, now: Timestamp) -> Self {
        (self.status, self.uploaded_at) = (Status::Uploaded, Some(now));
        self.media.insert(media.id.clone(), media);
        self
    }

    /// The same as who processed it elsewhere says that it ended.
    #[must_use]
    pub fn ended(mut self, end: ReportedEnd, now: Timestamp) -> Self {
        let verdict = end.verdict();
        let (status, event_type) = Self::end_of(&verdict);
        (self.status, self.event_type) = (status, Some(event_type));
        self.error = verdict.err();
        self.uploaded_at = self.uploaded_at.or(Some(now));
        self.processed_at = Some(now);
        self
    }

    /// Where it stands after a worker's call, by the worker's names. What Capstan itself has processed to its end is asked
    /// for again by who did not hear of that: it stays as it is.
    ///
    /// # Errors
    /// [`Error::Conflict`] for another status after an end.
    pub fn meeting_status_after(&self, told: Option<MeetingStatus>) -> Result<MeetingStatus, Error> {
        let is_reported = self.meeting.as_ref().is_some_and(|meeting| meeting.reported_at.is_some());
        let is_repeat = |told: &MeetingStatus| *told == MeetingStatus::Processing && !is_reported;
        MeetingStatus::from(self.status).after(told.filter(|told| !is_repeat(told)))
    }

    /// The state that a verdict leads to, and what is to be event_published then.
    pub fn end_of(verdict: &Result<(), ProcessingError>) -> (Status, EventType) {
        match verdict {
            Ok(()) => (Status::Completed, EventType::Completed),
            Err(_) => (Status::Failed, EventType::Failed),
        }
    }

    /// Its files of one status, in the order in which they were event_published.
    pub fn media_in(&self, status: MediaStatus) -> impl Iterator<Item = &Media> {
        self.media.values().filter(move |media| media.status == status)
    }

    /// The medium that stands for the recording: the first audio, else the first of all; one that is there before one
    /// that is not, and one that came in time before one that was late: it stood for it when it was completed.
    pub fn primary(&self) -> Option<&Media> {
        let rank = |media: &&Media| {
            let is_awaited = media.status == MediaStatus::Pending;
            (is_awaited, media.content_type.media_type() != MediaType::Audio, media.late)
        };
        self.media.values().min_by_key(rank)
    }

    /// Its length in milliseconds: that of the primary medium.
    pub fn duration_ms(&self) -> Option<u64> {
        match &self.primary()?.findings()?.facts {
            Facts::Audio(audio) => Some(audio.duration_ms),
            Facts::Image(_) => None,
        }
    }

    /// The transcription that was asked for last.
    pub fn transcription_id(&self) -> Option<&TranscriptionId> {
        self.transcriptions.last()
    }

    /// The sound that text can be made of.
    ///
    /// # Errors
    /// [`Error::NotTranscribable`] when the primary medium is none that was processed, or a picture.
    pub fn sound(&self) -> Result<Sound<'_>, Error> {
        let sound = self.primary().and_then(|media| {
            let (findings, stored) = (media.findings()?, media.stored.as_ref()?);
            match &findings.facts {
                Facts::Audio(facts) => Some(Sound { media, stored, facts, renditions: &findings.renditions }),
                Facts::Image(_) => None,
            }
        });
        sound.ok_or_else(|| {
            let message = "The recording has no sound";
            Error::NotTranscribable(TranscriptionError::new(TranscriptionErrorCode::UnsupportedFormat, message))
        })
    }

    /// Whether its sound is processed after its end, and nobody has asked for text of it: it came late, or a worker had
    /// told of the end before.
    pub fn has_late_sound(&self) -> bool {
        let is_late = |sound: Sound<'_>| sound.media.late || self.meeting.is_some();
        self.transcriptions.is_empty() && self.sound().is_ok_and(is_late)
    }

    /// Why no text can be made of a recording that failed.
    pub fn failure(&self) -> TranscriptionError {
        let code = match self.error.as_ref().map(|error| error.code) {
            Some(ProcessingErrorCode::AudioTooShort) => TranscriptionErrorCode::AudioTooShort,
            Some(ProcessingErrorCode::AudioCorrupt) => TranscriptionErrorCode::AudioCorrupt,
            Some(ProcessingErrorCode::UnsupportedFormat) => TranscriptionErrorCode::UnsupportedFormat,
            Some(ProcessingErrorCode::ProcessingError) | None => TranscriptionErrorCode::ProcessingError,
        };
        let message = self.error.as_ref().map_or("The recording failed", |error| &error.message);
        TranscriptionError::new(code, message)
    }

    /// SHA-256 of the primary medium's stored bytes, once they were read.
    pub fn content_sha256(&self) -> Option<Sha256> {
        self.primary()?.stored.as_ref()?.sha256
    }

    /// When the primary medium's stored bytes were found to be those that the client meant.
    pub fn content_sha256_verified_at(&self) -> Option<Timestamp> {
        let declared_and_stored = || {
            let primary = self.primary()?;
            let stored = primary.stored.as_ref()?;
            (stored.sha256.is_some() && stored.sha256 == primary.declared_sha256).then_some(stored.recorded_at)
        };
        let claimed = self.completion.as_ref().and_then(|completion| completion.content_sha256);
        let claimed_and_stored = claimed.is_some() && claimed == self.content_sha256();
        self.verified_at.filter(|_| claimed_and_stored).or_else(declared_and_stored)
    }

    /// The rendition of that id and the medium it was made of.
    pub fn rendition(&self, id: &RenditionId) -> Option<(&Media, &Rendition)> {
        self.media.values().find_map(|media| {
            media.renditions().iter().find(|rendition| rendition.id == *id).map(|rendition| (media, rendition))
        })
    }

    /// A credential for the upload of its files and nothing else, good for [`UPLOAD_TOKEN_SECONDS`].
    ///
    /// # Errors
    /// [`Error::RecordingNotPending`], [`Error::UploadExpired`].
    pub fn upload_credential(&self, now: Timestamp) -> Result<Credential, Error> {
        if self.status != Status::Pending || self.expires_at <= now {
            return Err(self.refuse_media(now));
        }
        let grant = Grant::Upload { recording_id: self.id.clone() };
        let expires_at = Some(now.plus_seconds(UPLOAD_TOKEN_SECONDS.into()));
        Ok(Credential { expires_at, ..Credential::new(self.tenant.clone(), grant, now) })
    }

    /// A medium that is sent in parts, and how.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn multipart_upload(&self, media_id: &MediaId) -> Result<(&Media, &MultipartUpload), Error> {
        let media = self.media.get(media_id).ok_or(Error::NotFound { what: "medium" })?;
        let upload = media.multipart.as_ref().ok_or(Error::NotFound { what: "upload in parts" })?;
        Ok((media, upload))
    }

    /// The medium of a file, and its upload in parts.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing of the recording is sent in parts.
    pub fn file_upload(&self) -> Result<(&Media, &MultipartUpload), Error> {
        let in_parts = self.media.values().find_map(|media| media.multipart.as_ref().map(|upload| (media, upload)));
        in_parts.ok_or(Error::NotFound { what: "file" })
    }

    /// A medium that is still awaited and may be signed for again.
    ///
    /// # Errors
    /// [`Error::RecordingNotPending`], [`Error::UploadExpired`], [`Error::Invalid`] of `media_id`.
    pub fn awaited(&self, media_id: &MediaId, now: Timestamp) -> Result<&Media, Error> {
        if self.status != Status::Pending || self.expires_at <= now {
            return Err(self.refuse_media(now));
        }
        let awaited = self.media.get(media_id).filter(|media| media.status == MediaStatus::Pending);
        awaited.ok_or_else(|| Error::invalid("media_id", "must be a pending medium of this recording"))
    }

    /// Why this recording takes no further medium.
    pub fn refuse_media(&self, now: Timestamp) -> Error {
        if self.status != Status::Pending {
            Error::RecordingNotPending { status: self.status }
        } else if self.expires_at <= now {
            Error::UploadExpired
        } else if self.media.len() >= MAX_MEDIA {
            Error::TooManyMedia
        } else {
            Error::Conflict { reason: "another change to the recording came first; ask again".to_owned() }
        }
    }

    /// The recording as it was answered to the call that completed it, without what was learned since. Its name, its
    /// metadata and the hash of its bytes are those of now.
    #[must_use]
    pub fn as_completed(mut self) -> Self {
        let Some(uploaded_at) = self.uploaded_at else { return self };
        self.status = Status::Uploaded;
        self.updated_at = uploaded_at;
        self.error = None;
        self.transcriptions.clear();
        for media in self.media.values_mut() {
            media.result = None;
            if media.late {
                media.status = MediaStatus::Pending;
                media.stored = None;
            }
        }
        self
    }

    /// A pending recording in which these objects are seen to have arrived.
    #[must_use]
    pub fn with_arrivals(mut self, arrivals: &[(MediaId, StoredObject)]) -> Self {
        for (id, object) in arrivals {
            if let Some(media) = self.media.get_mut(id) {
                media.status = MediaStatus::Uploaded;
                media.stored = Some(object.clone());
            }
        }
        self
    }

    /// The recording in which this became of its media.
    #[must_use]
    pub fn with_outcomes<'a>(mut self, outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        for outcome in outcomes {
            let Some(media) = self.media.get_mut(&outcome.media_id) else { continue };
            media.result = Some(outcome.result.clone());
        }
        self
    }

    /// How processing ends for the recording: the primary medium decides.
    pub fn verdict(&self) -> Result<(), ProcessingError> {
        self.primary().and_then(Media::error).map_or(Ok(()), |error| Err(error.clone()))
    }

    /// When processing that could not read or write is begun again: after 2, 4, 8 minutes and so on, so that its
    /// attempts outlast an outage of hours.
    pub fn retry_at(&self, now: Timestamp) -> Timestamp {
        now.plus_seconds(60 << self.attempts.min(MAX_ATTEMPTS))
    }

    /// When the recording next owes an action after the change that made it what it is now.
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.deleted_at.is_some() {
            return Some(now);
        }
        match self.status {
            Status::Pending => Some(self.expires_at),
            Status::Uploaded | Status::Processing => Some(now.plus_seconds(PICK_UP_SECONDS)),
            Status::Completed | Status::Failed => self.settled_due_at(now),
        }
    }

    fn settled_due_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.event_type.is_some() || self.media.values().any(Media::is_unprocessed) {
            return Some(now.plus_seconds(PICK_UP_SECONDS));
        }
        // Past or not: by then whoever was to say that a file arrived, and to read it, may have failed. Somebody looks once.
        self.media.values().filter(|media| media.is_unread()).map(|media| media.url_expires_at).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContentType, Mode};

    fn now() -> Timestamp {
        Timestamp::from_milliseconds(1_736_931_600_000).unwrap()
    }

    fn recording(media: &[(&str, ContentType, MediaStatus)]) -> Recording {
        let tenant = Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live };
        let mut recording = Recording::new("rec_1".parse().unwrap(), tenant, Some("eu_1".parse().unwrap()), now());
        for (id, content_type, status) in media {
            let id: MediaId = id.parse().unwrap();
            let mut medium = Media::new(id.clone(), *content_type, now().plus_seconds(3600), now());
            medium.status = *status;
            recording.media.insert(id, medium);
        }
        recording
    }

    #[test]
    fn there_are_five_arrows_and_no_others() {
        let arrows: Vec<String> = Status::ALL
            .into_iter()
            .flat_map(|from| Status::ALL.into_iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.leads_to(*to))
            .map(|(from, to)| format!("{from} -> {to}"))
            .collect();
        assert_eq!(
            arrows,
            [
                "pending -> uploaded",
                "uploaded -> processing",
                "processing -> completed",
                "processing -> failed",
                "failed -> processing"
            ]
        );
    }

    #[test]
    fn the_first_audio_that_is_there_stands_for_the_recording() {
        use ContentType::{AudioOpus, AudioWav, ImagePng};
        use MediaStatus::{Pending, Uploaded};
        let primary = |media: &[_]| recording(media).primary().map(|media| media.id.to_string());
        assert_eq!(primary(&[]), None);
        assert_eq!(primary(&[("med_1", ImagePng, Uploaded), ("med_2", AudioWav, Uploaded)]), Some("med_2".into()));
        assert_eq!(primary(&[("med_1", AudioOpus, Pending), ("med_2", AudioWav, Uploaded)]), Some("med_2".into()));
        assert_eq!(primary(&[("med_1", AudioOpus, Pending), ("med_2", ImagePng, Uploaded)]), Some("med_2".into()));
        assert_eq!(primary(&[("med_1", AudioOpus, Uploaded), ("med_2", AudioWav, Uploaded)]), Some("med_1".into()));
    }

    #[test]
    fn the_primary_medium_decides_whether_the_recording_failed() {
        let recording = recording(&[
            ("med_1", ContentType::ImagePng, MediaStatus::Uploaded),
            ("med_2", ContentType::AudioWav, MediaStatus::Uploaded),
        ]);
        let corrupt = ProcessingError { code: crate::ProcessingErrorCode::AudioCorrupt, message: "broken".into() };
        let failed =
            |id: &str| Outcome { media_id: id.parse().unwrap(), etag: String::new(), result: Err(corrupt.clone()) };
        assert_eq!(recording.clone().with_outcomes(&[failed("med_1")]).verdict(), Ok(()));
        assert_eq!(recording.with_outcomes(&[failed("med_2")]).verdict(), Err(corrupt.clone()));
    }

    #[test]
    fn a_repeat_is_known_by_its_key_or_its_hash_and_an_unmarked_call_never_is() {
        let marked = |key: Option<&str>, hash: Option<&[u8]>| Completion {
            idempotency_key: key.map(str::to_owned),
            content_sha256: hash.map(Sha256::of),
            ..Completion::default()
        };
        assert_eq!(marked(Some("a"), None).repeat(&marked(Some("a"), None)), Repeat::Exact);
        assert_eq!(marked(None, Some(b"x")).repeat(&marked(None, Some(b"x"))), Repeat::Exact);
        assert_eq!(marked(Some("a"), Some(b"x")).repeat(&marked(None, Some(b"x"))), Repeat::Exact);
        assert_eq!(marked(Some("a"), Some(b"x")).repeat(&marked(Some("a"), Some(b"y"))), Repeat::KeyReused);
        assert_eq!(marked(Some("a"), None).repeat(&marked(Some("b"), None)), Repeat::Other);
        assert_eq!(marked(None, None).repeat(&marked(None, None)), Repeat::Other);
        assert!(!marked(None, None).is_same_request(&marked(None, None)));
    }

    #[test]
    fn a_sound_that_came_late_does_not_stand_for_a_recording_that_has_another() {
        let uploaded = |id| (id, ContentType::AudioOpus, MediaStatus::Uploaded);
        let mut recording = recording(&[uploaded("med_1"), uploaded("med_2")]);
        assert_eq!(recording.primary().unwrap().id.as_str(), "med_1");
        recording.media.values_mut().next().unwrap().late = true;
        assert_eq!(recording.primary().unwrap().id.as_str(), "med_2");
        recording.media.values_mut().last().unwrap().content_type = ContentType::ImagePng;
        assert_eq!(recording.primary().unwrap().id.as_str(), "med_1");
    }

    #[test]
    fn a_hash_that_was_claimed_of_other_bytes_verifies_nothing() {
        let mut recording = recording(&[("med_1", ContentType::AudioWav, MediaStatus::Uploaded)]);
        let stored = |bytes: &[u8]| StoredObject {
            size_bytes: 1,
            etag: String::new(),
            sha256: Some(Sha256::of(bytes)),
            md5: None,
            sequencer: None,
            recorded_at: now(),
        };
        let completion = Completion { content_sha256: Some(Sha256::of(b"x")), ..Completion::default() };
        (recording.completion, recording.verified_at) = (Some(completion), Some(now()));
        for (bytes, verified_at) in [(b"x", Some(now())), (b"y", None)] {
            let media = recording.media.values_mut().next().unwrap();
            media.stored = Some(stored(bytes));
            assert_eq!(recording.content_sha256_verified_at(), verified_at);
        }
    }

    #[test]
    fn metadata_keeps_every_number_through_storage() {
        let mut stored = recording(&[]);
        stored.metadata =
            serde_json::from_str(r#"{"a": 0.1, "b": 12345678901234567, "c": [1e300, {"d": null}]}"#).unwrap();
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<Recording>(&text).unwrap(), stored);
    }
}
