//! `recording.uploaded` and `media.uploaded`: processes the recording and makes its renditions.

mod worker;

use std::time::Duration;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use capstan_audio::TranscriptionRendition;
use capstan_domain::{Error, LeaseId};
use capstan_events::{Events, RecordingEvent};
use capstan_lambda::Invocation;
use capstan_objects::Objects;
use capstan_outbox::Outbox;
use capstan_store::Store;
use capstan_transcripts::Transcripts;

use worker::Worker;

/// Longest processing of one media file: a little less than the function's timeout.
pub const LONGEST: Duration = Duration::from_secs(800);

/// Processes the unprocessed media files of a recording, unless another worker holds its lease. Repeated or concurrent
/// events give one result.
///
/// # Errors
/// [`Error::Unavailable`] when AWS was busy: the recording is processed again after its lease has expired.
pub async fn handle(
    (store, objects, events, transcription): (Store, Objects, Events, TranscriptionRendition),
    event: EventBridgeEvent<RecordingEvent>,
    invocation: Invocation,
) -> Result<(), Error> {
    let Invocation { now, entropy, clock, .. } = invocation;
    let lease = LeaseId::new(now, entropy);
    let Some(claimed) = store.claim(&event.detail.recording_id, &lease, now).await? else { return Ok(()) };
    let worker = Worker { store: &store, objects: &objects, transcription, lease, clock: clock.clone() };
    let Some(finished) = worker.process(*claimed).await? else { return Ok(()) };
    let transcripts = Transcripts::new(store.clone(), objects.clone(), events.clone());
    transcripts.request(&finished, clock.now()).await?;
    match finished.processing.event_type {
        Some(event_type) => Outbox::new(&store, &events).publish(event_type, &finished, clock.now()).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
