//! A worker: processes one recording under a lease that it renews.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use capstan_audio::{AudioError, Job, Processed, TranscriptionRendition};
use capstan_aws::busy;
use capstan_domain::{
    AudioFacts, Error, Facts, Findings, ImageFacts, LeaseId, Media, MediaId, MediaType, ProcessedMedia,
    ProcessingError, ProcessingErrorCode, Recording, Rendition, Timestamp, UploadedObject,
};
use capstan_image::ImageError;
use capstan_lambda::Clock;
use capstan_objects::{ObjectKey, ObjectLocation, Objects};
use capstan_store::{Changed, Store};

use super::LONGEST;

/// A quarter of the lease: three renewals may fail before it is lost.
const RENEWAL: Duration = Duration::from_secs(capstan_domain::LEASE_SECONDS.unsigned_abs() / 4);

pub(crate) struct Worker<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: &'a Objects,
    pub(crate) transcription: TranscriptionRendition,
    pub(crate) lease: LeaseId,
    pub(crate) clock: Clock,
}

/// Why a worker stops early.
enum Interruption {
    /// Another worker holds the lease, or the recording was deleted.
    Lost,
    /// An error.
    Failed(Error),
}

impl From<Error> for Interruption {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Worker<'_> {
    /// Processes a claimed recording, with files that arrive at the same time. Each file's result is saved before the next
    /// file starts, so that another attempt continues there. `None` when the lease was lost or the recording deleted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a file could not be read or a rendition not be written: the other files are processed,
    /// and the recording is released until the next attempt.
    pub(crate) async fn process(&self, claimed: Recording) -> Result<Option<Recording>, Error> {
        match self.process_all(claimed).await {
            Ok(finished) => Ok(Some(finished)),
            Err(Interruption::Lost) => Ok(None),
            Err(Interruption::Failed(error)) => Err(error),
        }
    }

    async fn process_all(&self, mut held: Recording) -> Result<Recording, Interruption> {
        let mut last: Option<ProcessedMedia> = None;
        let mut unreadable: BTreeMap<MediaId, Error> = BTreeMap::new();
        loop {
            let is_done = |id: &MediaId| last.as_ref().is_some_and(|last| last.media_id == *id);
            let mut waiting = held.media.values().filter(|media| media.is_unprocessed());
            let next = waiting.find(|media| !is_done(&media.id) && !unreadable.contains_key(&media.id)).cloned();
            match (next, last.take()) {
                // The last result is saved together with the end.
                (None, last_of_all) if unreadable.is_empty() => {
                    match self.store.finish(&held, &self.lease, last_of_all.as_ref(), self.clock.now()).await? {
                        Changed::Made(finished) => return Ok(*finished),
                        refused => held = self.still_held(refused)?,
                    }
                    // Another file arrived. This one is not processed again unless it was overwritten.
                    last = last_of_all.filter(|processed| processed.is_of(&held));
                }
                (_, Some(processed)) => {
                    let now = self.clock.now();
                    held = self.still_held(self.store.save_outcome(&held, &self.lease, &processed, now).await?)?;
                }
                (Some(media), None) => match self.process_media(&held, &media).await {
                    Ok(processed) => last = Some(processed),
                    Err(Interruption::Failed(error @ Error::Unavailable { .. })) => {
                        let error = self.record_replacement(&held, &media).await.err().unwrap_or(error);
                        unreadable.insert(media.id, error);
                    }
                    Err(other) => return Err(other),
                },
                (None, None) => return Err(self.release(&held, unreadable).await),
            }
        }
    }

    /// The recording after a change, or as it is where the change was refused.
    fn still_held(&self, changed: Changed) -> Result<Recording, Interruption> {
        match changed {
            Changed::Made(newer) => Ok(*newer),
            Changed::Refused(Some(newer)) if self.holds(&newer) => Ok(*newer),
            Changed::Refused(_) => Err(Interruption::Lost),
        }
    }

    async fn release(&self, held: &Recording, unreadable: BTreeMap<MediaId, Error>) -> Interruption {
        if let Err(error) = self.store.release(held, &self.lease, self.clock.now()).await {
            return error.into();
        }
        unreadable.into_values().next().map_or(Interruption::Lost, Interruption::Failed)
    }

    fn holds(&self, recording: &Recording) -> bool {
        recording.deleted_at.is_none()
            && recording.processing.lease.as_ref().is_some_and(|lease| lease.id == self.lease)
    }

