//! A transcription: the job of making text of a recording, and the arrows between its states.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Chunk, ChunkNumber, ChunkStatus, Error, Language, Lease, MAX_ATTEMPTS, MeetingStatus, MeetingTranscription, Offset,
    PICK_UP_SECONDS, ProviderName, Recording, RecordingId, Status, Tenant, Timestamp, Transcript, TranscriptionId,
};

/// How many transcriptions one recording has at most.
pub const MAX_TRANSCRIPTIONS: usize = 100;
/// Seconds for which a worker holds a transcription: a little more than its function may run.
pub const TRANSCRIPTION_LEASE_SECONDS: i64 = 930;
/// Seconds after which a provider that was given a job and never told of it is given up.
const PATIENCE_SECONDS: i64 = 24 * 3600;

/// Where a transcription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TranscriptionStatus {
    /// Asked for.
    Pending,
    /// A provider has it, or is being given it.
    Processing,
    /// Its text is there.
    Completed,
    /// There will be none; `error` says why.
    Failed,
}

impl TranscriptionStatus {
    /// Every state there is.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Processing, Self::Completed, Self::Failed];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether there is an arrow from this state to that one. A failed transcription is not taken up again: another
    /// attempt is another transcription.
    pub fn leads_to(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::Processing | Self::Failed) | (Self::Processing, Self::Completed | Self::Failed)
        )
    }

    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

impl fmt::Display for TranscriptionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranscriptionErrorCode {
    /// Less than a second of sound, or less than the provider needs.
    AudioTooShort,
    /// The sound cannot be read.
    AudioCorrupt,
    /// The provider takes no such format, language or size.
    UnsupportedFormat,
    /// The deployment has no such provider, or the provider refuses the deployment's key.
    ProviderNotConfigured,
    /// The provider failed, time and again.
    ProcessingError,
}

impl TranscriptionErrorCode {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AudioTooShort => "audio_too_short",
            Self::AudioCorrupt => "audio_corrupt",
            Self::UnsupportedFormat => "unsupported_format",
            Self::ProviderNotConfigured => "provider_not_configured",
            Self::ProcessingError => "processing_error",
        }
    }
}

/// Why a transcription failed, in words that a person understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptionError {
    /// For programs.
    pub code: TranscriptionErrorCode,
    /// For people.
    pub message: String,
}

impl TranscriptionError {
    /// An error of that code in these words.
    pub fn new(code: TranscriptionErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for TranscriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

/// What is asked of a transcription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptionOptions {
    /// Who transcribes. The deployment's preferred provider unless given.
    pub provider: Option<ProviderName>,
    /// The language that is spoken. The provider finds out unless given.
    pub language: Option<Language>,
    /// Whether to tell the speakers apart, where the provider can.
    pub diarization: bool,
}

impl Default for TranscriptionOptions {
    fn default() -> Self {
        Self { provider: None, language: None, diarization: true }
    }
}

/// Where the text of a transcription is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TranscriptLocation {
    /// In the item itself.
    Item(#[serde(with = "as_json")] Transcript),
    /// In an object of the transcription's own.
    Object,
}

/// An item of DynamoDB's holds 400 kB; what is kept beside the text takes the rest.
const MAX_ITEM_TRANSCRIPT_BYTES: usize = 300_000;

impl TranscriptLocation {
    /// Where this transcript is to be kept.
    pub fn of(transcript: &Transcript) -> Self {
        match serde_json::to_string(transcript) {
            Ok(text) if text.len() <= MAX_ITEM_TRANSCRIPT_BYTES => Self::Item(transcript.clone()),
            _ => Self::Object,
        }
    }
}

/// A transcript as text: an attribute of its own for each word's time would be three times as large.
mod as_json {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Transcript;

