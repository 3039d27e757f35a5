//! The completion of a multipart upload. Repeating it gives the same object, also when an answer was lost.

use capstan_domain::{
    ClaimedPart, EntityTag, Error, EventType, Field, Media, MultipartUpload, Recording, StoredObject, Timestamp,
};
use capstan_objects::{ObjectKey, Objects};
use capstan_outbox::Outbox;
use capstan_store::{Recorded, Store};

/// A multipart upload to complete.
#[derive(Debug)]
pub struct MultipartCompletion<'a> {
    /// The bucket.
    pub objects: &'a Objects,
    /// The recording.
    pub recording: &'a Recording,
    /// The media file.
    pub media: &'a Media,
    /// Its multipart upload.
    pub upload: &'a MultipartUpload,
    /// Time of the request.
    pub now: Timestamp,
}

impl MultipartCompletion<'_> {
    /// The object that S3 makes of the parts: now, or by an earlier request.
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
        let claimed_tag = entity_tag_of(claimed).filter(|_| !claimed.is_empty());
        if claimed_tag.is_some_and(|tag| tag.as_str() != object.etag) {
            return Err(Error::invalid(Field::Parts, "must be the parts of the completed file"));
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

    /// Records the object. Its hash comes with S3's notification.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the recording does not exist, [`Error::Conflict`] when the object is not taken.
    pub async fn record(&self, store: &Store, outbox: Outbox<'_>, object: StoredObject) -> Result<Media, Error> {
        let media = self.media.clone().with_object(object.clone());
        match store.record_object(&self.recording.id, &self.media.id, &object, self.now).await? {
            Recorded::InTime | Recorded::Known => Ok(media),
            Recorded::Late(recording) => {
                outbox.publish_or_retry_later(EventType::MediaUploaded, &recording, self.now).await?;
                Ok(media)
            }
            Recorded::Orphaned => {
                self.objects.delete(&ObjectKey::of(self.recording, self.media)).await?;
                Err(Error::NotFound { what: "media file" })
            }
            Recorded::Ignored(reason) => Err(Error::Conflict { reason: format!("the object is not taken: {reason}") }),
        }
    }
}

/// Entity tag of the object that S3 makes of these parts.
fn entity_tag_of(claimed: &[ClaimedPart]) -> Option<EntityTag> {
    let mut parts: Vec<_> = claimed.iter().collect();
    parts.sort_by_key(|part| part.number);
    EntityTag::of_parts(parts.into_iter().map(|part| &part.etag))
}
