//! What the arrival of an object means for its recording.

use crate::{Media, MediaId, MediaState, Recording, Status, StoredObject};

/// What the arrival of an object means for its recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// The object was awaited, and the recording is pending: record it.
    InTime,
    /// The object was awaited, and the recording was completed without it: record it and process it.
    Late,
    /// The object is recorded already. Add what the earlier record did not have.
    Complements,
    /// The object overwrote one that is not processed yet: process this one.
    Replaces(&'a StoredObject),
    /// The object is recorded already, or a newer one is.
    Known,
    /// The object is not taken.
    Ignored(&'static str),
    /// The recording or the media file does not exist.
    Orphaned,
}

impl Recording {
    /// What it means that S3 holds `object` under the key of the media file.
    pub fn arrival(&self, media_id: &MediaId, object: &StoredObject) -> Arrival<'_> {
        let Some(media) = self.media.get(media_id).filter(|_| self.deleted_at.is_none()) else {
            return Arrival::Orphaned;
        };
        match &media.state {
            MediaState::Uploaded(uploaded) if uploaded.object.etag == object.etag => {
                complement(&uploaded.object, object)
            }
            MediaState::Uploaded(uploaded) => {
                let is_newer = object.sequencer > uploaded.object.sequencer;
                match (is_newer, self.status) {
                    (false, _) => Arrival::Known,
                    (true, Status::Pending) if media.expects_size(object.size_bytes) => Arrival::InTime,
                    (true, Status::Pending) => Arrival::Known,
                    (true, _) if uploaded.outcome.is_some() => Arrival::Ignored("other bytes were processed"),
                    (true, _) => Arrival::Replaces(&uploaded.object),
                }
            }
            MediaState::Awaited {} | MediaState::Rejected { .. } => self.awaited_arrival(media, object),
        }
    }

    fn awaited_arrival(&self, media: &Media, object: &StoredObject) -> Arrival<'_> {
        let is_rejected = media.last_object().is_some_and(|rejected| rejected.etag == object.etag);
        if !media.expects_size(object.size_bytes) {
            Arrival::Ignored("its size is not the declared one")
        } else if self.status == Status::Pending {
            // S3 may notify of a rejected object again.
            if is_rejected { Arrival::Known } else { Arrival::InTime }
        } else if has_other_hash(media, object) {
            Arrival::Ignored("its hash is not the declared one")
        } else {
            Arrival::Late
        }
    }
}

fn has_other_hash(media: &Media, object: &StoredObject) -> bool {
    object.sha256.zip(media.declared_sha256).is_some_and(|(stored, declared)| stored != declared)
}