    pub(super) fn serialize<S: Serializer>(transcript: &Transcript, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(transcript).map_err(serde::ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Transcript, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Something that happened to a transcription, told on the event bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TranscriptionEventType {
    /// It waits for somebody to take it up: for the first time, or again.
    #[serde(rename = "transcription.due")]
    Due,
    /// Somebody did.
    #[serde(rename = "transcription.started")]
    Started,
    /// Its text is there.
    #[serde(rename = "transcription.completed")]
    Completed,
    /// There will be none.
    #[serde(rename = "transcription.failed")]
    Failed,
}

impl TranscriptionEventType {
    /// The event's type, such as `transcription.completed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "transcription.due",
            Self::Started => "transcription.started",
            Self::Completed => "transcription.completed",
            Self::Failed => "transcription.failed",
        }
    }
}

/// The action that a transcription owes once it is due.
#[derive(Clone, Debug, PartialEq)]
pub enum TranscriptionWork {
    /// Tell the bus.
    Announce(TranscriptionEventType),
    /// It was tried as often, or waited for as long, as it may be: fail it.
    GiveUp(TranscriptionError),
    /// Nothing after all.
    Rest,
}

/// A job: text is to be made of the sound of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcription {
    /// Its identifier. Later transcriptions sort after earlier ones.
    pub id: TranscriptionId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Of which recording; `None` where a worker made it of a sound of its own.
    pub recording_id: Option<RecordingId>,
    /// What Scoot-shaped workers told of it.
    pub meeting: Option<MeetingTranscription>,
    /// Where it stands.
    pub status: TranscriptionStatus,
    /// What was asked for.
    pub options: TranscriptionOptions,
    /// The chunks that were given to the provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chunks: BTreeMap<ChunkNumber, Chunk>,
    /// The language that was spoken, once it is known.
    pub language: Option<Language>,
    /// How long the sound is.
    pub duration: Option<Offset>,
    /// How many words were said.
    pub word_count: Option<usize>,
    /// Where the text is.
    pub transcript: Option<TranscriptLocation>,
    /// Why there is none.
    pub error: Option<TranscriptionError>,
    /// How often it was taken up since its provider was last heard of.
    #[serde(default, skip_serializing_if = "crate::recording::is_zero")]
    pub attempts: u32,
    /// Who is at it.
    pub lease: Option<Lease>,
    /// What is still to be event_published.
    pub event_type: Option<TranscriptionEventType>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was first taken up.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When anything about it last changed.
    pub updated_at: Timestamp,
}

impl Transcription {
    /// A new transcription of a recording that can have one.
    ///
    /// # Errors
    /// [`Error::Conflict`] while the recording is not processed yet; [`Error::NotTranscribable`] when it failed or has no
    /// sound.
    pub fn new(
        id: TranscriptionId,
        recording: &Recording,
        options: TranscriptionOptions,
        now: Timestamp,
    ) -> Result<Self, Error> {
        match recording.status {
            Status::Completed => recording.sound()?,
            Status::Failed => return Err(Error::NotTranscribable(recording.failure())),
            Status::Pending | Status::Uploaded | Status::Processing => {
                let reason = format!("the recording is {}; only a completed one can be transcribed", recording.status);
                return Err(Error::Conflict { reason });
            }
        };
        let tenant = recording.tenant.clone();
        Ok(Self { options, ..Self::unchecked(id, tenant, Some(recording.id.clone()), now) })
    }

    fn unchecked(id: TranscriptionId, tenant: Tenant, recording_id: Option<RecordingId>, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            recording_id,
            meeting: None,
            status: TranscriptionStatus::Pending,
            options: TranscriptionOptions::default(),
            chunks: BTreeMap::new(),
            language: None,
            duration: None,
            word_count: None,
            transcript: None,
            error: None,
            attempts: 0,
            lease: None,
            event_type: None,
            created_at: now,
            started_at: None,
            completed_at: None,
            updated_at: now,
        }
    }

    /// A transcription that a worker tells of.
    pub fn told(id: TranscriptionId, tenant: Tenant, meeting: MeetingTranscription, now: Timestamp) -> Self {
        Self { meeting: Some(meeting), ..Self::unchecked(id, tenant, None, now) }
            .moved_to(MeetingStatus::Processing, now)
    }

    /// The same as a worker says that it stands now. What stands so already is not told of again.
    #[must_use]
    pub fn moved_to(self, status: MeetingStatus, now: Timestamp) -> Self {
        let (status, event_type) = match status {
            MeetingStatus::Processing => (TranscriptionStatus::Processing, TranscriptionEventType::Started),
            MeetingStatus::Complete => (TranscriptionStatus::Completed, TranscriptionEventType::Completed),
            MeetingStatus::Failed => (TranscriptionStatus::Failed, TranscriptionEventType::Failed),
        };
        if self.status == status {
            return self;
        }
        let has_failed = status == TranscriptionStatus::Failed;
        let failed = || "The worker that makes it reported that it failed";
        Self {
            status,
            event_type: Some(event_type),
            error: has_failed.then(|| TranscriptionError::new(TranscriptionErrorCode::ProcessingError, failed())),
            started_at: self.started_at.or(Some(now)),
            completed_at: status.is_end().then_some(now),
            ..self
        }
    }

