//! Object keys. They come from our ids, never from a client.

use std::fmt;

use capstan_domain::{
    BucketName, ChunkNumber, ContentType, ExportFormat, ExternalLocation, Media, MediaId, ProjectId, Recording,
    RecordingId, RenditionKind, Transcription,
};

/// The key of an object in the media bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Of what a client uploads: `{project}/{recording}/{media}/{kind}.{extension}`.
    pub fn original(project: &ProjectId, recording: &RecordingId, media: &MediaId, content_type: ContentType) -> Self {
        let (kind, extension) = (content_type.media_type().as_str(), content_type.extension());
        Self(format!("{project}/{recording}/{media}/{kind}.{extension}"))
    }

    /// Of the original of a recording's media file.
    pub fn of(recording: &Recording, media: &Media) -> Self {
        Self::original(&recording.tenant.project_id, &recording.id, &media.id, media.content_type)
    }

    /// Of what was made of it, beside the original: `{project}/{recording}/{media}/renditions/{kind}.{extension}`.
    pub fn rendition(project: &ProjectId, recording: &RecordingId, media: &MediaId, kind: RenditionKind) -> Self {
        Self(format!("{project}/{recording}/{media}/renditions/{}.{}", kind.as_str(), kind.extension()))
    }

    /// Of the text of a transcription: `{project}/{recording}/transcriptions/{transcription}.json`.
    pub fn transcript(transcription: &Transcription) -> Self {
        Self(format!("{}.json", transcriptions(transcription)))
    }

    /// Of the text of one chunk, beside it: `.../{transcription}/{chunk}.json`.
    pub fn chunk_transcript(transcription: &Transcription, chunk: ChunkNumber) -> Self {
        Self(format!("{}/{chunk}.json", transcriptions(transcription)))
    }

    /// Of a transcript as a file, where it is too large to be answered: `.../{transcription}/export.{extension}`.
    pub fn export(transcription: &Transcription, format: ExportFormat) -> Self {
        Self(format!("{}/export.{}", transcriptions(transcription), format.as_str()))
    }

    /// The audio of one chunk, for a provider that fetches it: `.../{transcription}/{chunk}.flac`.
    pub fn chunk_audio(transcription: &Transcription, chunk: ChunkNumber) -> Self {
        Self(format!("{}/{chunk}.flac", transcriptions(transcription)))
    }

    /// The key as S3 knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an object is read: under a key of ours, or in the place that a worker named. Only what is ours is written or
/// deleted, by its [`ObjectKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectLocation {
    /// `None` is the media bucket.
    pub(crate) bucket: Option<BucketName>,
    pub(crate) key: String,
}

impl ObjectLocation {
    /// Of the original of a recording's media file.
    pub fn of(recording: &Recording, media: &Media) -> Self {
        match &media.location {
            Some(place) => place.into(),
            None => ObjectKey::of(recording, media).into(),
        }
    }

    /// The key as S3 knows it.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl From<&ExternalLocation> for ObjectLocation {
    fn from(place: &ExternalLocation) -> Self {
        Self { bucket: Some(place.bucket.clone()), key: place.key.clone() }
    }
}

impl From<ObjectKey> for ObjectLocation {
    fn from(ObjectKey(key): ObjectKey) -> Self {
        Self { bucket: None, key }
    }
}

impl From<&ObjectKey> for ObjectLocation {
    fn from(key: &ObjectKey) -> Self {
        key.clone().into()
    }
}

/// What the key of an original names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The key itself.
    pub key: ObjectKey,
    /// The recording.
    pub recording_id: RecordingId,
    /// The media file.
    pub media_id: MediaId,
}

impl Original {
    /// Reads a key. `None` for a rendition and for anything that is not of our making.
    pub fn parse(key: &str) -> Option<Self> {
        let mut segments = key.split('/');
        let _: ProjectId = segments.next()?.parse().ok()?;
        let recording_id = segments.next()?.parse().ok()?;
        let media_id = segments.next()?.parse().ok()?;
        segments.next()?;
        let is_original = segments.next().is_none();
        is_original.then(|| Self { key: ObjectKey(key.to_owned()), recording_id, media_id })
    }
}

fn transcriptions(of: &Transcription) -> String {
    let project = &of.tenant.project_id;
    match &of.recording_id {
        Some(recording_id) => format!("{project}/{recording_id}/transcriptions/{}", of.id),
        None => format!("{project}/transcriptions/{}", of.id),
    }
}

pub(crate) fn recording_prefix(project: &ProjectId, recording: &RecordingId) -> String {
    format!("{project}/{recording}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_originals_are_parsed() {
        let (project, recording, media) =
            ("proj_1".parse().unwrap(), "rec_1".parse().unwrap(), "med_1".parse().unwrap());
        let key = ObjectKey::original(&project, &recording, &media, ContentType::AudioMp4);
        assert_eq!(key.as_str(), "proj_1/rec_1/med_1/audio.m4a");
        let parsed = Original::parse(key.as_str()).unwrap();
        assert_eq!((parsed.recording_id, parsed.media_id), (recording.clone(), media.clone()));
        let rendition = ObjectKey::rendition(&project, &recording, &media, RenditionKind::Peaks);
        assert_eq!(rendition.as_str(), "proj_1/rec_1/med_1/renditions/peaks.json");
        assert_eq!(Original::parse(rendition.as_str()), None);
        assert_eq!(Original::parse("proj_1/rec_1/transcriptions/txn_1.json"), None);
        assert_eq!(Original::parse("proj_1/rec_1/../../audio.opus"), None);
        assert_eq!(Original::parse("logs/2025.txt"), None);
    }
}
