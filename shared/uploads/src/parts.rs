//! Parts become a file, whoever asks for it first and whatever became of the answer.

use capstan_domain::{
    ClaimedPart, EntityTag, Error, EventType, Media, MediaStatus, MultipartUpload, Recording, StoredObject, Timestamp,
};
use capstan_events::Events;
use capstan_objects::{ObjectKey, Objects};
use capstan_store::{Arrival, Store};

/// The upload in parts that is completed.
#[derive(Debug)]
pub struct PartsCompletion<'a> {
    /// The bucket.
    pub objects: &'a Objects,
    /// The recording.
    pub recording: &'a Recording,
    /// Its medium that is sent in parts.
    pub media: &'a Media,
    /// How.
    pub upload: &'a MultipartUpload,
    /// When it is completed.
    pub now: Timestamp,
}

impl PartsCompletion<'_> {
    /// The object of the parts: made now, or by another call of which this is the repeat.
    ///
    /// # Errors
    /// [`Error::PartsMissing`], [`Error::Invalid`] of the claimed part that is wrong, and
    /// [`Error::MultipartUploadExpired`] when S3 knows neither the upload nor the object.
    pub async fn object(&self, claimed: &[ClaimedPart]) -> Result<StoredObject, Error> {
        let key = ObjectKey::of(self.recording, self.media);
        if let Some(received) = self.objects.received_parts(&key, self.upload).await? {
            let parts = self.upload.plan.check(received, claimed)?;
            if let Some(etag) = self.objects.complete_multipart_upload(&key, &self.upload.id, &parts).await? {
                return Ok(self.made(&etag));
            }
        }
        let object = self.objects.find(&key, self.now).await?.filter(|object| self.upload.plan.makes(object));
        let object = object.ok_or_else(|| Error::MultipartUploadExpired { media_id: self.media.id.clone() })?;
        let claimed_tag = in_order(claimed).filter(|_| !claimed.is_empty());
        if claimed_tag.is_some_and(|tag| tag.as_str() != object.etag) {
            return Err(Error::invalid("parts", "must be the parts of which the file was made"));
        }
        Ok(object)
    }

    fn made(&self, etag: &EntityTag) -> StoredObject {
        StoredObject {
            size_bytes: self.upload.plan.file_size().bytes(),
            etag: etag.as_str().to_owned(),
            sha256: None,
            md5: None,
            sequencer: None,
            recorded_at: self.now,
        }
    }

    /// Notes that the file is there. Its hash comes with S3's notification.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the recording is gone, [`Error::Conflict`] when the file is not taken.
    pub async fn record(&self, store: &Store, events: &Events, object: StoredObject) -> Result<Media, Error> {
        let media = Media { status: MediaStatus::Uploaded, stored: Some(object.clone()), ..self.media.clone() };
        match store.record_object(&self.recording.id, &self.media.id, &object, self.now).await? {
            Arrival::InTime | Arrival::Repeated => Ok(media),
            Arrival::Late(recording) => {
                events.publish_or_retry_later(EventType::MediaUploaded, &recording).await;
                Ok(media)
            }
            Arrival::Orphaned => {
                self.objects.delete(&ObjectKey::of(self.recording, self.media)).await?;
                Err(Error::NotFound { what: "medium" })
            }
            Arrival::Ignored(reason) => Err(Error::Conflict { reason: format!("the file is not taken: {reason}") }),
        }
    }
}

/// The tag of the object that S3 makes of these parts.
fn in_order(claimed: &[ClaimedPart]) -> Option<EntityTag> {
    let mut parts: Vec<_> = claimed.iter().collect();
    parts.sort_by_key(|part| part.number);
    EntityTag::of_parts(parts.into_iter().map(|part| &part.etag))
}