    /// The transcription that was looked for, if there is one and it is this tenant's.
    ///
    /// # Errors
    /// [`Error::NotFound`] otherwise.
    pub fn of(tenant: &Tenant, found: Option<Self>) -> Result<Self, Error> {
        found.filter(|found| found.tenant == *tenant).ok_or(Error::NotFound { what: "transcription" })
    }

    /// As it was answered to who asked for it, whatever became of it since.
    #[must_use]
    pub fn as_created(self) -> Self {
        let Self { id, tenant, recording_id, options, created_at, .. } = self;
        Self { options, ..Self::unchecked(id, tenant, recording_id, created_at) }
    }

    /// Asks whether another transcription of the same recording may begin.
    ///
    /// # Errors
    /// [`Error::Conflict`] while this one is under way.
    pub fn require_ended(&self) -> Result<(), Error> {
        if self.status.is_end() {
            return Ok(());
        }
        let reason = format!("the recording's transcription {} is {}; wait for its end", self.id, self.status);
        Err(Error::Conflict { reason })
    }

    /// Asks whether there is a text.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is none yet, or there never will be.
    pub fn require_completed(&self) -> Result<(), Error> {
        if self.status == TranscriptionStatus::Completed {
            return Ok(());
        }
        let reason = format!("the transcription is {}; only a completed one has a text", self.status);
        Err(Error::Conflict { reason })
    }

    /// Whether the text of every chunk is there.
    pub fn is_heard(&self) -> bool {
        !self.chunks.is_empty() && self.chunks.values().all(|chunk| chunk.standing == ChunkStatus::Done)
    }

    /// When a provider that was given the chunks is next asked how they stand: the longer it takes, the more rarely.
    pub fn ask_at(&self, now: Timestamp) -> Timestamp {
        let waited = self.started_at.map_or(0, |at| (now.milliseconds() - at.milliseconds()) / 1000);
        now.plus_seconds((waited / 4).clamp(60, 900))
    }

