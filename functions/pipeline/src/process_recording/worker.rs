//! One worker at one recording, held by a lease that it renews.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use capstan_audio::{AudioError, Job, Processed, TranscriptionRendition};
use capstan_aws::busy;
use capstan_domain::{
    AudioFacts, Error, Facts, Findings, ImageFacts, LeaseId, Media, MediaId, MediaType, Outcome, ProcessingError,
    ProcessingErrorCode, Recording, Rendition, StoredObject, Timestamp,
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

/// Why a worker stops before the end.
enum Interruption {
    /// The recording is another's, or was deleted.
    Lost,
    /// It cannot go on now.
    Failed(Error),
}

impl From<Error> for Interruption {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Worker<'_> {
    /// Processes a claimed recording, and what arrives of it meanwhile. What became of each medium is noted before the
    /// next is begun, so that another attempt begins there. `None` when the lease was lost or the recording deleted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a medium could not be read or a rendition not be written now: the others are
    /// processed, and the recording is let go until another attempt.
    pub(crate) async fn process(&self, claimed: Recording) -> Result<Option<Recording>, Error> {
        match self.process_all(claimed).await {
            Ok(finished) => Ok(Some(finished)),
            Err(Interruption::Lost) => Ok(None),
            Err(Interruption::Failed(error)) => Err(error),
        }
    }

    async fn process_all(&self, mut held: Recording) -> Result<Recording, Interruption> {
        let mut last: Option<Outcome> = None;
        let mut unreadable: BTreeMap<MediaId, Error> = BTreeMap::new();
        loop {
            let is_done = |id: &MediaId| last.as_ref().is_some_and(|last| last.media_id == *id);
            let mut waiting = held.media.values().filter(|media| media.is_unprocessed());
            let next = waiting.find(|media| !is_done(&media.id) && !unreadable.contains_key(&media.id)).cloned();
            match (next, last.take()) {
                // What is last of all is noted with the end.
                (None, last_of_all) if unreadable.is_empty() => {
                    match self.store.finish(&held, &self.lease, last_of_all.as_ref(), self.clock.now()).await? {
                        Changed::Made(finished) => return Ok(*finished),
                        refused => held = self.still_held(refused)?,
                    }
                    // Another medium came meanwhile: this one is not looked into again, unless it was written again.
                    last = last_of_all.filter(|outcome| outcome.is_of(&held));
                }
                (_, Some(outcome)) => {
                    held = self.still_held(self.store.note(&held, &self.lease, &outcome, self.clock.now()).await?)?;
                }
                (Some(media), None) => match self.look_into(&held, &media).await {
                    Ok(outcome) => last = Some(outcome),
                    Err(Interruption::Failed(error @ Error::Unavailable { .. })) => {
                        let error = self.look_whether_replaced(&held, &media).await.err().unwrap_or(error);
                        unreadable.insert(media.id, error);
                    }
                    Err(other) => return Err(other),
                },
                (None, None) => return Err(self.put_off(&held, unreadable).await),
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

    async fn put_off(&self, held: &Recording, unreadable: BTreeMap<MediaId, Error>) -> Interruption {
        if let Err(error) = self.store.release(held, &self.lease, self.clock.now()).await {
            return error.into();
        }
        unreadable.into_values().next().map_or(Interruption::Lost, Interruption::Failed)
    }

    fn holds(&self, recording: &Recording) -> bool {
        recording.deleted_at.is_none() && recording.lease.as_ref().is_some_and(|lease| lease.id == self.lease)
    }

    /// Bytes that were replaced cannot be read by their entity tag. Where nobody has told of the new ones, nobody may
    /// ever: another attempt reads those. A worker's own object is read as it was first seen, or not at all.
    async fn look_whether_replaced(&self, recording: &Recording, media: &Media) -> Result<(), Error> {
        let Some(stored) = media.stored.as_ref().filter(|_| media.place.is_none()) else { return Ok(()) };
        let now = self.clock.now();
        match self.objects.find(ObjectLocation::of(recording, media), now).await? {
            Some(found) if found.etag != stored.etag => {
                self.store.replace_object(&recording.id, &media.id, stored, &found, now).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn look_into(&self, recording: &Recording, media: &Media) -> Result<Outcome, Interruption> {
        let stored = media.stored.as_ref().ok_or_else(|| Error::internal("an uploaded medium has no object"))?;
        match media.content_type.media_type() {
            MediaType::Audio | MediaType::Video => self.look_into_audio(recording, media, stored).await,
            MediaType::Image => self.look_into_image(recording, media, stored).await,
        }
    }

    async fn look_into_audio(
        &self,
        recording: &Recording,
        media: &Media,
        stored: &StoredObject,
    ) -> Result<Outcome, Interruption> {
        let scratch = tempfile::tempdir().map_err(Error::internal)?;
        let (reader, transcription) = (self.reader(recording, media, stored), self.transcription);
        let (length, path) = (reader.length(), scratch.path().to_owned());
        let (_working, mut abandoned) = abandonable();
        let decoding = tokio::task::spawn_blocking(move || {
            let job = Job { scratch: &path, longest: LONGEST, transcription };
            capstan_audio::process(reader, length, &job, &mut |_| abandoned())
        });
        let result = match self.holding(recording, decoding).await?.map_err(Error::internal)? {
            Ok(processed) => {
                let renditions = self.keep_renditions(recording, media, &processed).await?;
                Ok(Findings { facts: Facts::Audio(facts(&processed)), renditions, captured_at: None })
            }
            Err(error) => Err(audio_failure(error)?),
        };
        Ok(Outcome { media_id: media.id.clone(), etag: stored.etag.clone(), result })
    }

    async fn look_into_image(
        &self,
        recording: &Recording,
        media: &Media,
        stored: &StoredObject,
    ) -> Result<Outcome, Interruption> {
        let reader = self.reader(recording, media, stored);
        let reading = tokio::task::spawn_blocking(move || capstan_image::inspect(reader));
        let result = match self.holding(recording, reading).await?.map_err(Error::internal)? {
            Ok(image) => Ok(Findings {
                facts: Facts::Image(ImageFacts { width: image.width, height: image.height }),
                renditions: Vec::new(),
                captured_at: image.captured_at.map(Timestamp::from),
            }),
            Err(error) => Err(image_failure(error)?),
        };
        Ok(Outcome { media_id: media.id.clone(), etag: stored.etag.clone(), result })
    }

    fn reader(&self, recording: &Recording, media: &Media, stored: &StoredObject) -> capstan_objects::ObjectReader {
        self.objects.reader(ObjectLocation::of(recording, media), stored)
    }

    async fn keep_renditions(
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

    /// Waits for work and renews the lease meanwhile.
    async fn holding<T>(&self, recording: &Recording, work: impl Future<Output = T>) -> Result<T, Interruption> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(RENEWAL) => {
                    match self.store.renew_lease(&recording.id, &self.lease, self.clock.now()).await {
                        Ok(true) => {}
                        Ok(false) => return Err(Interruption::Lost),
                        Err(error) => tracing::warn!(recording_id = %recording.id, %error, "lease not renewed"),
                    }
                }
            }
        }
    }
}

/// A guard, and what tells a decoder to stop once the guard is dropped: a blocking thread cannot be cancelled.
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

/// What a file cannot help is tried again; what lies in the file is final.
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
        ImageError::NotAnImage | ImageError::Corrupt => {
            Ok(ProcessingError { code: ProcessingErrorCode::UnsupportedFormat, message: error.to_string() })
        }
    }
}
