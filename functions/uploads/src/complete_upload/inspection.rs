//! Completing an upload: at once where nothing is missing or claimed, else after a look at what S3 holds.

use capstan_domain::{
    Error, Media, MediaId, MediaStatus, Recording, RecordingId, Status, StoredObject, Timestamp, Visibility,
};
use capstan_objects::{MAX_HASHED_BYTES, ObjectKey, Objects};
use capstan_store::{Changed, Store};
use capstan_uploads::{Completed, HASHED_AT_ONCE, HASHED_LATER_SECONDS};
use futures_util::StreamExt;
use futures_util::stream;

use super::claim::Claim;

/// How many objects are asked for side by side.
const CONCURRENT_LOOKS: usize = 16;
/// How often a completion that another change overtook is tried again.
const MAX_TRIES: usize = 5;

/// What a completion is decided with.
pub(crate) struct Inspection<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: &'a Objects,
    pub(crate) visibility: &'a Visibility,
    pub(crate) now: Timestamp,
}

type Arrivals = Vec<(MediaId, StoredObject)>;

impl Inspection<'_> {
    /// One call where every medium has arrived and nothing is claimed; its failure brings the recording along.
    pub(crate) async fn complete(&self, id: &RecordingId, claim: &Claim) -> Result<Completed, Error> {
        let mut changed = if claim.is_empty() {
            self.store.complete_upload(self.visibility, id, &claim.completion, self.now).await?
        } else {
            Changed::Refused(self.store.recording(id).await?.map(Box::new))
        };
        for _ in 0..MAX_TRIES {
            let seen = match changed {
                Changed::Made(recording) => return Ok(Completed::Now(*recording)),
                Changed::Refused(seen) => self.visibility.admit(*seen.ok_or_else(Error::no_recording)?)?,
            };
            if seen.status != Status::Pending {
                return Completed::before(seen, &claim.completion);
            }
            changed = self.complete_inspected(&seen, claim).await?;
        }
        Err(Error::Conflict { reason: "the recording is being changed by others; ask again".to_owned() })
    }

    async fn complete_inspected(&self, seen: &Recording, claim: &Claim) -> Result<Changed, Error> {
        let mut arrivals = self.arrivals(seen).await?;
        let verified_at = self.verify(seen, &mut arrivals, claim).await?;
        self.store
            .complete_inspected_upload(self.visibility, seen, &arrivals, &claim.completion, verified_at, self.now)
            .await
    }

    /// What S3 holds of the media whose notification has not come.
    async fn arrivals(&self, seen: &Recording) -> Result<Arrivals, Error> {
        let looks = seen.media_in(MediaStatus::Pending).map(|media| self.look(seen, media));
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(CONCURRENT_LOOKS);
        let mut arrivals = Vec::new();
        while let Some(arrival) = looks.next().await {
            arrivals.extend(arrival?);
        }
        Ok(arrivals)
    }

    async fn look(&self, seen: &Recording, media: &Media) -> Result<Option<(MediaId, StoredObject)>, Error> {
        let Some(object) = self.objects.find(&key(seen, media), self.now).await? else { return Ok(None) };
        if !media.expects_size(object.size_bytes) {
            let declared = media.declared_size.map_or(0, capstan_domain::FileSize::bytes);
            let rule = format!("{} was declared as {declared} bytes but has {}", media.id, object.size_bytes);
            return Err(Error::file_size(rule));
        }
        // The same write that was hashed before need not be hashed again.
        let known = media.stored.clone().filter(|known| known.etag == object.etag);
        let object = known.unwrap_or(object);
        // What a client has declared since is awaited, however often the bytes before it are found.
        let is_other = object.sha256.zip(media.declared_sha256).is_some_and(|(stored, declared)| stored != declared);
        Ok(Some((media.id.clone(), object)).filter(|_| !is_other))
    }

    /// Compares the primary medium with what is claimed of it. Gives the moment where its hash was found right.
    async fn verify(
        &self,
        seen: &Recording,
        arrivals: &mut Arrivals,
        claim: &Claim,
    ) -> Result<Option<Timestamp>, Error> {
        let present = seen.clone().with_arrivals(arrivals);
        let there = present.primary().filter(|media| media.status == MediaStatus::Uploaded);
        let missing = || Error::MediaNotUploaded { missing: seen.media.keys().cloned().collect() };
        let primary = there.ok_or_else(missing)?;
        let object = primary.stored.as_ref().ok_or_else(missing)?;
        if let Some(size) = claim.size.filter(|size| size.bytes() != object.size_bytes) {
            let rule = format!("you gave {} bytes but {} has {}", size.bytes(), primary.id, object.size_bytes);
            return Err(Error::file_size(rule));
        }
        let Some(expected) = claim.completion.content_sha256 else { return Ok(None) };
        let hashed = self.hashed(&present, primary, object).await?;
        let Some(stored) = hashed.sha256 else { return Err(missing()) };
        if stored != expected {
            self.store.reject_object(&seen.id, &primary.id, &hashed, self.now).await?;
            return Err(Error::IntegrityMismatch { media_id: primary.id.clone(), expected, stored });
        }
        if let Some((_, arrival)) = arrivals.iter_mut().find(|(id, _)| *id == primary.id) {
            *arrival = hashed;
        } else if object.sha256.is_none() {
            // A file in parts counts as uploaded before its notification brings its hash.
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
        if object.size_bytes > HASHED_AT_ONCE {
            self.store.request_verification(seen, self.now).await?;
            return Err(Error::VerificationPending { retry_after: HASHED_LATER_SECONDS });
        }
        let missing = || Error::MediaNotUploaded { missing: vec![media.id.clone()] };
        self.objects.inspect(&key(seen, media), self.now).await?.ok_or_else(missing)
    }
}

fn key(recording: &Recording, media: &Media) -> ObjectKey {
    ObjectKey::original(&recording.tenant.project_id, &recording.id, &media.id, media.content_type)
}
