//! Recordings in any state, for tests.

use aws_sdk_s3::primitives::ByteStream;
use capstan_domain::{
    AudioFacts, Completion, ContentType, Facts, FileSize, Findings, ImageFacts, LeaseId, Media, MediaId, MediaType,
    MultipartUpload, PartPlan, ProcessedMedia, Recording, RecordingId, Sequencer, Sha256, Tenant, Visibility,
};
use capstan_objects::ObjectKey;
use capstan_store::{Changed, Renewal};

use crate::{RECORDING, TestEnvironment};

/// A recording in the making. Its media get the ids `med_1`, `med_2` and so on.
#[derive(Debug)]
pub struct RecordingBuilder<'a> {
    environment: &'a TestEnvironment,
    recording: Recording,
    media: Vec<(ContentType, Content)>,
}

/// What is there of a media file.
#[derive(Debug)]
enum Content {
    Awaited,
    Whole(Vec<u8>),
    InParts(PartPlan),
}

impl<'a> RecordingBuilder<'a> {
    pub(crate) fn new(environment: &'a TestEnvironment) -> Self {
        let id = RECORDING.parse().expect("a recording id");
        let mut recording =
            Recording::new(id, TestEnvironment::tenant(), Some(TestEnvironment::end_user_id()), environment.now());
        recording.origin.device_id = Some(TestEnvironment::device_id());
        Self { environment, recording, media: Vec::new() }
    }

    /// With another id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.recording.id = id.parse().expect("a recording id");
        self
    }

    /// Of another tenant, with an end user and a device of its own.
    #[must_use]
    pub fn of(mut self, tenant: Tenant) -> Self {
        let suffix = tenant.to_string().replace(['#', '_'], "");
        self.recording.origin.end_user_id = Some(format!("eu_{suffix}").parse().expect("an end user id"));
        self.recording.origin.device_id = Some(format!("dev_{suffix}").parse().expect("a device id"));
        self.recording.tenant = tenant;
        self
    }

    /// Changed in any other way.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Recording)) -> Self {
        change(&mut self.recording);
        self
    }

    /// Adds a media file that is not uploaded yet.
    #[must_use]
    pub fn awaiting(mut self, content_type: ContentType) -> Self {
        self.media.push((content_type, Content::Awaited));
        self
    }

    /// Adds a media file whose object is recorded.
    #[must_use]
    pub fn holding(mut self, content_type: ContentType, bytes: impl Into<Vec<u8>>) -> Self {
        self.media.push((content_type, Content::Whole(bytes.into())));
        self
    }

    /// With a media file of that many bytes whose upload in parts was begun.
    #[must_use]
    pub fn in_parts(mut self, content_type: ContentType, size_bytes: u64) -> Self {
        let size = FileSize::new(size_bytes).expect("a size");
        self.media.push((content_type, Content::InParts(PartPlan::of(size))));
        self
    }

    /// Puts it into the table, and what it holds into the bucket, as a pending recording.
    pub async fn pending(self) -> Recording {
        let Self { environment, recording, media } = self;
        let (id, visibility) = (recording.id.clone(), Visibility::Tenant { tenant: recording.tenant.clone() });
        if let Some(end_user_id) = &recording.origin.end_user_id {
            environment.end_user(&recording.tenant, end_user_id).await;
        }
        if let Some(device_id) = &recording.origin.device_id {
            environment.device(&recording.tenant, device_id).await;
        }
        environment.store.create_recording(recording.clone()).await.expect("the recording is kept");
        for (number, (content_type, content)) in (1..).zip(media) {
            let media_id: MediaId = format!("med_{number}").parse().expect("a media id");
            let mut media_file =
                Media::new(media_id.clone(), content_type, environment.now().plus_seconds(3600), environment.now());
            let key = ObjectKey::of(&recording, &media_file);
            if let Content::InParts(plan) = content {
                let begun = environment.objects.begin_multipart_upload(&key, content_type).await.expect("S3 answers");
                media_file.declared_size = Some(plan.file_size());
                media_file.multipart = Some(MultipartUpload { id: begun, plan });
            }
            environment
                .store
                .add_media(&visibility, &id, &media_file, environment.now())
                .await
                .expect("the media file is kept");
            if let Content::Whole(bytes) = content {
                environment.arrives(&recording, &media_id, content_type, bytes).await;
            }
        }
        let kept = environment.stored(id.as_str()).await.expect("the recording was kept");
        let _ = environment.emulators.take_calls();
        environment.emulators.take_object_created().await;
        kept
    }

    /// Puts it there and completes its upload.
    pub async fn uploaded(self) -> Recording {
        let environment = self.environment;
        let pending = self.pending().await;
        let visibility = Visibility::Tenant { tenant: pending.tenant.clone() };
        let arrivals = [];
        let changed = environment
            .store
            .complete_verified_upload(&visibility, &pending, &arrivals, &Completion::default(), None, environment.now())
            .await
            .expect("the table answers");
        let _ = environment.emulators.take_calls();
        made(changed)
    }

    /// Puts it there, completes its upload and claims it for processing.
    pub async fn processing(self) -> (Recording, LeaseId) {
        let environment = self.environment;
        let uploaded = self.uploaded().await;
        let lease = LeaseId::new(environment.now(), 1);
        let claimed =
            environment.store.claim(&uploaded.id, &lease, environment.now()).await.expect("the table answers");
        let _ = environment.emulators.take_calls();
        (*claimed.expect("nobody else claims it"), lease)
    }

    /// Puts it there and ends its processing, as [`TestEnvironment::processed`].
    pub async fn completed(self) -> Recording {
        let environment = self.environment;
        let uploaded = self.uploaded().await;
        environment.processed(&uploaded.id).await
    }
}

