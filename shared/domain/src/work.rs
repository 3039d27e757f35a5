//! Due work of a recording: which action is due, and when.

use serde::{Deserialize, Serialize};

use crate::{Media, PICK_UP_SECONDS, Recording, Status, Timestamp, URL_SECONDS};

/// Attempts after which processing is given up.
pub const MAX_ATTEMPTS: u32 = 8;

/// Seconds after the expiry of its upload URL for which an object that is not hashed yet is looked for.
const LOOKED_FOR_SECONDS: i64 = 24 * 3600;

/// An event of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// Its upload was completed.
    #[serde(rename = "recording.uploaded")]
    Uploaded,
    /// It was processed.
    #[serde(rename = "recording.completed")]
    Completed,
    /// It cannot be processed.
    #[serde(rename = "recording.failed")]
    Failed,
    /// A file of it arrived after its upload was completed.
    #[serde(rename = "media.uploaded")]
    MediaUploaded,
}

impl EventType {
    /// The `type` of the event, such as `recording.uploaded`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "recording.uploaded",
            Self::Completed => "recording.completed",
            Self::Failed => "recording.failed",
            Self::MediaUploaded => "media.uploaded",
        }
    }
}

/// The action that is due for a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nobody completed the upload in time: delete the recording.
    Expire,
    /// Look in S3 for objects that are awaited or not hashed.
    CheckObjects,
    /// Publish an event, for the first time or because nothing followed from it.
    Publish(EventType),
    /// Processing failed [`MAX_ATTEMPTS`] times: fail the unprocessed files.
    GiveUp,
    /// The recording is deleted: delete its objects.
    DeleteObjects,
    /// Its objects are deleted and its URLs have expired: delete its item.
    DeleteItem,
    /// No action.
    Nothing,
}

/// Seconds until an event is published again that nothing has followed from since `since`. Events wait in one queue: while
/// there is more work than workers, publishing often only makes the queue longer.
pub fn republish_seconds(since: Timestamp, now: Timestamp) -> i64 {
    let waited = (now.milliseconds() - since.milliseconds()) / 1000;
    (waited / 4).clamp(PICK_UP_SECONDS, 1800)
}

/// When the sweep checks whether anything followed from an event that is published at `now`.
pub fn due_after_publish(now: Timestamp) -> Timestamp {
    now.plus_seconds(PICK_UP_SECONDS)
}

impl Recording {
    /// The action that is due now.
    pub fn work(&self, now: Timestamp) -> Work {
        if let Some(deleted_at) = self.deleted_at {
            let urls_expired = deleted_at.plus_seconds(2 * i64::from(URL_SECONDS)) <= now;
            return if urls_expired { Work::DeleteItem } else { Work::DeleteObjects };
        }
        match self.status {
            Status::Pending if self.upload.expires_at <= now => Work::Expire,
            Status::Pending => Work::CheckObjects,
            Status::Uploaded => Work::Publish(EventType::Uploaded),
            Status::Processing if self.processing.attempts >= MAX_ATTEMPTS => Work::GiveUp,
            Status::Processing => Work::Publish(EventType::Uploaded),
            Status::Completed | Status::Failed => self.work_after_end(now),
        }
    }

    fn work_after_end(&self, now: Timestamp) -> Work {
        let is_looked_for =
            |media: &Media| media.is_unread() && now < media.url_expires_at.plus_seconds(LOOKED_FOR_SECONDS);
        if let Some(event_type) = self.processing.event_type {
            Work::Publish(event_type)
        } else if self.media.values().any(Media::is_unprocessed) {
            let is_given_up = self.processing.attempts >= MAX_ATTEMPTS;
            if is_given_up { Work::GiveUp } else { Work::Publish(EventType::MediaUploaded) }
        } else if self.media.values().any(is_looked_for) {
            Work::CheckObjects
        } else {
            Work::Nothing
        }
    }

