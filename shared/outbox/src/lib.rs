//! The outbox: an event is written with the change that causes it, then published, then acknowledged in the table.
//!
//! If publishing fails, the entity stays due, and the sweep publishes the event later. An event may therefore be published
//! more than once, and is never lost.

use capstan_domain::{Error, EventType, Recording, Timestamp, Transcription, TranscriptionEventType};
use capstan_events::Events;
use capstan_store::Store;

/// Publishes and acknowledges events.
#[derive(Clone, Copy, Debug)]
pub struct Outbox<'a> {
    store: &'a Store,
    events: &'a Events,
}

impl<'a> Outbox<'a> {
    /// Events of this table on this bus.
    pub fn new(store: &'a Store, events: &'a Events) -> Self {
        Self { store, events }
    }

    /// Publishes an event of a recording, and acknowledges it if it reports an end. Any other event is followed by a claim:
    /// the recording stays due until then.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the bus or the table did not answer. The recording stays due.
    pub async fn publish(&self, event_type: EventType, recording: &Recording, now: Timestamp) -> Result<(), Error> {
        self.events.publish(event_type, recording).await?;
        self.acknowledge(event_type, recording, now).await
    }

    /// As [`Self::publish`], for a request that has done its work already: if the bus does not take the event, that is
    /// logged, and the sweep publishes the event later.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the table did not answer.
    pub async fn publish_or_retry_later(
        &self,
        event_type: EventType,
        recording: &Recording,
        now: Timestamp,
    ) -> Result<(), Error> {
        match self.events.publish(event_type, recording).await {
            Ok(()) => self.acknowledge(event_type, recording, now).await,
            Err(error) => {
                let id = &recording.id;
                tracing::warn!(recording_id = %id, %error, "cannot publish the event; the sweep publishes it later");
                Ok(())
            }
        }
    }

    async fn acknowledge(&self, event_type: EventType, recording: &Recording, now: Timestamp) -> Result<(), Error> {
        match event_type {
            EventType::Completed | EventType::Failed => self.store.event_published(recording, event_type, now).await,
            EventType::Uploaded | EventType::MediaUploaded => Ok(()),
        }
    }

    /// Publishes an event of a transcription, and acknowledges it if it reports a change. `transcription.due` is followed by
    /// a claim: the transcription stays due until then.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn publish_transcription(
        &self,
        event_type: TranscriptionEventType,
        transcription: &Transcription,
    ) -> Result<(), Error> {
        self.events.publish_transcription(event_type, transcription).await?;
        self.acknowledge_transcription(event_type, transcription).await
    }

    /// As [`Self::publish_or_retry_later`], of a transcription.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the table did not answer.
    pub async fn publish_transcription_or_retry_later(
        &self,
        event_type: TranscriptionEventType,
        transcription: &Transcription,
    ) -> Result<(), Error> {
        match self.events.publish_transcription(event_type, transcription).await {
            Ok(()) => self.acknowledge_transcription(event_type, transcription).await,
            Err(error) => {
                let id = &transcription.id;
                tracing::warn!(transcription_id = %id, %error, "cannot publish the event; the sweep publishes it later");
                Ok(())
            }
        }
    }

    async fn acknowledge_transcription(
        &self,
        event_type: TranscriptionEventType,
        transcription: &Transcription,
    ) -> Result<(), Error> {
        match event_type {
            TranscriptionEventType::Due => Ok(()),
            TranscriptionEventType::Started | TranscriptionEventType::Completed | TranscriptionEventType::Failed => {
                self.store.transcription_event_published(transcription, event_type).await
            }
        }
    }
}
