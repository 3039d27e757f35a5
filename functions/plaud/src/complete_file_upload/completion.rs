//! Completes the multipart upload of a file, verifies its MD5, and completes its recording.

use std::ops::ControlFlow;

use capstan_domain::{
    Caller, CompletedUpload, Completion, Error, ExternalId, FileDetails, Grant, Md5, Media, MultipartUpload, Recording,
    Status, StoredObject,
};
use capstan_http::Request;
use capstan_objects::{MAX_HASHED_BYTES, ObjectKey, Objects};
use capstan_store::{Changed, Owner, Store, UploadedFile, retry_overtaken};
use capstan_uploads::{MAX_HASHED_IN_REQUEST_BYTES, MultipartCompletion, VERIFICATION_RETRY_SECONDS};

use super::body::{Claim, times};
use crate::field::field_name;
use crate::owner::find_or_create_owner;

/// How often a completion is tried that other requests overtake.
const MAX_TRIES: usize = 5;

/// What a completion needs.
pub(crate) struct FileCompletion<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: &'a Objects,
    pub(crate) caller: &'a Caller,
    pub(crate) claim: &'a Claim,
    pub(crate) request: &'a Request,
}

impl FileCompletion<'_> {
    pub(crate) async fn complete(&self, seen: Recording) -> Result<CompletedUpload, Error> {
        let completion = Completion {
            idempotency_key: Some(self.claim.body.to_string()),
            request: Some(format!("{:032x}", self.request.entropy())),
            ..Completion::default()
        };
        let overtaken = || Error::Conflict {
            reason: "other requests keep changing the file at the same time; try again".to_owned(),
        };
        retry_overtaken(MAX_TRIES, overtaken, seen, |seen| self.attempt(seen, &completion)).await
    }

    async fn attempt(
        &self,
        seen: Recording,
        completion: &Completion,
    ) -> Result<ControlFlow<CompletedUpload, Recording>, Error> {
        if seen.status != Status::Pending {
            return CompletedUpload::by_earlier_request(seen, completion).map(ControlFlow::Break);
        }
        let file = self.file(&seen, completion.clone()).await?;
        let visibility = self.caller.visibility();
        match self.store.complete_file(&visibility, &seen, &file, self.request.now()).await? {
            Changed::Made(recording) => Ok(ControlFlow::Break(CompletedUpload::Now(*recording))),
            Changed::Refused(newer) => {
                visibility.admit(*newer.ok_or(Error::NotFound { what: "file" })?).map(ControlFlow::Continue)
            }
        }
    }

    async fn file(&self, seen: &Recording, completion: Completion) -> Result<UploadedFile, Error> {
        let (media, upload) = self.upload(seen)?;
        let (started_at, ended_at) = times(&self.claim.details)?;
        if self.claim.md5.is_some() && upload.plan.file_size().bytes() > MAX_HASHED_BYTES {
            let rule = format!("must be left out: a file of more than {MAX_HASHED_BYTES} bytes is not hashed");
            return Err(Error::invalid("file_md5", rule));
        }
        let (owner, owner_id) = self.owner(seen).await?;
        let now = self.request.now();
        let parts = MultipartCompletion { objects: self.objects, recording: seen, media, upload, now };
        let object = parts.object(&self.claim.parts).await.map_err(|error| error.with_field_name(field_name))?;
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
            return Err(Error::invalid("upload_id", "must be the upload_id that was returned for this file"));
        }
        if media.content_type != self.claim.file_type.content_type() {
            return Err(Error::file_type("must be the type that was declared when the upload was created")
                .with_field_name(field_name));
        }
        Ok((media, upload))
    }

    /// The owner of the file, and the `owner_id` that names one. An owner that is known since the upload was created stays;
    /// devices and upload tokens cannot name one.
    async fn owner(&self, seen: &Recording) -> Result<(Owner, Option<ExternalId>), Error> {
        let may_name = !matches!(self.caller.grant, Grant::Device(_) | Grant::Upload { .. });
        if !may_name || self.claim.by_partner || seen.origin.end_user_id.is_some() {
            return Ok((Owner::default(), None));
        }
        let details = &self.claim.details;
        let mut owner = Owner::default();
        if let Some(serial_number) = &details.serial_number {
            let device = self.store.device_called(&seen.tenant, serial_number).await?;
            let device =
                device.ok_or_else(|| Error::invalid("sn", "must be the serial number of a registered device"))?;
            owner.end_user_id = device.binding.map(|binding| binding.end_user_id);
            owner.device_id = Some(device.id);
        }
        match &details.owner_id {
            Some(owner_id) if owner.end_user_id.is_none() => {
                let named = find_or_create_owner(self.store, &seen.tenant, owner_id, self.request).await?;
                owner.end_user_id = Some(named.id);
                Ok((owner, Some(owner_id.clone())))
            }
            None if owner == Owner::default() => Err(Error::invalid("sn", "is required unless owner_id is given")),
            _ => Ok((owner, None)),
        }
    }

    /// The object, with its MD5 if one is claimed. The partner endpoint always returns the MD5.
    async fn checked(&self, seen: &Recording, media: &Media, object: StoredObject) -> Result<StoredObject, Error> {
        // The notification of the object may have hashed it already.
        let known = media.last_object().filter(|known| known.etag == object.etag);
        let mut object = known.cloned().unwrap_or(object);
        let is_wanted = self.claim.md5.is_some() || self.claim.by_partner;
        if object.md5.is_none() && is_wanted && object.size_bytes <= MAX_HASHED_IN_REQUEST_BYTES {
            object = self.hashed(seen, media, object).await?;
        }
        match (self.claim.md5, object.md5) {
            (None, _) => Ok(object),
            (Some(expected), Some(stored)) if expected == stored => Ok(object),
            (Some(expected), Some(stored)) => Err(self.refuse(seen, media, &object, expected, stored).await?),
            (Some(_), None) => {
                self.store.record_object(&seen.id, &media.id, &object, self.request.now()).await?;
                self.store.request_verification(seen, self.request.now()).await?;
                Err(Error::VerificationPending { retry_after: VERIFICATION_RETRY_SECONDS })
            }
        }
    }

    async fn hashed(&self, seen: &Recording, media: &Media, object: StoredObject) -> Result<StoredObject, Error> {
        let read = self.objects.inspect(&ObjectKey::of(seen, media), self.request.now()).await?;
        let replaced =
            || Error::Conflict { reason: "another upload replaced the file at the same time; try again".to_owned() };
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
