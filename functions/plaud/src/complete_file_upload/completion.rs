//! Parts become a file, the file is checked, and its recording is completed.

use capstan_domain::{
    Caller, Completion as Mark, Error, ExternalId, FileDetails, Grant, Md5, Media, MultipartUpload, Recording, Status,
    StoredObject,
};
use capstan_http::{Request, named_owner};
use capstan_objects::{MAX_HASHED_BYTES, ObjectKey, Objects};
use capstan_store::{Changed, Owner, Store, UploadedFile};
use capstan_uploads::{Completed, HASHED_AT_ONCE, HASHED_LATER_SECONDS, PartsCompletion};

use super::body::Claim;

/// How often a completion that another change overtook is tried again.
const MAX_TRIES: usize = 5;

/// What a completion is decided with.
pub(crate) struct Completion<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: &'a Objects,
    pub(crate) caller: &'a Caller,
    pub(crate) claim: &'a Claim,
    pub(crate) request: &'a Request,
}

impl Completion<'_> {
    pub(crate) async fn complete(&self, seen: Recording) -> Result<Completed, Error> {
        let mut seen = seen;
        let mark = Mark {
            idempotency_key: Some(self.claim.body.to_string()),
            call: Some(format!("{:032x}", self.request.entropy())),
            ..Mark::default()
        };
        for _ in 0..MAX_TRIES {
            if seen.status != Status::Pending {
                return Completed::before(seen, &mark);
            }
            let file = self.file(&seen, mark.clone()).await?;
            let changed = self.store.complete_file(&self.caller.visibility(), &seen, &file, self.request.now()).await?;
            seen = match changed {
                Changed::Made(recording) => return Ok(Completed::Now(*recording)),
                Changed::Refused(now) => {
                    self.caller.visibility().admit(*now.ok_or(Error::NotFound { what: "file" })?)?
                }
            };
        }
        Err(Error::Conflict { reason: "the file is being changed by others; ask again".to_owned() })
    }

    async fn file(&self, seen: &Recording, completion: Mark) -> Result<UploadedFile, Error> {
        let (media, upload) = self.upload(seen)?;
        let (started_at, ended_at) = self.claim.details.times()?;
        if self.claim.md5.is_some() && upload.plan.file_size().bytes() > MAX_HASHED_BYTES {
            let rule = format!("must be left out: a file of more than {MAX_HASHED_BYTES} bytes is not hashed");
            return Err(Error::invalid("file_md5", rule));
        }
        let (owner, owner_id) = self.owner(seen).await?;
        let now = self.request.now();
        let parts = PartsCompletion { objects: self.objects, recording: seen, media, upload, now };
        let object = parts.object(&self.claim.parts).await.map_err(in_part_list)?;
        let object = self.checked(seen, media, object).await?;
        Ok(UploadedFile {
            media_id: media.id.clone(),
            object,
            owner,
            name: self.claim.name.clone(),
            started_at,
            ended_at,
            verified_at: self.claim.md5.map(|_| now),
            details: FileDetails { owner_id, ..self.claim.details.clone() },
            completion,
        })
    }

    fn upload<'r>(&self, seen: &'r Recording) -> Result<(&'r Media, &'r MultipartUpload), Error> {
        let (media, upload) = seen.file_upload()?;
        if upload.id.as_str() != self.claim.upload_id {
            return Err(Error::invalid("upload_id", "must be that with which this file is uploaded"));
        }
        if media.content_type != self.claim.file_type.content_type() {
            return Err(Error::file_type("must stay as it was said for the upload").of_field("filetype"));
        }
        Ok((media, upload))
    }

    /// Whose the file is, with the `owner_id` that says so. Whose it was when the upload was begun, it stays; the holder of
    /// an upload token names nobody.
    async fn owner(&self, seen: &Recording) -> Result<(Owner, Option<ExternalId>), Error> {
        let may_name = !matches!(self.caller.grant, Grant::Device { .. } | Grant::Upload { .. });
        if !may_name || self.claim.by_partner || seen.end_user_id.is_some() {
            return Ok((Owner::default(), None));
        }
        let details = &self.claim.details;
        let mut owner = Owner::default();
        if let Some(serial_number) = &details.serial_number {
            let device = self.store.device_called(&seen.tenant, serial_number).await?;
            let device = device.ok_or_else(|| Error::invalid("sn", "must be the serial number of a known device"))?;
            owner.end_user_id = device.binding.map(|binding| binding.end_user_id);
            owner.device_id = Some(device.id);
        }
        match &details.owner_id {
            Some(owner_id) if owner.end_user_id.is_none() => {
                let named = named_owner(self.store, &seen.tenant, owner_id, self.request).await?;
                owner.end_user_id = Some(named.id);
                Ok((owner, Some(owner_id.clone())))
            }
            None if owner == Owner::default() => Err(Error::invalid("sn", "is required, or owner_id")),
            _ => Ok((owner, None)),
        }
    }

    /// The object with its MD5 compared to the claimed one. Partners are told the MD5 whether or not they claim one.
    async fn checked(&self, seen: &Recording, media: &Media, object: StoredObject) -> Result<StoredObject, Error> {
        // The same write may have been hashed by its notification.
        let known = media.stored.clone().filter(|known| known.etag == object.etag);
        let mut object = known.unwrap_or(object);
        let is_wanted = self.claim.md5.is_some() || self.claim.by_partner;
        if object.md5.is_none() && is_wanted && object.size_bytes <= HASHED_AT_ONCE {
            object = self.hashed(seen, media, object).await?;
        }
        match (self.claim.md5, object.md5) {
            (None, _) => Ok(object),
            (Some(expected), Some(stored)) if expected == stored => Ok(object),
            (Some(expected), Some(stored)) => Err(self.refuse(seen, media, &object, expected, stored).await?),
            (Some(_), None) => {
                self.store.record_object(&seen.id, &media.id, &object, self.request.now()).await?;
                self.store.request_verification(seen, self.request.now()).await?;
                Err(Error::VerificationPending { retry_after: HASHED_LATER_SECONDS })
            }
        }
    }

    async fn hashed(&self, seen: &Recording, media: &Media, object: StoredObject) -> Result<StoredObject, Error> {
        let read = self.objects.inspect(&ObjectKey::of(seen, media), self.request.now()).await?;
        let replaced = || Error::Conflict { reason: "the file was replaced meanwhile; ask again".to_owned() };
        let read = read.filter(|read| read.etag == object.etag).ok_or_else(replaced)?;
        Ok(StoredObject { sequencer: object.sequencer, ..read })
    }

    async fn refuse(
        &self,
        seen: &Recording,
        media: &Media,
        object: &StoredObject,
        expected: Md5,
        stored: Md5,
    ) -> Result<Error, Error> {
        self.store.reject_object(&seen.id, &media.id, object, self.request.now()).await?;
        Ok(Error::FileMd5NotMatch { expected, stored })
    }
}

/// Names the parts as this client writes them.
fn in_part_list(error: Error) -> Error {
    match error {
        Error::Invalid { param, rule } => {
            let named = param.replacen("parts", "part_list", 1).replace(".part_number", ".PartNumber");
            Error::Invalid { param: named.replace(".etag", ".ETag"), rule }
        }
        other => other,
    }
}
