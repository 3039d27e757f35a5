//! What happened, told on the event bus.
//!
//! IAM: `events:PutEvents` on the bus.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use capstan_aws::{MissingVariable, busy, failure, impatient, variable};
use capstan_domain::{
    Announcement, Error, Mode, ProjectId, Recording, RecordingId, Transcription, TranscriptionAnnouncement,
    TranscriptionId,
};
use serde::{Deserialize, Serialize};

/// The `source` of every event of ours.
pub const SOURCE: &str = "capstan";

/// The `detail` of an event about a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingEvent {
    /// The recording.
    pub recording_id: RecordingId,
    /// Whose it is.
    pub project_id: ProjectId,
    /// Live or test data.
    pub mode: Mode,
}

/// The `detail` of an event about a transcription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptionEvent {
    /// The transcription.
    pub transcription_id: TranscriptionId,
    /// Of which recording; null where it is of none that Capstan knows.
    pub recording_id: Option<RecordingId>,
    /// Whose it is.
    pub project_id: ProjectId,
    /// Live or test data.
    pub mode: Mode,
}

/// The event bus.
#[derive(Clone, Debug)]
pub struct Events {
    client: Client,
    bus: String,
}

impl Events {
    /// The bus of that name.
    pub fn new(client: Client, bus: impl Into<String>) -> Self {
        Self { client, bus: bus.into() }
    }

    /// The bus that `EVENT_BUS_NAME` names.
    ///
    /// # Errors
    /// [`MissingVariable`] when it is not set.
    pub fn from_environment(configuration: &aws_config::SdkConfig) -> Result<Self, MissingVariable> {
        Ok(Self::new(Client::new(&impatient(configuration)), variable("EVENT_BUS_NAME")?))
    }

    /// Tells what happened to a recording. The event's type is its `detail-type`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the bus did not take it; it may still have arrived.
    pub async fn announce(&self, announcement: Announcement, recording: &Recording) -> Result<(), Error> {
        let detail = RecordingEvent {
            recording_id: recording.id.clone(),
            project_id: recording.tenant.project_id.clone(),
            mode: recording.tenant.mode,
        };
        self.tell(announcement.as_str(), &detail).await
    }

    /// Tells what happened to a transcription. The event's type is its `detail-type`.
    ///
    /// # Errors
    /// As [`Self::announce`].
    pub async fn announce_transcription(
        &self,
        announcement: TranscriptionAnnouncement,
        transcription: &Transcription,
    ) -> Result<(), Error> {
        let detail = TranscriptionEvent {
            transcription_id: transcription.id.clone(),
            recording_id: transcription.recording_id.clone(),
            project_id: transcription.tenant.project_id.clone(),
            mode: transcription.tenant.mode,
        };
        self.tell(announcement.as_str(), &detail).await
    }

    /// Tells what happened to a recording that is due in any case: what the bus did not take is told again then. Whether
    /// it took it.
    pub async fn announce_or_leave_due(&self, announcement: Announcement, recording: &Recording) -> bool {
        let told = self.announce(announcement, recording).await;
        if let Err(error) = &told {
            tracing::warn!(recording_id = %recording.id, %error, "announced later");
        }
        told.is_ok()
    }

    /// As [`Self::announce_or_leave_due`], of a transcription.
    pub async fn announce_transcription_or_leave_due(
        &self,
        announcement: TranscriptionAnnouncement,
        transcription: &Transcription,
    ) -> bool {
        let told = self.announce_transcription(announcement, transcription).await;
        if let Err(error) = &told {
            tracing::warn!(transcription_id = %transcription.id, %error, "announced later");
        }
        told.is_ok()
    }

    async fn tell(&self, what: &str, detail: &impl Serialize) -> Result<(), Error> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(what)
            .detail(serde_json::to_string(detail).map_err(Error::internal)?)
            .build();
        let answer = self.client.put_events().entries(entry).send().await.map_err(failure)?;
        // PutEvents answers 200 even to an entry that it did not take.
        if answer.failed_entry_count > 0 {
            let code = answer.entries.unwrap_or_default().into_iter().find_map(|entry| entry.error_code);
            return Err(busy(format!("the bus did not take {what}: {code:?}")));
        }
        Ok(())
    }
}