impl TestEnvironment {
    /// Puts the bytes of a media file into the bucket, as a client's PUT does.
    pub async fn put(&self, recording: &Recording, media: &MediaId, content_type: ContentType, bytes: Vec<u8>) {
        let key = ObjectKey::original(&recording.tenant.project_id, &recording.id, media, content_type);
        let s3 = self.emulators.s3();
        let put = s3.put_object().bucket(self.bucket()).key(key.as_str()).content_type(content_type.as_str());
        put.body(ByteStream::from(bytes)).send().await.expect("S3 takes the object");
    }

    /// Puts the bytes of a media file into the bucket, and S3 sends its notification.
    pub async fn arrives(&self, recording: &Recording, media: &MediaId, content_type: ContentType, bytes: Vec<u8>) {
        self.put(recording, media, content_type, bytes).await;
        let key = ObjectKey::original(&recording.tenant.project_id, &recording.id, media, content_type);
        let found = self.objects.inspect(&key, self.now()).await.expect("S3 answers");
        let mut object = found.expect("the object was stored");
        object.sequencer = Some(Sequencer::new("01"));
        self.store.record_object(&recording.id, media, &object, self.now()).await.expect("the object is recorded");
    }

    /// Another upload URL for a pending media file, by which its client declares the hash of its bytes.
    pub async fn redeclared(&self, recording: &Recording, media: &MediaId, sha256: Sha256) -> Recording {
        let renewal = Renewal {
            media_id: media.clone(),
            content_type: None,
            size: None,
            sha256: Some(sha256),
            captured_at: None,
            url_expires_at: self.now().plus_seconds(3600),
            multipart: None,
        };
        let visibility = Visibility::Tenant { tenant: recording.tenant.clone() };
        self.store
            .renew_media(&visibility, &recording.id, &renewal, self.now())
            .await
            .expect("the media file is pending")
    }

    /// The recording after a worker that died as soon as it had ended processing: every media file turned out to be a
    /// picture of one pixel, or two and a half seconds of speech.
    pub async fn processed(&self, id: &RecordingId) -> Recording {
        let lease = LeaseId::new(self.now(), 1);
        let claimed = self.store.claim(id, &lease, self.now()).await.expect("the table answers");
        let mut claimed = *claimed.expect("nobody else claims it");
        for media in claimed.clone().media.values().filter(|media| media.is_unprocessed()) {
            let findings = Findings { facts: facts(media), renditions: Vec::new(), captured_at: None };
            let etag = media.last_object().map(|object| object.etag.clone()).unwrap_or_default();
            let processed = ProcessedMedia { media_id: media.id.clone(), etag, outcome: Ok(findings) };
            claimed = made(
                self.store.save_outcome(&claimed, &lease, &processed, self.now()).await.expect("the table answers"),
            );
        }
        let finished = self.store.finish(&claimed, &lease, None, self.now()).await.expect("the table answers");
        let _ = self.emulators.take_calls();
        made(finished)
    }

    /// Sends a part of a recording's media file, every byte of it the part's number, and gives S3's tag with its quotes.
    pub async fn send_part(&self, recording: &Recording, media: &MediaId, number: u16) -> String {
        let (media, upload) = recording.multipart_upload(media).expect("it is sent in parts");
        let part = upload.plan.parts().find(|part| part.number.get() == number).expect("it has this part");
        let bytes =
            vec![u8::try_from(number % 256).unwrap_or_default(); usize::try_from(part.size_bytes).expect("fits")];
        let key = ObjectKey::of(recording, media);
        let s3 = self.emulators.s3();
        let send = s3.upload_part().bucket(self.bucket()).key(key.as_str()).upload_id(upload.id.as_str());
        let sent = send.part_number(number.into()).body(ByteStream::from(bytes)).send().await;
        sent.expect("S3 takes the part").e_tag.expect("S3 tags the part")
    }

    /// Sends all parts of a recording's media file.
    pub async fn send_parts(&self, recording: &Recording, media: &MediaId) -> Vec<String> {
        let (_, upload) = recording.multipart_upload(media).expect("it is sent in parts");
        let mut tags = Vec::new();
        for part in upload.plan.parts() {
            tags.push(self.send_part(recording, media, part.number.get()).await);
        }
        tags
    }

    /// The id of a recording's media file.
    pub fn media_id(text: &str) -> MediaId {
        text.parse().expect("a media id")
    }

    /// The id of a recording.
    pub fn recording_id(text: &str) -> RecordingId {
        text.parse().expect("a recording id")
    }
}

fn facts(media: &Media) -> Facts {
    match media.content_type.media_type() {
        MediaType::Image => Facts::Image(ImageFacts { width: 1, height: 1 }),
        MediaType::Audio | MediaType::Video => Facts::Audio(AudioFacts {
            duration_ms: 2_500,
            codec: "opus".to_owned(),
            sample_rate_hz: 48_000,
            channels: 1,
            loudness_lufs: Some(-23.0),
        }),
    }
}

pub(crate) fn made<T: std::fmt::Debug>(changed: Changed<T>) -> T {
    match changed {
        Changed::Made(entity) => *entity,
        Changed::Refused(old) => panic!("the environment could not be set: {old:?}"),
    }
}
