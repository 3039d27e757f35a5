//! A transcription job: its status, its transitions and its due work.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Chunk, ChunkNumber, ChunkStatus, Error, Language, Lease, MAX_ATTEMPTS, MeetingStatus, MeetingTranscription, Offset,
    ProviderName, Recording, RecordingId, Status, Tenant, Timestamp, Transcript, TranscriptionId, due_after_publish,
};

/// Most transcriptions of one recording.
pub const MAX_TRANSCRIPTIONS: usize = 100;
/// Seconds of a job runner's lease: a little more than the timeout of its function.
pub const TRANSCRIPTION_LEASE_SECONDS: i64 = 930;
/// Seconds after which a job is given up whose provider does not return a result.
const GIVE_UP_SECONDS: i64 = 24 * 3600;

/// Status of a transcription in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TranscriptionStatus {
    /// Requested.
    Pending,
    /// Sent, or being sent, to a provider.
    Processing,
    /// The transcript is available.
    Completed,
    /// It failed; `error` says why.
    Failed,
}

impl TranscriptionStatus {
    /// Every status.
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

    /// Whether there is a transition to `next`. A failed transcription stays failed: another attempt is another
    /// transcription.
    pub fn leads_to(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::Processing | Self::Failed) | (Self::Processing, Self::Completed | Self::Failed)
        )
    }

    /// Whether it is final.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

impl fmt::Display for TranscriptionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a transcription failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranscriptionErrorCode {
    /// The audio is shorter than a second, or than the provider requires.
    AudioTooShort,
    /// The audio cannot be decoded.
    AudioCorrupt,
    /// The provider does not accept the format, the language or the size.
    UnsupportedFormat,
    /// The deployment has no such provider, or the provider rejects the deployment's API key.
    ProviderNotConfigured,
    /// The provider failed at every attempt.
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

/// Why a transcription failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptionError {
    /// For programs.
    pub code: TranscriptionErrorCode,
    /// For people.
    pub message: String,
}

impl TranscriptionError {
    /// An error with this code and message.
    pub fn new(code: TranscriptionErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for TranscriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

/// Options of a transcription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptionOptions {
    /// The provider; `None` for the deployment's preferred one.
    pub provider: Option<ProviderName>,
    /// The spoken language; `None` for detection by the provider.
    pub language: Option<Language>,
    /// Whether to label speakers, if the provider supports it.
    pub diarization: bool,
}

impl Default for TranscriptionOptions {
    fn default() -> Self {
        Self { provider: None, language: None, diarization: true }
    }
}

/// Where a transcript is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TranscriptLocation {
    /// With the transcription.
    Item(#[serde(with = "as_json")] Transcript),
    /// In an object of its own.
    Object,
}

/// A transcript as JSON text, a third of the size of its nested form.
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

/// An event of a transcription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TranscriptionEventType {
    /// A job runner is to claim it, for the first time or again.
    #[serde(rename = "transcription.due")]
    Due,
    /// A job runner claimed it for the first time.
    #[serde(rename = "transcription.started")]
    Started,
    /// The transcript is available.
    #[serde(rename = "transcription.completed")]
    Completed,
    /// It failed.
    #[serde(rename = "transcription.failed")]
    Failed,
}

impl TranscriptionEventType {
    /// The `type` of the event, such as `transcription.completed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "transcription.due",
            Self::Started => "transcription.started",
            Self::Completed => "transcription.completed",
            Self::Failed => "transcription.failed",
        }
    }
}

/// The action that is due for a transcription.
#[derive(Clone, Debug, PartialEq)]
pub enum TranscriptionWork {
    /// Publish an event.
    Publish(TranscriptionEventType),
    /// It was tried too often, or takes too long: fail it.
    GiveUp(TranscriptionError),
    /// No action.
    Nothing,
}