    /// When another attempt is made after one that failed in passing: after 2, 4, 8 minutes and so on, or when the
    /// provider says.
    pub fn retry_at(&self, now: Timestamp, asked_seconds: Option<u64>) -> Timestamp {
        let asked = asked_seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0);
        now.plus_seconds((60_i64 << self.attempts.min(MAX_ATTEMPTS)).max(asked))
    }

    /// When it next owes an action after the change that was made now.
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let owes = self.meeting.is_none() || self.event_type.is_some();
        owes.then(|| now.plus_seconds(PICK_UP_SECONDS))
    }

    /// What it owes now that it is due.
    pub fn work(&self, now: Timestamp) -> TranscriptionWork {
        use TranscriptionEventType::Due;
        let failed = |message: String| {
            TranscriptionWork::GiveUp(TranscriptionError::new(TranscriptionErrorCode::ProcessingError, message))
        };
        // Who tells of it works on it, however long that takes.
        if self.meeting.is_some() {
            return self.event_type.map_or(TranscriptionWork::Rest, TranscriptionWork::Announce);
        }
        let waited_enough = |at: Timestamp| at.plus_seconds(PATIENCE_SECONDS) <= now;
        match self.status {
            TranscriptionStatus::Pending => TranscriptionWork::Announce(Due),
            TranscriptionStatus::Processing if self.started_at.is_some_and(waited_enough) => {
                failed("The provider did not tell the result within a day.".to_owned())
            }
            TranscriptionStatus::Processing if self.attempts >= MAX_ATTEMPTS => {
                failed(format!("It was begun {} times and never ended.", self.attempts))
            }
            TranscriptionStatus::Processing => TranscriptionWork::Announce(Due),
            TranscriptionStatus::Completed | TranscriptionStatus::Failed => {
                self.event_type.map_or(TranscriptionWork::Rest, TranscriptionWork::Announce)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    fn now() -> Timestamp {
        Timestamp::from_milliseconds(1_736_931_600_000).unwrap()
    }

    fn processing(attempts: u32) -> Transcription {
        let tenant = Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live };
        let recording_id: RecordingId = "rec_1".parse().unwrap();
        Transcription {
            status: TranscriptionStatus::Processing,
            attempts,
            started_at: Some(now()),
            ..Transcription::unchecked("txn_1".parse().unwrap(), tenant, Some(recording_id), now())
        }
    }

    #[test]
    fn an_end_is_an_end_and_only_processing_completes() {
        use TranscriptionStatus::{Completed, Failed, Pending, Processing};
        let arrows: Vec<_> = TranscriptionStatus::ALL
            .into_iter()
            .flat_map(|from| TranscriptionStatus::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from.leads_to(*to))
            .collect();
        assert_eq!(arrows, [(Pending, Processing), (Pending, Failed), (Processing, Completed), (Processing, Failed)]);
        assert!(arrows.iter().all(|(from, _)| !from.is_end()));
    }

    #[test]
    fn only_an_ended_one_makes_way_and_only_a_completed_one_has_a_text() {
        let allows = TranscriptionStatus::ALL.map(|status| {
            let transcription = Transcription { status, ..processing(1) };
            (transcription.require_ended().is_ok(), transcription.require_completed().is_ok())
        });
        assert_eq!(allows, [(false, false), (false, false), (true, true), (true, false)]);
    }

    #[test]
    fn what_was_answered_to_who_asked_tells_nothing_of_what_came_after() {
        let options = TranscriptionOptions { provider: Some(ProviderName::Aws), ..TranscriptionOptions::default() };
        let asked = Transcription {
            options,
            status: TranscriptionStatus::Pending,
            started_at: None,
            attempts: 0,
            ..processing(1)
        };
        let ended = Transcription {
            status: TranscriptionStatus::Completed,
            completed_at: Some(now().plus_seconds(9)),
            updated_at: now().plus_seconds(9),
            word_count: Some(3),
            ..asked.clone()
        };
        assert_eq!(ended.as_created(), asked);
    }

    #[test]
    fn what_never_ends_is_given_up_after_eight_attempts_or_a_day() {
        use TranscriptionEventType::Due;
        let gives_up =
            |transcription: &Transcription, at| matches!(transcription.work(at), TranscriptionWork::GiveUp(_));
        assert_eq!(processing(MAX_ATTEMPTS - 1).work(now()), TranscriptionWork::Announce(Due));
        assert!(gives_up(&processing(MAX_ATTEMPTS), now()));
        assert!(!gives_up(&processing(1), now().plus_seconds(PATIENCE_SECONDS - 1)));
        assert!(gives_up(&processing(1), now().plus_seconds(PATIENCE_SECONDS)));
    }

    #[test]
    fn a_provider_is_asked_the_more_rarely_the_longer_it_takes() {
        let asked_after = |waited| {
            let at = now().plus_seconds(waited);
            (processing(1).ask_at(at).milliseconds() - at.milliseconds()) / 1000
        };
        assert_eq!([0, 239, 400, 3600, 40_000].map(asked_after), [60, 60, 100, 900, 900]);
    }

    #[test]
    fn another_attempt_waits_longer_each_time_and_as_long_as_the_provider_says() {
        let waits = |attempts, asked| {
            (processing(attempts).retry_at(now(), asked).milliseconds() - now().milliseconds()) / 1000
        };
        assert_eq!([1, 2, 3, 8, 40].map(|attempts| waits(attempts, None)), [120, 240, 480, 15_360, 15_360]);
        assert_eq!((waits(1, Some(600)), waits(1, Some(5))), (600, 120));
    }

    #[test]
    fn a_long_transcript_is_kept_in_an_object_of_its_own() {
        let said = |count: usize| {
            let segment = crate::Segment {
                text: "x".repeat(1000),
                speaker: None,
                start: Offset::default(),
                end: Offset::default(),
                confidence: None,
            };
            Transcript::new(None, Offset::default(), vec![segment; count])
        };
        assert!(matches!(TranscriptLocation::of(&said(200)), TranscriptLocation::Item(_)));
        assert_eq!(TranscriptLocation::of(&said(300)), TranscriptLocation::Object);
    }
}
