//! The audio to send to a provider: the smallest file that it accepts, or chunks.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use capstan_audio::{AudioError, CutJob, Cutting};
use capstan_aws::busy;
use capstan_domain::{
    Chunk, ChunkNumber, ChunkStatus, ContentType, Error, Offset, PrimaryAudio, Recording, RecordingId, Timestamp,
    Transcription, TranscriptionError, TranscriptionErrorCode,
};
use capstan_objects::{ObjectKey, ObjectLocation, Objects, Signer};
use capstan_transcribe::{Audio, AudioLocation, Input, Limits, SignedUrl, input_for, rendition_content_type};
use capstan_transcripts::JobError;
use tempfile::TempDir;

/// The audio of a recording, in files that one provider accepts.
pub(crate) struct ProviderAudio {
    /// The recording.
    pub(crate) recording_id: RecordingId,
    /// The chunks in the order of time; a single one if the audio is not cut.
    pub(crate) chunks: BTreeMap<ChunkNumber, (Chunk, Audio)>,
    /// The directory of the chunks, deleted with this value.
    _scratch: Option<TempDir>,
}

/// Chooses the original or a rendition, or cuts the audio into chunks if both are too large. Cutting is deterministic.
///
/// # Errors
/// [`JobError`] when the audio cannot be read.
pub(crate) async fn provider_audio(
    objects: &Objects,
    recording: &Recording,
    limits: &Limits,
    now: Timestamp,
) -> Result<ProviderAudio, JobError> {
    let audio = recording.primary_audio()?;
    let (content_type, size_bytes) = (audio.media.content_type.usual(), audio.object.size_bytes);
    let choice =
        capstan_transcribe::SourceAudio { content_type, size_bytes, facts: audio.facts, renditions: audio.renditions };
    let (project, media_id) = (&recording.tenant.project_id, &audio.media.id);
    let (location, content_type, size_bytes) = match input_for(limits, &choice) {
        Input::Original => (ObjectLocation::of(recording, audio.media), content_type, size_bytes),
        Input::Rendition(rendition) => {
            let key = ObjectKey::rendition(project, &recording.id, media_id, rendition.kind);
            (key.into(), rendition_content_type(rendition.kind).unwrap_or(content_type), rendition.size_bytes)
        }
        Input::Cut => return cut(objects, recording, &audio, limits).await,
    };
    let location = object(objects, &objects.signer(now).await?, location, content_type).await?;
    let chunk = unsent(Offset::default(), Offset::from_milliseconds(audio.facts.duration_ms));
    let whole = (chunk, Audio { content_type, size_bytes, location });
    let recording_id = recording.id.clone();
    Ok(ProviderAudio { recording_id, chunks: BTreeMap::from([(ChunkNumber::new(0), whole)]), _scratch: None })
}

async fn cut(
    objects: &Objects,
    recording: &Recording,
    audio: &PrimaryAudio<'_>,
    limits: &Limits,
) -> Result<ProviderAudio, JobError> {
    let scratch = tempfile::tempdir().map_err(Error::internal)?;
    let reader = objects.reader(ObjectLocation::of(recording, audio.media), audio.object);
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
        let location = AudioLocation::File(cut.path);
        let audio = Audio { content_type: ContentType::AudioFlac, size_bytes: cut.size_bytes, location };
        (ChunkNumber::new(number), (unsent(start, end), audio))
    });
    let recording_id = recording.id.clone();
    Ok(ProviderAudio { recording_id, chunks: chunks.collect(), _scratch: Some(scratch) })
}

fn unsent(start: Offset, end: Offset) -> Chunk {
    Chunk { start, end, status: ChunkStatus::Sending }
}

/// Stores a chunk in the bucket, for a provider that reads from S3 only.
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
    let AudioLocation::File(path) = &audio.location else { return Ok(audio) };
    let key = ObjectKey::chunk_audio(transcription, number);
    objects.put_file(&key, audio.content_type.as_str(), path).await?;
    let location = object(objects, &objects.signer(now).await?, key.into(), audio.content_type).await?;
    Ok(Audio { location, ..audio })
}

async fn object(
    objects: &Objects,
    signer: &Signer<'_>,
    location: ObjectLocation,
    content_type: ContentType,
) -> Result<AudioLocation, Error> {
    let url = signer.download(location.clone(), content_type.as_str(), None).await?.url;
    let (bucket, key) = (objects.bucket_of(&location).to_owned(), location.key().to_owned());
    Ok(AudioLocation::Object { bucket, key, url: SignedUrl::new(url) })
}

/// Transient errors are retried. Defects in the file are permanent.
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
