//! The upload that is begun.

use capstan_domain::{
    Caller, Error, FileId, FileSize, FileType, Grant, Media, MediaId, MultipartUpload, PartNumber, PartPlan,
    PlannedPart, Recording, RecordingId, Timestamp, URL_SECONDS,
};
use capstan_http::{PartUrls, Request};
use capstan_objects::{ObjectKey, Objects, PartSigner, Signer};

use super::{Answer, Part};

/// A recording with the one media file that the file becomes.
pub(crate) struct Upload {
    recording: Recording,
    media: Media,
}

/// The same, known to S3.
pub(crate) struct Begun {
    pub(crate) recording: Recording,
    upload: MultipartUpload,
}

impl Upload {
    pub(crate) fn new(caller: &Caller, file_type: FileType, request: &Request) -> Self {
        let now: Timestamp = request.now();
        let device = match &caller.grant {
            Grant::Device(device) => Some(device),
            Grant::Secret | Grant::Restricted { .. } | Grant::Upload { .. } => None,
        };
        let id = RecordingId::new(now, request.entropy());
        let mut recording =
            Recording::new(id, caller.tenant.clone(), device.map(|device| device.end_user_id.clone()), now);
        recording.origin.device_id = device.map(|device| device.device_id.clone());
        recording.origin.binding_generation = device.map(|device| device.generation);
        let media_id = MediaId::new(now, request.entropy());
        let media = Media::new(media_id, file_type.content_type(), now.plus_seconds(URL_SECONDS.into()), now);
        Self { recording, media }
    }

    /// Begins the upload in S3. A client of this shape cannot ask for the URLs of some parts only, so the parts are as
    /// large as it takes for the URLs of all to fit into one answer.
    pub(crate) async fn begin(
        mut self,
        objects: &Objects,
        signer: &Signer<'_>,
        size: FileSize,
    ) -> Result<Begun, Error> {
        let key = ObjectKey::of(&self.recording, &self.media);
        let id = objects.begin_multipart_upload(&key, self.media.content_type).await?;
        let parts = signer.parts(&key, &id).await?;
        let longest = PlannedPart { number: PartNumber::LAST, size_bytes: PartPlan::MAX_PART_SIZE };
        let plan = PartPlan::of_at_most(size, PartUrls::room_for(&parts.sign(longest)));
        let upload = MultipartUpload { id, plan };
        self.media.declared_size = Some(size);
        self.media.multipart = Some(upload.clone());
        self.recording.media.insert(self.media.id.clone(), self.media);
        Ok(Begun { recording: self.recording, upload })
    }
}

impl Begun {
    /// Leave to send the parts. Where an earlier attempt at the same call was kept, its upload is the one.
    pub(crate) async fn answer(self, objects: &Objects, signer: &Signer<'_>, kept: Recording) -> Result<Answer, Error> {
        let (media, upload) = kept.file_upload()?;
        let key = ObjectKey::of(&kept, media);
        if upload.id != self.upload.id {
            objects.abort_multipart_upload(&key, &self.upload.id).await?;
        }
        let urls: PartSigner = signer.parts(&key, &upload.id).await?;
        let parts = upload.plan.parts();
        Ok(Answer {
            file_id: FileId::of(&kept.id).to_string(),
            upload_id: upload.id.as_str().to_owned(),
            chunk_size: upload.plan.part_size_bytes(),
            parts: parts.map(|part| Part { part_number: part.number.get(), presigned_url: urls.sign(part) }).collect(),
        })
    }
}