    /// An overwritten object cannot be read by its entity tag. If its notification was lost, the new object is recorded
    /// here, and the next attempt reads it. An object outside Capstan's bucket is only read as it was first seen.
    async fn record_replacement(&self, recording: &Recording, media: &Media) -> Result<(), Error> {
        let Some(stored) = media.uploaded().filter(|_| media.location.is_none()) else { return Ok(()) };
        let now = self.clock.now();
        match self.objects.find(ObjectLocation::of(recording, media), now).await? {
            Some(found) if found.etag != stored.object.etag => {
                self.store.replace_object(recording, &media.id, &stored.object, &found, now).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn process_media(&self, recording: &Recording, media: &Media) -> Result<ProcessedMedia, Interruption> {
        let stored = media.uploaded().ok_or_else(|| Error::internal("a media file without an object"))?;
        match media.content_type.media_type() {
            MediaType::Audio | MediaType::Video => self.process_audio(recording, media, stored).await,
            MediaType::Image => self.process_image(recording, media, stored).await,
        }
    }

    async fn process_audio(
        &self,
        recording: &Recording,
        media: &Media,
        stored: &UploadedObject,
    ) -> Result<ProcessedMedia, Interruption> {
        let scratch = tempfile::tempdir().map_err(Error::internal)?;
        let (reader, transcription) = (self.reader(recording, media, stored), self.transcription);
        let (length, path) = (reader.length(), scratch.path().to_owned());
        let (_working, mut abandoned) = abandonable();
        let decoding = tokio::task::spawn_blocking(move || {
            let job = Job { scratch: &path, longest: LONGEST, transcription };
            capstan_audio::process(reader, length, &job, &mut |_| abandoned())
        });
        let outcome = match self.holding(recording, decoding).await?.map_err(Error::internal)? {
            Ok(processed) => {
                let renditions = self.store_renditions(recording, media, &processed).await?;
                Ok(Findings { facts: Facts::Audio(facts(&processed)), renditions, captured_at: None })
            }
            Err(error) => Err(audio_failure(error)?),
        };
        Ok(ProcessedMedia { media_id: media.id.clone(), etag: stored.object.etag.clone(), outcome })
    }

    async fn process_image(
        &self,
        recording: &Recording,
        media: &Media,
        stored: &UploadedObject,
    ) -> Result<ProcessedMedia, Interruption> {
        let reader = self.reader(recording, media, stored);
        let reading = tokio::task::spawn_blocking(move || capstan_image::inspect(reader));
        let outcome = match self.holding(recording, reading).await?.map_err(Error::internal)? {
            Ok(image) => Ok(Findings {
                facts: Facts::Image(ImageFacts { width: image.width, height: image.height }),
                renditions: Vec::new(),
                captured_at: image.captured_at.map(Timestamp::from),
            }),
            Err(error) => Err(image_failure(error)?),
        };
        Ok(ProcessedMedia { media_id: media.id.clone(), etag: stored.object.etag.clone(), outcome })
    }

    fn reader(&self, recording: &Recording, media: &Media, stored: &UploadedObject) -> capstan_objects::ObjectReader {
        self.objects.reader(ObjectLocation::of(recording, media), &stored.object)
    }

    async fn store_renditions(
        &self,
        recording: &Recording,
        media: &Media,
        processed: &Processed,
    ) -> Result<Vec<Rendition>, Interruption> {
        let mut renditions = Vec::new();
        for made in &processed.renditions {
            let key = ObjectKey::rendition(&recording.tenant.project_id, &recording.id, &media.id, made.kind);
            let path: &Path = &made.path;
            let storing = self.objects.put_file(&key, made.kind.mime_type(), path);
            self.holding(recording, storing).await??;
            renditions.push(Rendition::new(&media.id, made.kind, made.size_bytes));
        }
        Ok(renditions)
    }

    /// Waits for work, and renews the lease meanwhile.
    async fn holding<T>(&self, recording: &Recording, work: impl Future<Output = T>) -> Result<T, Interruption> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(RENEWAL) => {
                    match self.store.renew_lease(&recording.id, &self.lease, self.clock.now()).await {
                        Ok(true) => {}
                        Ok(false) => return Err(Interruption::Lost),
                        Err(error) => tracing::warn!(recording_id = %recording.id, %error, "cannot renew the lease"),
                    }
                }
            }
        }
    }
}

/// A guard, and a check that stops the decoder once the guard is dropped: a blocking thread cannot be cancelled.
fn abandonable() -> (mpsc::Sender<()>, impl FnMut() -> ControlFlow<()>) {
    let (working, abandoned) = mpsc::channel();
    let ask = move || match abandoned.try_recv() {
        Err(mpsc::TryRecvError::Disconnected) => ControlFlow::Break(()),
        Ok(()) | Err(mpsc::TryRecvError::Empty) => ControlFlow::Continue(()),
    };
    (working, ask)
}

fn facts(processed: &Processed) -> AudioFacts {
    let analysis = &processed.analysis;
    AudioFacts {
        duration_ms: analysis.duration_ms,
        codec: analysis.codec.as_str().to_owned(),
        sample_rate_hz: analysis.sample_rate_hz,
        channels: analysis.channels,
        // EBU Tech 3341 asks meters for a tenth of a unit.
        loudness_lufs: analysis.loudness_lufs.map(|lufs| (lufs * 10.0).round() / 10.0),
    }
}

/// Transient errors are retried. Defects in the file are permanent.
fn audio_failure(error: AudioError) -> Result<ProcessingError, Error> {
    let message = error.to_string();
    let code = match error {
        AudioError::Corrupt(_) => ProcessingErrorCode::AudioCorrupt,
        AudioError::Unsupported(_) => ProcessingErrorCode::UnsupportedFormat,
        AudioError::TooShort { .. } => ProcessingErrorCode::AudioTooShort,
        AudioError::Source(cause) => return Err(busy(cause)),
        AudioError::Scratch(cause) => return Err(Error::internal(cause)),
    };
    Ok(ProcessingError { code, message })
}

fn image_failure(error: ImageError) -> Result<ProcessingError, Error> {
    match error {
        ImageError::Source(cause) => Err(busy(cause)),
        ImageError::Unsupported(_) | ImageError::Corrupt | ImageError::TooLarge { .. } => {
            Ok(ProcessingError { code: ProcessingErrorCode::UnsupportedFormat, message: error.to_string() })
        }
    }
}