/// A transcription job: audio of a recording to text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcription {
    /// Its identifier. Later transcriptions sort after earlier ones.
    pub id: TranscriptionId,
    /// Project and mode that own it. Requests outside them get 404.
    pub tenant: Tenant,
    /// The recording; `None` for a meeting transcription.
    pub recording_id: Option<RecordingId>,
    /// What meeting workers sent of it, if it is a meeting transcription.
    pub meeting: Option<MeetingTranscription>,
    /// Its status.
    pub status: TranscriptionStatus,
    /// Its options.
    pub options: TranscriptionOptions,
    /// The chunks that are sent to the provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chunks: BTreeMap<ChunkNumber, Chunk>,
    /// The spoken language, once it is known.
    pub language: Option<Language>,
    /// Duration of the audio.
    pub duration: Option<Offset>,
    /// Number of words in the transcript.
    pub word_count: Option<usize>,
    /// Where the transcript is stored.
    pub transcript: Option<TranscriptLocation>,
    /// Why it failed.
    pub error: Option<TranscriptionError>,
    /// Attempts since the provider last returned a result.
    #[serde(default, skip_serializing_if = "crate::recording::is_zero")]
    pub attempts: u32,
    /// The attempt that is under way.
    pub lease: Option<Lease>,
    /// The event that is still to be published.
    pub event_type: Option<TranscriptionEventType>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Transcription {
    /// A transcription of a completed recording.
    ///
    /// # Errors
    /// [`Error::Conflict`] while the recording is not processed; [`Error::NotTranscribable`] when it failed or has no
    /// audio.
    pub fn new(
        id: TranscriptionId,
        recording: &Recording,
        options: TranscriptionOptions,
        now: Timestamp,
    ) -> Result<Self, Error> {
        match recording.status {
            Status::Completed => recording.primary_audio()?,
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

    /// A transcription that a meeting worker makes.
    pub fn by_meeting_worker(
        id: TranscriptionId,
        tenant: Tenant,
        meeting: MeetingTranscription,
        now: Timestamp,
    ) -> Self {
        Self { meeting: Some(meeting), ..Self::unchecked(id, tenant, None, now) }
            .with_meeting_status(MeetingStatus::Processing, now)
    }

    /// The transcription with a status that a meeting worker reports. No event is published if the status is unchanged.
    #[must_use]
    pub fn with_meeting_status(self, status: MeetingStatus, now: Timestamp) -> Self {
        let (status, event_type) = match status {
            MeetingStatus::Processing => (TranscriptionStatus::Processing, TranscriptionEventType::Started),
            MeetingStatus::Complete => (TranscriptionStatus::Completed, TranscriptionEventType::Completed),
            MeetingStatus::Failed => (TranscriptionStatus::Failed, TranscriptionEventType::Failed),
        };
        if self.status == status {
            return self;
        }
        let has_failed = status == TranscriptionStatus::Failed;
        let failed = || "The meeting worker reported that it failed";
        Self {
            status,
            event_type: Some(event_type),
            error: has_failed.then(|| TranscriptionError::new(TranscriptionErrorCode::ProcessingError, failed())),
            started_at: self.started_at.or(Some(now)),
            completed_at: status.is_end().then_some(now),
            ..self
        }
    }

    /// The transcription that was read, if it exists and belongs to this tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] otherwise.
    pub fn of(tenant: &Tenant, found: Option<Self>) -> Result<Self, Error> {
        found.filter(|found| found.tenant == *tenant).ok_or(Error::NotFound { what: "transcription" })
    }

    /// The transcription as the creating request was answered, without what changed since.
    #[must_use]
    pub fn as_created(self) -> Self {
        let Self { id, tenant, recording_id, options, created_at, .. } = self;
        Self { options, ..Self::unchecked(id, tenant, recording_id, created_at) }
    }

    /// Checks that another transcription of the same recording may be created.
    ///
    /// # Errors
    /// [`Error::Conflict`] while this one is pending or processing.
    pub fn require_ended(&self) -> Result<(), Error> {
        if self.status.is_end() {
            return Ok(());
        }
        let reason = format!("the recording's transcription {} is {}; wait for its end", self.id, self.status);
        Err(Error::Conflict { reason })
    }

    /// Checks that there is a transcript.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not completed.
    pub fn require_completed(&self) -> Result<(), Error> {
        if self.status == TranscriptionStatus::Completed {
            return Ok(());
        }
        let reason = format!("the transcription is {}; only a completed one has a transcript", self.status);
        Err(Error::Conflict { reason })
    }

    /// Whether a provider may report on this job: it was given to that provider, for that recording, as that chunk;
    /// `None` if the audio is not cut. A provider knows how to sign for every job, also for those of another provider.
    pub fn awaits(&self, provider: ProviderName, recording_id: &RecordingId, chunk: Option<ChunkNumber>) -> bool {
        let is_planned = match chunk {
            None => self.chunks.len() == 1,
            Some(number) => self.chunks.len() > 1 && self.chunks.contains_key(&number),
        };
        !self.status.is_end()
            && self.options.provider == Some(provider)
            && self.recording_id.as_ref() == Some(recording_id)
            && is_planned
    }

    /// Whether every chunk is transcribed.
    pub fn has_all_chunks(&self) -> bool {
        !self.chunks.is_empty() && self.chunks.values().all(|chunk| chunk.status == ChunkStatus::Done)
    }

    /// When the provider is polled next: the longer the job takes, the less often.
    pub fn poll_at(&self, now: Timestamp) -> Timestamp {
        let waited = self.started_at.map_or(0, |at| (now.milliseconds() - at.milliseconds()) / 1000);
        now.plus_seconds((waited / 4).clamp(60, 900))
    }

    /// When another attempt follows a transient error: after 2, 4, 8 minutes and so on, or after `asked_seconds`, which the
    /// provider asks for.
    pub fn retry_at(&self, now: Timestamp, asked_seconds: Option<u64>) -> Timestamp {
        let asked = asked_seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0);
        now.plus_seconds((60_i64 << self.attempts.min(MAX_ATTEMPTS)).max(asked))
    }

    /// When the next action is due, after a change made at `now`. `None` when none is.
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        // No action is due for a meeting transcription but its event.
        let has_work = self.meeting.is_none() || self.event_type.is_some();
        has_work.then(|| due_after_publish(now))
    }

    /// The action that is due now.
    pub fn work(&self, now: Timestamp) -> TranscriptionWork {
        use TranscriptionEventType::Due;
        let failed = |message: String| {
            TranscriptionWork::GiveUp(TranscriptionError::new(TranscriptionErrorCode::ProcessingError, message))
        };
        // Its meeting worker may take any time.
        if self.meeting.is_some() {
            return self.event_type.map_or(TranscriptionWork::Nothing, TranscriptionWork::Publish);
        }
        let waited_enough = |at: Timestamp| at.plus_seconds(GIVE_UP_SECONDS) <= now;
        match self.status {
            TranscriptionStatus::Pending => TranscriptionWork::Publish(Due),
            TranscriptionStatus::Processing if self.started_at.is_some_and(waited_enough) => {
                failed("The provider did not return a result within a day.".to_owned())
            }
            TranscriptionStatus::Processing if self.attempts >= MAX_ATTEMPTS => {
                failed(format!("It was tried {} times and never ended.", self.attempts))
            }
            TranscriptionStatus::Processing => TranscriptionWork::Publish(Due),
            TranscriptionStatus::Completed | TranscriptionStatus::Failed => {
                self.event_type.map_or(TranscriptionWork::Nothing, TranscriptionWork::Publish)
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
    fn only_an_ended_transcription_can_be_replaced() {
        let allows = TranscriptionStatus::ALL.map(|status| {
            let transcription = Transcription { status, ..processing(1) };
            (transcription.require_ended().is_ok(), transcription.require_completed().is_ok())
        });
        assert_eq!(allows, [(false, false), (false, false), (true, true), (true, false)]);
    }

    #[test]
    fn a_replay_shows_nothing_of_later_changes() {
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
    fn a_job_is_given_up_after_8_attempts_or_a_day() {
        use TranscriptionEventType::Due;
        let gives_up =
            |transcription: &Transcription, at| matches!(transcription.work(at), TranscriptionWork::GiveUp(_));
        assert_eq!(processing(MAX_ATTEMPTS - 1).work(now()), TranscriptionWork::Publish(Due));
        assert!(gives_up(&processing(MAX_ATTEMPTS), now()));
        assert!(!gives_up(&processing(1), now().plus_seconds(GIVE_UP_SECONDS - 1)));
        assert!(gives_up(&processing(1), now().plus_seconds(GIVE_UP_SECONDS)));
    }

    #[test]
    fn polling_intervals_grow() {
        let asked_after = |waited| {
            let at = now().plus_seconds(waited);
            (processing(1).poll_at(at).milliseconds() - at.milliseconds()) / 1000
        };
        assert_eq!([0, 239, 400, 3600, 40_000].map(asked_after), [60, 60, 100, 900, 900]);
    }

    #[test]
    fn retries_back_off_at_least_as_long_as_the_provider_asks() {
        let waits = |attempts, asked| {
            (processing(attempts).retry_at(now(), asked).milliseconds() - now().milliseconds()) / 1000
        };
        assert_eq!([1, 2, 3, 8, 40].map(|attempts| waits(attempts, None)), [120, 240, 480, 15_360, 15_360]);
        assert_eq!((waits(1, Some(600)), waits(1, Some(5))), (600, 120));
    }
}