fn complement<'a>(stored: &StoredObject, object: &StoredObject) -> Arrival<'a> {
    let has_nothing_to_add = object.sha256.is_none() && object.sequencer.is_none();
    let is_complete = stored.sha256.is_some() && stored.sequencer >= object.sequencer;
    if has_nothing_to_add || is_complete { Arrival::Known } else { Arrival::Complements }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ContentType, FileSize, Mode, ProcessingError, ProcessingErrorCode, Sequencer, Sha256, Tenant, Timestamp,
        UploadedObject,
    };

    fn now() -> Timestamp {
        Timestamp::from_milliseconds(1_736_931_600_000).unwrap()
    }

    fn object(etag: &str, sequencer: Option<&str>, hash: Option<&[u8]>) -> StoredObject {
        StoredObject {
            size_bytes: 10,
            etag: etag.to_owned(),
            sha256: hash.map(Sha256::of),
            md5: None,
            sequencer: sequencer.map(Sequencer::new),
            recorded_at: now(),
        }
    }

    fn id() -> MediaId {
        "med_1".parse().unwrap()
    }

    fn recording(status: Status, state: MediaState) -> Recording {
        let tenant = Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live };
        let mut recording = Recording::new("rec_1".parse().unwrap(), tenant, None, now());
        let media = Media {
            declared_size: Some(FileSize::new(10).unwrap()),
            declared_sha256: Some(Sha256::of(b"declared")),
            state,
            ..Media::new(id(), ContentType::AudioWav, now(), now())
        };
        recording.status = status;
        recording.media.insert(id(), media);
        recording
    }

    fn uploaded(object: StoredObject) -> MediaState {
        MediaState::Uploaded(UploadedObject::in_time(object))
    }

    fn processed(object: StoredObject) -> MediaState {
        let error = ProcessingError { code: ProcessingErrorCode::AudioCorrupt, message: String::new() };
        MediaState::Uploaded(UploadedObject { outcome: Some(Err(error)), ..UploadedObject::in_time(object) })
    }

    #[test]
    fn an_awaited_object_is_in_time_until_the_upload_is_complete() {
        for state in [MediaState::Awaited {}, MediaState::Rejected { object: object("a", Some("1"), None) }] {
            let arrival = |status| {
                recording(status, state.clone()).arrival(&id(), &object("b", Some("2"), None)) == Arrival::InTime
            };
            assert!(arrival(Status::Pending), "{state:?}");
            for status in [Status::Uploaded, Status::Processing, Status::Completed, Status::Failed] {
                let recording = recording(status, state.clone());
                assert_eq!(recording.arrival(&id(), &object("b", Some("2"), None)), Arrival::Late);
            }
        }
    }

    #[test]
    fn an_object_of_another_size_or_hash_is_ignored() {
        let larger = StoredObject { size_bytes: 11, ..object("a", None, None) };
        for status in [Status::Pending, Status::Completed] {
            let recording = recording(status, MediaState::Awaited {});
            assert!(matches!(recording.arrival(&id(), &larger), Arrival::Ignored(_)), "{status}");
        }
        let other = object("a", None, Some(b"other"));
        // While the recording is pending, completion compares the hashes.
        assert_eq!(recording(Status::Pending, MediaState::Awaited {}).arrival(&id(), &other), Arrival::InTime);
        let completed = recording(Status::Completed, MediaState::Awaited {});
        assert!(matches!(completed.arrival(&id(), &other), Arrival::Ignored(_)));
        assert_eq!(completed.arrival(&id(), &object("a", None, Some(b"declared"))), Arrival::Late);
    }

    #[test]
    fn a_rejected_object_is_not_taken_again() {
        let rejected = recording(Status::Pending, MediaState::Rejected { object: object("a", Some("1"), None) });
        assert_eq!(rejected.arrival(&id(), &object("a", Some("1"), None)), Arrival::Known);
    }

    #[test]
    fn the_notification_of_a_recorded_object_adds_its_hash() {
        let stored = object("a", None, None);
        let recording = recording(Status::Completed, uploaded(stored.clone()));
        assert_eq!(recording.arrival(&id(), &object("a", None, None)), Arrival::Known);
        let hashed = object("a", Some("1"), Some(b"declared"));
        assert_eq!(recording.arrival(&id(), &hashed), Arrival::Complements);
        let complete = self::recording(Status::Completed, uploaded(hashed.clone()));
        assert_eq!(complete.arrival(&id(), &hashed), Arrival::Known);
    }

    #[test]
    fn a_newer_object_replaces_one_that_is_not_processed() {
        let (older, newer) = (object("a", Some("1"), None), object("b", Some("2"), None));
        let arrival = |status, state, object: &StoredObject| match recording(status, state).arrival(&id(), object) {
            Arrival::InTime => "in time",
            Arrival::Replaces(_) => "replaces",
            Arrival::Known => "known",
            Arrival::Ignored(_) => "ignored",
            other => panic!("{other:?}"),
        };
        assert_eq!(arrival(Status::Pending, uploaded(older.clone()), &newer), "in time");
        assert_eq!(arrival(Status::Pending, uploaded(newer.clone()), &older), "known");
        assert_eq!(arrival(Status::Uploaded, uploaded(older.clone()), &newer), "replaces");
        assert_eq!(arrival(Status::Uploaded, uploaded(newer.clone()), &older), "known");
        assert_eq!(arrival(Status::Completed, processed(older), &newer), "ignored");
    }

    #[test]
    fn an_object_without_a_recording_or_media_file_is_orphaned() {
        let mut deleted = recording(Status::Pending, MediaState::Awaited {});
        assert_eq!(deleted.arrival(&"med_2".parse().unwrap(), &object("a", None, None)), Arrival::Orphaned);
        deleted.deleted_at = Some(now());
        assert_eq!(deleted.arrival(&id(), &object("a", None, None)), Arrival::Orphaned);
    }
}
