//! Events of recordings and transcriptions, as published on the event bus.
//!
//! IAM: `events:PutEvents` on the bus.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use capstan_aws::{Environment, EnvironmentError, FromEnvironment, busy, failure, impatient};
use capstan_domain::{
    Error, EventType, Mode, ProjectId, Recording, RecordingId, Transcription, TranscriptionEventType, TranscriptionId,
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

/// The one that `EVENT_BUS_NAME` names.
impl FromEnvironment for Events {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        Ok(Self::new(Client::new(&impatient(environment.aws())), environment.variable("EVENT_BUS_NAME")?))
    }
}

impl Events {
    /// The bus of that name.
    pub fn new(client: Client, bus: impl Into<String>) -> Self {
        Self { client, bus: bus.into() }
    }

    /// Tells what happened to a recording. The event's type is its `detail-type`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the bus did not take it; it may still have arrived.
    pub async fn publish(&self, event_type: EventType, recording: &Recording) -> Result<(), Error> {
        let detail = RecordingEvent {
            recording_id: recording.id.clone(),
            project_id: recording.tenant.project_id.clone(),
            mode: recording.tenant.mode,
        };
        self.tell(event_type.as_str(), &detail).await
    }

    /// Tells what happened to a transcription. The event's type is its `detail-type`.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn publish_transcription(
        &self,
        event_type: TranscriptionEventType,
        transcription: &Transcription,
    ) -> Result<(), Error> {
        let detail = TranscriptionEvent {
            transcription_id: transcription.id.clone(),
            recording_id: transcription.recording_id.clone(),
            project_id: transcription.tenant.project_id.clone(),
            mode: transcription.tenant.mode,
        };
        self.tell(event_type.as_str(), &detail).await
    }

    async fn tell(&self, what: &str, detail: &impl Serialize) -> Result<(), Error> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(what)
            .detail(serde_json::to_string(detail).map_err(Error::internal)?)
            .build();
        let answer = self.client.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| failure(error).context(format!("publish {what}")))?;
        // PutEvents answers 200 even to an entry that it did not take.
        if answer.failed_entry_count > 0 {
            let code = answer.entries.unwrap_or_default().into_iter().find_map(|entry| entry.error_code);
            return Err(busy(format!("the bus did not take {what}: {code:?}")));
        }
        Ok(())
    }
}
