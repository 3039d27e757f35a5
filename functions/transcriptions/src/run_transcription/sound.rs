//! What a provider is given of a recording: the smallest file that it takes, or chunks.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use capstan_audio::{AudioError, CutJob, Cutting};
use capstan_aws::busy;
use capstan_domain::{
    Chunk, ChunkNumber, ChunkStatus, ContentType, Error, Offset, Recording, RecordingId, Sound, Timestamp,
    Transcription, TranscriptionError, TranscriptionErrorCode,
};
use capstan_objects::{ObjectKey, ObjectLocation, Objects, Signer};
use capstan_transcribe::{Audio, Input, Limits, Place, SignedUrl, input_for, sound_type};
use capstan_transcripts::JobError;
use tempfile::TempDir;

/// The sound of a recording, as one provider takes it.
pub(crate) struct Sounds {
    /// Of which recording.
    pub(crate) recording_id: RecordingId,
    /// The chunks in the order of time: one, if it is not cut.
    pub(crate) chunks: BTreeMap<ChunkNumber, (Chunk, Audio)>,
    /// Where chunks are, as long as this lives.
    _scratch: Option<TempDir>,
}

/// Chooses what to give, and cuts it where it is too much. Cutting again gives the same chunks.
///
/// # Errors
/// [`JobError`] when the sound cannot be read.
pub(crate) async fn sounds(
    objects: &Objects,
    recording: &Recording,
    limits: &Limits,
    now: Timestamp,
) -> Result<Sounds, JobError> {
    let sound = recording.sound()?;
    let (content_type, size_bytes) = (sound.media.content_type, sound.stored.size_bytes);
    let choice =
        capstan_transcribe::Sound { content_type, size_bytes, facts: sound.facts, renditions: sound.renditions };
    let (project, media_id) = (&recording.tenant.project_id, &sound.media.id);
    let (place, content_type, size_bytes) = match input_for(limits, &choice) {
        Input::Original => (ObjectLocation::of(recording, sound.media), content_type, size_bytes),
        Input::Rendition(rendition) => {
            let key = ObjectKey::rendition(project, &recording.id, media_id, rendition.kind);
            (key.into(), sound_type(rendition.kind).unwrap_or(content_type), rendition.size_bytes)
        }
        Input::Cut => return cut(objects, recording, &sound, limits).await,
    };
    let place = object(objects, &objects.signer(now).await?, place, content_type).await?;
    let chunk = given(Offset::default(), Offset::from_milliseconds(sound.facts.duration_ms));
    let whole = (chunk, Audio { content_type, size_bytes, place });
    let recording_id = recording.id.clone();
    Ok(Sounds { recording_id, chunks: BTreeMap::from([(ChunkNumber::new(0), whole)]), _scratch: None })
}

async fn cut(objects: &Objects, recording: &Recording, sound: &Sound<'_>, limits: &Limits) -> Result<Sounds, JobError> {
    let scratch = tempfile::tempdir().map_err(Error::internal)?;
    let reader = objects.reader(ObjectLocation::of(recording, sound.media), sound.stored);
    let (length, path) = (reader.length(), scratch.path().to_owned());
    let (longest_ms, largest_bytes) = (limits.longest.milliseconds(), limits.largest_bytes);
    let cutting = tokio::task::spawn_blocking(move || {
        let mut chunks = Vec::new();
        let job = CutJob { scratch: &path, longest_ms, largest_bytes };
        let whole = capstan_audio::cut(reader, length, &job, &mut |news| {
            if let Cutting::Chunk(chunk) = news {
                chunks.push(chunk);
            }
            ControlFlow::Continue(())
        });
        whole.map(|_| chunks)
    });
    let cut = cutting.await.map_err(Error::internal)?.map_err(unreadable)?;
    let chunks = cut.into_iter().zip(0..).map(|(cut, number)| {
        let (start, end) = (Offset::from_milliseconds(cut.start_ms), Offset::from_milliseconds(cut.end_ms));
        let place = Place::File(cut.path);
        let audio = Audio { content_type: ContentType::AudioFlac, size_bytes: cut.size_bytes, place };
        (ChunkNumber::new(number), (given(start, end), audio))
    });
    let recording_id = recording.id.clone();
    Ok(Sounds { recording_id, chunks: chunks.collect(), _scratch: Some(scratch) })
}

fn given(start: Offset, end: Offset) -> Chunk {
    Chunk { start, end, standing: ChunkStatus::Given }
}

/// A chunk as an object in the bucket, for a provider that takes nothing else.
///
/// # Errors
/// [`Error::Unavailable`] when it cannot be stored there.
pub(crate) async fn in_bucket(
    objects: &Objects,
    transcription: &Transcription,
    number: ChunkNumber,
    audio: Audio,
    now: Timestamp,
) -> Result<Audio, Error> {
    let Place::File(path) = &audio.place else { return Ok(audio) };
    let key = ObjectKey::chunk_audio(transcription, number);
    objects.put_file(&key, audio.content_type.as_str(), path).await?;
    let place = object(objects, &objects.signer(now).await?, key.into(), audio.content_type).await?;
    Ok(Audio { place, ..audio })
}

async fn object(
    objects: &Objects,
    signer: &Signer<'_>,
    place: ObjectLocation,
    content_type: ContentType,
) -> Result<Place, Error> {
    let url = signer.download(place.clone(), content_type.as_str(), None).await?.url;
    let (bucket, key) = (objects.bucket_of(&place).to_owned(), place.key().to_owned());
    Ok(Place::Object { bucket, key, url: SignedUrl::new(url) })
}

/// What a file cannot help is tried again; what lies in the file is final.
fn unreadable(error: AudioError) -> JobError {
    use TranscriptionErrorCode::{AudioCorrupt, AudioTooShort, UnsupportedFormat};
    let message = error.to_string();
    match error {
        AudioError::Corrupt(_) => TranscriptionError::new(AudioCorrupt, message).into(),
        AudioError::Unsupported(_) => TranscriptionError::new(UnsupportedFormat, message).into(),
        AudioError::TooShort { .. } => TranscriptionError::new(AudioTooShort, message).into(),
        AudioError::Source(cause) => busy(cause).into(),
        AudioError::Scratch(cause) => Error::internal(cause).into(),
    }
}