    /// When the next action is due, after a change made at `now`. `None` when none is.
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.deleted_at.is_some() {
            return Some(now);
        }
        match self.status {
            Status::Pending => Some(self.upload.expires_at),
            Status::Uploaded | Status::Processing => Some(due_after_publish(now)),
            Status::Completed | Status::Failed => self.due_after_end(now),
        }
    }

    fn due_after_end(&self, now: Timestamp) -> Option<Timestamp> {
        if self.processing.event_type.is_some() || self.media.values().any(Media::is_unprocessed) {
            return Some(due_after_publish(now));
        }
        // In the past or not: the notification of the object, or its reader, may have failed. The sweep looks once.
        self.media.values().filter(|media| media.is_unread()).map(|media| media.url_expires_at).max()
    }

    /// As [`Self::due_at`], after late files were processed. The worker may die before it requests the transcription of
    /// late audio, so the sweep looks again.
    pub fn due_after_late_processing(&self, now: Timestamp) -> Option<Timestamp> {
        if self.has_late_audio() { Some(due_after_publish(now)) } else { self.due_at(now) }
    }

    /// When processing is tried again after a transient error: after 2, 4, 8 minutes and so on, so that the attempts
    /// outlast an outage of hours.
    pub fn retry_at(&self, now: Timestamp) -> Timestamp {
        now.plus_seconds(60 << self.processing.attempts.min(MAX_ATTEMPTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Tenant};

    fn now() -> Timestamp {
        Timestamp::from_milliseconds(1_736_931_600_000).unwrap()
    }

    fn recording(status: Status) -> Recording {
        let tenant = Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live };
        let mut recording = Recording::new("rec_1".parse().unwrap(), tenant, Some("eu_1".parse().unwrap()), now());
        recording.status = status;
        recording
    }

    #[test]
    fn a_pending_recording_expires_when_its_time_is_over() {
        let pending = recording(Status::Pending);
        assert_eq!(pending.work(pending.upload.expires_at.plus_seconds(-1)), Work::CheckObjects);
        assert_eq!(pending.work(pending.upload.expires_at), Work::Expire);
    }

    #[test]
    fn processing_is_given_up_after_8_attempts() {
        let mut processing = recording(Status::Processing);
        processing.processing.attempts = MAX_ATTEMPTS - 1;
        assert_eq!(processing.work(now()), Work::Publish(EventType::Uploaded));
        processing.processing.attempts = MAX_ATTEMPTS;
        assert_eq!(processing.work(now()), Work::GiveUp);
    }

    #[test]
    fn an_event_is_republished_after_a_quarter_of_its_age() {
        let republished = |waited| republish_seconds(now(), now().plus_seconds(waited));
        assert_eq!([0, 480, 4_000, 7_200, 86_400].map(republished), [120, 120, 1_000, 1_800, 1_800]);
    }

    #[test]
    fn retries_an_unread_object_for_a_day_after_its_url_expires() {
        let mut completed = recording(Status::Completed);
        let end = now().plus_seconds(3600);
        let media = Media::new("med_1".parse().unwrap(), crate::ContentType::ImagePng, end, now());
        completed.media.insert(media.id.clone(), media);
        assert_eq!(completed.work(end.plus_seconds(LOOKED_FOR_SECONDS - 1)), Work::CheckObjects);
        assert_eq!(completed.work(end.plus_seconds(LOOKED_FOR_SECONDS)), Work::Nothing);
    }

    #[test]
    fn a_deleted_recording_is_kept_until_its_urls_expire() {
        let mut deleted = recording(Status::Completed);
        deleted.deleted_at = Some(now());
        assert_eq!(deleted.work(now()), Work::DeleteObjects);
        assert_eq!(deleted.work(now().plus_seconds(7200)), Work::DeleteItem);
    }

    #[test]
    fn an_ended_recording_publishes_its_event_and_then_nothing() {
        let mut completed = recording(Status::Completed);
        completed.processing.event_type = Some(EventType::Completed);
        assert_eq!(completed.work(now()), Work::Publish(EventType::Completed));
        completed.processing.event_type = None;
        assert_eq!(completed.work(now()), Work::Nothing);
    }

    #[test]
    fn every_status_before_the_end_is_due() {
        for status in [Status::Pending, Status::Uploaded, Status::Processing] {
            assert!(recording(status).due_at(now()).is_some(), "{status}");
        }
        assert_eq!(recording(Status::Completed).due_at(now()), None);
    }
}
