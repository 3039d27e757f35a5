//! What a recording still owes, and when.

use serde::{Deserialize, Serialize};

use crate::{Media, PICK_UP_SECONDS, Recording, Status, Timestamp, URL_SECONDS};

/// How often processing is begun before it is given up.
pub const MAX_ATTEMPTS: u32 = 8;

/// Seconds after the end of its URL for which bytes that nobody could read are tried again.
const LOOKED_FOR_SECONDS: i64 = 24 * 3600;

/// Something that happened to a recording, told on the event bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// Its client said that all is sent.
    #[serde(rename = "recording.uploaded")]
    Uploaded,
    /// It was processed.
    #[serde(rename = "recording.completed")]
    Completed,
    /// It cannot be processed.
    #[serde(rename = "recording.failed")]
    Failed,
    /// A file of it arrived after its client had said that all is sent.
    #[serde(rename = "media.uploaded")]
    MediaUploaded,
}

impl EventType {
    /// The event's type, such as `recording.uploaded`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "recording.uploaded",
            Self::Completed => "recording.completed",
            Self::Failed => "recording.failed",
            Self::MediaUploaded => "media.uploaded",
        }
    }
}

/// The action that a recording owes once it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nobody completed it in time: delete it.
    Expire,
    /// See which of its files S3 holds, and what their bytes are.
    CheckObjects,
    /// Tell the bus again: what was told was never acted on, or whoever acted on it died.
    Announce(EventType),
    /// Processing died as often as it may: fail what is unprocessed.
    GiveUp,
    /// It was deleted: delete its objects.
    Purge,
    /// Its objects are gone and no URL for it works any more: delete its item.
    Forget,
    /// Nothing after all.
    Rest,
}

/// Seconds until what nobody has acted on since then is told again. What is told waits in one queue with what was told
/// before: while there are fewer workers than work, telling it often only makes the queue longer.
pub fn told_again_seconds(since: Timestamp, now: Timestamp) -> i64 {
    let waited = (now.milliseconds() - since.milliseconds()) / 1000;
    (waited / 4).clamp(PICK_UP_SECONDS, 1800)
}

impl Recording {
    /// What this recording owes now that it is due.
    pub fn work(&self, now: Timestamp) -> Work {
        if let Some(deleted_at) = self.deleted_at {
            let urls_ended = deleted_at.plus_seconds(2 * i64::from(URL_SECONDS)) <= now;
            return if urls_ended { Work::Forget } else { Work::Purge };
        }
        match self.status {
            Status::Pending if self.expires_at <= now => Work::Expire,
            Status::Pending => Work::CheckObjects,
            Status::Uploaded => Work::Announce(EventType::Uploaded),
            Status::Processing if self.attempts >= MAX_ATTEMPTS => Work::GiveUp,
            Status::Processing => Work::Announce(EventType::Uploaded),
            Status::Completed | Status::Failed => self.settled_work(now),
        }
    }

    fn settled_work(&self, now: Timestamp) -> Work {
        let is_looked_for =
            |media: &Media| media.is_unread() && now < media.url_expires_at.plus_seconds(LOOKED_FOR_SECONDS);
        if let Some(event_type) = self.event_type {
            Work::Announce(event_type)
        } else if self.media.values().any(Media::is_unprocessed) {
            if self.attempts >= MAX_ATTEMPTS { Work::GiveUp } else { Work::Announce(EventType::MediaUploaded) }
        } else if self.media.values().any(is_looked_for) {
            Work::CheckObjects
        } else {
            Work::Rest
        }
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
    fn a_pending_recording_expires_and_not_a_moment_before() {
        let pending = recording(Status::Pending);
        assert_eq!(pending.work(pending.expires_at.plus_seconds(-1)), Work::CheckObjects);
        assert_eq!(pending.work(pending.expires_at), Work::Expire);
    }

    #[test]
    fn processing_that_died_is_begun_again_a_bounded_number_of_times() {
        let mut processing = recording(Status::Processing);
        processing.attempts = MAX_ATTEMPTS - 1;
        assert_eq!(processing.work(now()), Work::Announce(EventType::Uploaded));
        processing.attempts = MAX_ATTEMPTS;
        assert_eq!(processing.work(now()), Work::GiveUp);
    }

    #[test]
    fn what_nobody_acts_on_is_told_again_after_a_quarter_of_its_time_and_within_half_an_hour() {
        let told_again = |waited| told_again_seconds(now(), now().plus_seconds(waited));
        assert_eq!([0, 480, 4_000, 7_200, 86_400].map(told_again), [120, 120, 1_000, 1_800, 1_800]);
    }

    #[test]
    fn bytes_that_nobody_could_read_are_looked_for_until_a_day_after_their_url() {
        let mut completed = recording(Status::Completed);
        let end = now().plus_seconds(3600);
        let media = Media::new("med_1".parse().unwrap(), crate::ContentType::ImagePng, end, now());
        completed.media.insert(media.id.clone(), media);
        assert_eq!(completed.work(end.plus_seconds(LOOKED_FOR_SECONDS - 1)), Work::CheckObjects);
        assert_eq!(completed.work(end.plus_seconds(LOOKED_FOR_SECONDS)), Work::Rest);
    }

    #[test]
    fn a_deleted_recording_is_remembered_until_its_urls_have_ended() {
        let mut deleted = recording(Status::Completed);
        deleted.deleted_at = Some(now());
        assert_eq!(deleted.work(now()), Work::Purge);
        assert_eq!(deleted.work(now().plus_seconds(7200)), Work::Forget);
    }

    #[test]
    fn a_settled_recording_owes_its_announcement_first_and_then_nothing() {
        let mut completed = recording(Status::Completed);
        completed.event_type = Some(EventType::Completed);
        assert_eq!(completed.work(now()), Work::Announce(EventType::Completed));
        completed.event_type = None;
        assert_eq!(completed.work(now()), Work::Rest);
    }

    #[test]
    fn every_state_that_is_not_final_is_due_at_some_time() {
        for status in [Status::Pending, Status::Uploaded, Status::Processing] {
            assert!(recording(status).due_at(now()).is_some(), "{status}");
        }
        assert_eq!(recording(Status::Completed).due_at(now()), None);
    }
}
