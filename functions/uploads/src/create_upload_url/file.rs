//! What a client declares of the file that it wants to upload.

use capstan_domain::{
    Caller, ContentType, Error, FileSize, Media, MediaId, PartPlan, RecordingId, Sha256, Timestamp, URL_SECONDS,
};
use capstan_http::Request;
use capstan_objects::{ObjectKey, Objects, Signer};
use capstan_store::{MultipartRenewal, Renewal, Store};

use super::Body;

/// A file as it is declared.
pub(crate) struct File {
    content_type: ContentType,
    declares_type: bool,
    size: Option<FileSize>,
    sha256: Option<Sha256>,
    captured_at: Option<Timestamp>,
    /// The pending media file that it belongs to.
    pub(crate) again: Option<MediaId>,
    /// The media file that it becomes otherwise.
    pub(crate) new: MediaId,
    /// How it is cut, where it is sent in parts.
    pub(crate) plan: Option<PartPlan>,
}

impl File {
    pub(crate) fn of(request: &Request) -> Result<Self, Error> {
        let body: Body = request.json()?;
        let size = body.file_size_bytes.as_ref().map(FileSize::from_json).transpose()?;
        let in_parts = body.multipart == Some(true);
        if in_parts && body.content_sha256.is_some() {
            let rule = "cannot be checked part by part: leave it out with multipart, and give it to upload-complete";
            return Err(Error::invalid("content_sha256", rule));
        }
        let plan = match size {
            Some(size) if in_parts => Some(PartPlan::of(size)),
            None if in_parts => return Err(Error::invalid("file_size_bytes", "is required with multipart")),
            size => size.map(FileSize::by_one_put).transpose().map(|_| None)?,
        };
        Ok(Self {
            content_type: ContentType::declared(body.media_type, body.content_type.as_deref())?,
            declares_type: body.media_type.is_some() || body.content_type.is_some(),
            size,
            sha256: body.content_sha256,
            captured_at: body.captured_at,
            again: body.media_id,
            new: MediaId::new(request.now(), request.entropy()),
            plan,
        })
    }
}

/// An upload that is asked for.
pub(crate) struct Upload<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: &'a Objects,
    pub(crate) signer: Signer<'a>,
    pub(crate) caller: &'a Caller,
    pub(crate) recording_id: &'a RecordingId,
    pub(crate) file: File,
    /// The time that is written.
    pub(crate) now: Timestamp,
    /// The time from which URLs are good: later than `now` in another attempt at an earlier call.
    pub(crate) signed_at: Timestamp,
}

impl Upload<'_> {
    /// Identifier of the media file.
    pub(crate) fn media(&self) -> Media {
        let mut media = Media::new(self.file.new.clone(), self.file.content_type, self.latest_url_end(), self.now);
        (media.declared_size, media.declared_sha256) = (self.file.size, self.file.sha256);
        media.declared_captured_at = self.file.captured_at;
        media
    }

    /// What is declared anew of a pending media file.
    pub(crate) fn renewal(&self, media_id: &MediaId, multipart: Option<MultipartRenewal>) -> Renewal {
        Renewal {
            media_id: media_id.clone(),
            content_type: self.file.declares_type.then_some(self.file.content_type),
            size: self.file.size,
            sha256: self.file.sha256,
            captured_at: self.file.captured_at,
            url_expires_at: self.latest_url_end(),
            multipart,
        }
    }

    pub(crate) fn key(&self, media: &Media) -> ObjectKey {
        ObjectKey::original(&self.caller.tenant.project_id, self.recording_id, &media.id, media.content_type)
    }

    /// Where the credentials that sign end before, so does the URL; what is stored is the latest that it can be.
    fn latest_url_end(&self) -> Timestamp {
        self.signed_at.plus_seconds(URL_SECONDS.into())
    }
}
