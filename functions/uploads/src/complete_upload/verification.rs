//! Completes an upload: at once if no object is awaited and nothing is claimed, else after verification of what S3 holds.

use std::ops::ControlFlow;

use capstan_domain::{
    CompletedUpload, Error, FileSize, Media, MediaId, MediaStatus, Recording, RecordingId, Status, StoredObject,
    Timestamp, Visibility,
};
use capstan_objects::{MAX_HASHED_BYTES, ObjectKey, Objects};
use capstan_store::{Changed, Store, retry_overtaken};
use capstan_uploads::{MAX_HASHED_IN_REQUEST_BYTES, VERIFICATION_RETRY_SECONDS};
use futures_util::StreamExt;
use futures_util::stream;

use super::claim::Claim;

/// How many objects are looked up concurrently.
const CONCURRENT_LOOKUPS: usize = 16;
/// How often a completion is tried that other requests overtake.
const MAX_TRIES: usize = 5;

/// What a completion needs.
pub(crate) struct Verification<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: &'a Objects,
    pub(crate) visibility: &'a Visibility,
    pub(crate) now: Timestamp,
}

type FoundObjects = Vec<(MediaId, StoredObject)>;

impl Verification<'_> {
    /// One call to the table if no object is awaited and nothing is claimed. Its refusal returns the recording.
    pub(crate) async fn complete(&self, id: &RecordingId, claim: &Claim) -> Result<CompletedUpload, Error> {
        let found = if claim.is_empty() {
            match self.store.complete_upload(self.visibility, id, &claim.completion, self.now).await? {
                Changed::Made(recording) => return Ok(CompletedUpload::Now(*recording)),
                Changed::Refused(found) => found.map(|found| *found),
            }
        } else {
            self.store.recording(id).await?
        };
        let seen = self.visibility.admit(found.ok_or_else(Error::no_recording)?)?;
        let overtaken = || Error::Conflict {
            reason: "other requests keep changing the recording at the same time; try again".to_owned(),
        };
        retry_overtaken(MAX_TRIES, overtaken, seen, |seen| self.attempt(seen, claim)).await
    }

    async fn attempt(&self, seen: Recording, claim: &Claim) -> Result<ControlFlow<CompletedUpload, Recording>, Error> {
        if seen.status != Status::Pending {
            return CompletedUpload::by_earlier_request(seen, &claim.completion).map(ControlFlow::Break);
        }
        match self.complete_verified(&seen, claim).await? {
            Changed::Made(recording) => Ok(ControlFlow::Break(CompletedUpload::Now(*recording))),
            Changed::Refused(newer) => {
                self.visibility.admit(*newer.ok_or_else(Error::no_recording)?).map(ControlFlow::Continue)
            }
        }
    }

    async fn complete_verified(&self, seen: &Recording, claim: &Claim) -> Result<Changed, Error> {
        let mut found = self.find_awaited(seen).await?;
        let verified_at = self.verify(seen, &mut found, claim).await?;
        self.store
            .complete_verified_upload(self.visibility, seen, &found, &claim.completion, verified_at, self.now)
            .await
    }

    /// The awaited objects that S3 holds although no notification has come.
    async fn find_awaited(&self, seen: &Recording) -> Result<FoundObjects, Error> {
        let lookups = seen.media_in(MediaStatus::Pending).map(|media| self.find(seen, media));
        let mut lookups = stream::iter(lookups.collect::<Vec<_>>()).buffer_unordered(CONCURRENT_LOOKUPS);
        let mut found = Vec::new();
        while let Some(object) = lookups.next().await {
            found.extend(object?);
        }
        Ok(found)
    }

    async fn find(&self, seen: &Recording, media: &Media) -> Result<Option<(MediaId, StoredObject)>, Error> {
        let Some(object) = self.objects.find(&key(seen, media), self.now).await? else { return Ok(None) };
        if !media.expects_size(object.size_bytes) {
            let declared = media.declared_size.map_or(0, FileSize::bytes);
            let rule = format!("{} was declared with {declared} bytes but has {}", media.id, object.size_bytes);
            return Err(Error::file_size(rule));
        }
        // A rejected object is hashed already.
        let known = media.last_object().filter(|known| known.etag == object.etag);
        let object = known.cloned().unwrap_or(object);
        // After a new declaration, the object before it is not taken.
        let is_other = object.sha256.zip(media.declared_sha256).is_some_and(|(stored, declared)| stored != declared);
        Ok(Some((media.id.clone(), object)).filter(|_| !is_other))
    }

    /// Compares the primary media file with the claim. Returns the time at which its hash was verified, if one is claimed.
    async fn verify(
        &self,
        seen: &Recording,
        found: &mut FoundObjects,
        claim: &Claim,
    ) -> Result<Option<Timestamp>, Error> {
        let present = seen.clone().with_uploaded(found);
        let missing = || Error::MediaNotUploaded { missing: seen.media.keys().cloned().collect() };
        let primary = present.primary().ok_or_else(missing)?;
        let object = &primary.uploaded().ok_or_else(missing)?.object;
        if let Some(size) = claim.size.filter(|size| size.bytes() != object.size_bytes) {
            let rule = format!(
                "must be the size of the stored file: {} was sent but {} has {}",
                size.bytes(),
                primary.id,
                object.size_bytes
            );
            return Err(Error::file_size(rule));
        }
        let Some(expected) = claim.completion.content_sha256 else { return Ok(None) };
        let hashed = self.hashed(&present, primary, object).await?;
        let Some(stored) = hashed.sha256 else { return Err(missing()) };
        if stored != expected {
            self.store.reject_object(&seen.id, &primary.id, &hashed, self.now).await?;
            return Err(Error::IntegrityMismatch { media_id: primary.id.clone(), expected, stored });
        }
        if let Some((_, found)) = found.iter_mut().find(|(id, _)| *id == primary.id) {
            *found = hashed;
        } else if object.sha256.is_none() {
            // The object of a multipart upload is recorded before its notification brings the hash.
            self.store.record_object(&seen.id, &primary.id, &hashed, self.now).await?;
        }
        Ok(Some(self.now))
    }

    async fn hashed(&self, seen: &Recording, media: &Media, object: &StoredObject) -> Result<StoredObject, Error> {
        if object.sha256.is_some() {
            return Ok(object.clone());
        }
        if object.size_bytes > MAX_HASHED_BYTES {
            let rule = format!("must be left out: a file of more than {MAX_HASHED_BYTES} bytes is not hashed");
            return Err(Error::invalid("content_sha256", rule));
        }
        if object.size_bytes > MAX_HASHED_IN_REQUEST_BYTES {
            self.store.request_verification(seen, self.now).await?;
            return Err(Error::VerificationPending { retry_after: VERIFICATION_RETRY_SECONDS });
        }
        let missing = || Error::MediaNotUploaded { missing: vec![media.id.clone()] };
        self.objects.inspect(&key(seen, media), self.now).await?.ok_or_else(missing)
    }
}

fn key(recording: &Recording, media: &Media) -> ObjectKey {
    ObjectKey::original(&recording.tenant.project_id, &recording.id, &media.id, media.content_type)
}
