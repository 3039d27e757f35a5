//! `recording.uploaded`: the recording is looked into, and its renditions are made.

mod worker;

use std::time::Duration;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use capstan_audio::TranscriptionRendition;
use capstan_domain::{Error, LeaseId};
use capstan_events::{Events, RecordingEvent};
use capstan_lambda::Invocation;
use capstan_objects::Objects;
use capstan_store::Store;
use capstan_transcripts::Transcripts;

use worker::Worker;

/// How long a sound may be worked on: a little less than the function may run.
pub const LONGEST: Duration = Duration::from_secs(800);

/// Processes what is unprocessed of a recording, unless another worker is at it. Running it twice, or twice at once,
/// gives one result.
///
/// # Errors
/// [`Error::Unavailable`] when AWS was busy: the recording is taken up again when its lease has ended.
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
    if let Some(event_type) = finished.event_type {
        events.publish(event_type, &finished).await?;
        store.event_published(&finished, event_type, clock.now()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
