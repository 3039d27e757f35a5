//! Names of the table's attributes, and paths to them within an item.

use capstan_domain::{
    Binding, Chunk, Credential, Device, EndUser, Lease, Media, MediaId, MeetingRecording, MultipartUpload,
    OriginalRequest, Recording, StoredObject, Transcription, TranscriptionOptions, UploadedObject,
};

use crate::item::Named;

/// Name of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute(&'static str);

impl Attribute {
    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }

    /// Path of an attribute within this one.
    pub(crate) fn then(self, within: impl Into<Path>) -> Path {
        Path::from(self).then(within)
    }
}

/// Path of an attribute: names joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Path of an attribute within this one.
    pub(crate) fn then(self, within: impl Into<Self>) -> Self {
        Self(format!("{}.{}", self.0, within.into().0))
    }

    /// Path of a member of this map.
    pub(crate) fn member(self, key: impl std::fmt::Display) -> Self {
        Self(format!("{}.{key}", self.0))
    }
}

impl From<Attribute> for Path {
    fn from(Attribute(name): Attribute) -> Self {
        Self(name.to_owned())
    }
}

/// Declares attributes by the fields that they serialize, so that a renamed field does not compile.
macro_rules! attributes {
    ($($constant:ident: $field:ident of $($entity:ident $(.$group:ident)?),+;)*) => {
        $(
            pub(crate) const $constant: Attribute = Attribute(stringify!($field));
            $(const _: fn(&$entity) = |entity| { let _ = &entity $(.$group)? .$field; };)+
        )*
    };
}

attributes! {
    ANSWER: answer of OriginalRequest;
    ATTEMPTS: attempts of Recording.processing, Transcription;
    BEGAN_AT: began_at of OriginalRequest;
    BINDING: binding of Device;
    BINDING_GENERATION: binding_generation of Device, Recording.origin;
    CHUNKS: chunks of Transcription;
    COMPLETED_AT: completed_at of Transcription;
    COMPLETION: completion of Recording.upload;
    CONTENT_TYPE: content_type of Media;
    DECLARED_CAPTURED_AT: declared_captured_at of Media;
    DECLARED_SHA256: declared_sha256 of Media;
    DECLARED_SIZE: declared_size of Media;
    DELETED_AT: deleted_at of Recording;
    DEVICES: devices of EndUser;
    DEVICE_ID: device_id of Recording.origin;
    DURATION: duration of Transcription;
    ENDED_AT: ended_at of Recording.origin;
    END_USER_ID: end_user_id of Recording.origin;
    ERROR: error of Recording.end, Transcription;
    ETAG: etag of StoredObject;
    EVENT_TYPE: event_type of Recording.processing, Transcription;
    EXPIRES_AT: expires_at of Recording.upload, Credential;
    FILE: file of Recording.origin;
    FIRMWARE_VERSION: firmware_version of Device;
    ID: id of Recording, Transcription, Device, EndUser, Lease, MultipartUpload;
    LANGUAGE: language of Transcription;
    LAST_HEARTBEAT: last_heartbeat of Device;
    LAST_USED_AT: last_used_at of Credential;
    LATE_ARRIVALS: late_arrivals of Recording.processing;
    LEASE: lease of Recording.processing, Transcription;
    MD5: md5 of StoredObject;
    MEDIA: media of Recording;
    MEETING: meeting of Recording, Transcription;
    METADATA: metadata of Recording, Device, EndUser;
    MODEL: model of Device;
    MULTIPART: multipart of Media;
    NAME: name of Recording;
    NAMES: names of NamedRecording;
    OBJECT: object of UploadedObject;
    OPTIONS: options of Transcription;
    OUTCOME: outcome of UploadedObject;
    PAYLOAD: payload of OriginalRequest;
    PROCESSED_AT: processed_at of Recording.end;
    PROVIDER: provider of TranscriptionOptions;
    RECORDING_ID: recording_id of Transcription;
    REPLACED_BY: replaced_by of Credential;
    REVISION: revision of MeetingRecording;
    REVOKED_AT: revoked_at of Credential;
    RUNNING_UNTIL: running_until of OriginalRequest;
    SEED: seed of OriginalRequest;
    SEQUENCER: sequencer of StoredObject;
    SHA256: sha256 of StoredObject;
    STARTED_AT: started_at of Recording.origin, Transcription;
    STATE: state of Media;
    STATUS: status of Recording, Transcription, Chunk;
    TENANT: tenant of Recording, Transcription, Device, EndUser;
    TOKEN: token of Binding;
    TRANSCRIPT: transcript of Transcription;
    TRANSCRIPTIONS: transcriptions of Recording;
    UNTIL: until of Lease;
    UPDATED_AT: updated_at of Recording, Transcription, Device;
    UPLOADED_AT: uploaded_at of Recording.upload;
    URL_EXPIRES_AT: url_expires_at of Media;
    VERIFIED_AT: verified_at of Recording.upload;
    WORD_COUNT: word_count of Transcription;
}

type NamedRecording = Named<capstan_domain::RecordingId>;

// Attributes that no entity has.

pub(crate) const PARTITION: Attribute = Attribute("PK");
pub(crate) const SORT: Attribute = Attribute("SK");
pub(crate) const PROJECT_KEY: Attribute = Attribute("project_key");
pub(crate) const DEVICE_KEY: Attribute = Attribute("device_key");
pub(crate) const END_USER_KEY: Attribute = Attribute("end_user_key");
pub(crate) const DUE_KEY: Attribute = Attribute("due_key");
pub(crate) const DUE_AT: Attribute = Attribute("due_at");
/// The set of media files whose objects are awaited. Absent when there is none.
pub(crate) const AWAITED: Attribute = Attribute("awaited");
/// Seconds since 1970 after which DynamoDB deletes the item, within days.
pub(crate) const TTL: Attribute = Attribute("ttl");

// The variants of `MediaState`.
const REJECTED: Attribute = Attribute("rejected");
const UPLOADED: Attribute = Attribute("uploaded");

/// A media file of a recording.
pub(crate) fn media(id: &MediaId) -> Path {
    Path::from(MEDIA).member(id)
}

/// An attribute of a media file.
pub(crate) fn media_attribute(id: &MediaId, attribute: impl Into<Path>) -> Path {
    media(id).then(attribute)
}

/// The state of a media file.
pub(crate) fn media_state(id: &MediaId) -> Path {
    media_attribute(id, STATE)
}

/// The `UploadedObject` of a media file, there when its object is stored.
pub(crate) fn uploaded(id: &MediaId) -> Path {
    media_state(id).then(UPLOADED)
}

/// An attribute of the stored object of a media file.
pub(crate) fn uploaded_object(id: &MediaId, attribute: Attribute) -> Path {
    uploaded(id).then(OBJECT).then(attribute)
}

/// An attribute of the rejected object of a media file.
pub(crate) fn rejected_object(id: &MediaId, attribute: Attribute) -> Path {
    media_state(id).then(REJECTED).then(OBJECT).then(attribute)
}

/// The status of a chunk of a transcription.
pub(crate) fn chunk_status(number: capstan_domain::ChunkNumber) -> Path {
    Path::from(CHUNKS).member(number).then(STATUS)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use capstan_domain::{
        ContentType, Findings, ImageFacts, MediaState, Mode, Sha256, Tenant, Timestamp, UploadedObject,
    };

    use super::*;
    use crate::item::{Item, to_item};

    fn find<'a>(item: &'a Item, path: &Path) -> Option<&'a AttributeValue> {
        let mut names = path.names();
        let first = item.get(names.next()?);
        names.fold(first, |value, name| value?.as_m().ok()?.get(name))
    }

    #[test]
    fn a_serialized_recording_has_its_attributes_at_their_paths() {
        let now = Timestamp::from_milliseconds(1_736_931_600_001).unwrap();
        let tenant = Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live };
        let mut recording = Recording::new("rec_1".parse().unwrap(), tenant, Some("eu_1".parse().unwrap()), now);
        let object = StoredObject {
            size_bytes: 1,
            etag: "a".to_owned(),
            sha256: Some(Sha256::of(b"x")),
            md5: None,
            sequencer: Some(capstan_domain::Sequencer::new("1")),
            recorded_at: now,
        };
        let facts = capstan_domain::Facts::Image(ImageFacts { width: 1, height: 1 });
        let findings = Findings { facts, renditions: Vec::new(), captured_at: None };
        let [stored, rejected]: [MediaId; 2] = ["med_1", "med_2"].map(|id| id.parse().unwrap());
        let uploaded_state = UploadedObject { outcome: Some(Ok(findings)), ..UploadedObject::late(object.clone()) };
        for (id, state) in
            [(&stored, MediaState::Uploaded(uploaded_state)), (&rejected, MediaState::Rejected { object })]
        {
            let media = Media::new(id.clone(), ContentType::ImagePng, now, now);
            recording.media.insert(id.clone(), Media { state, ..media });
        }
        recording.processing.attempts = 1;
        recording.processing.lease = Some(Lease::from("lease_1".parse().unwrap(), now));
        let item = to_item(&recording).unwrap();
        for path in [
            STATUS.into(),
            TENANT.into(),
            UPDATED_AT.into(),
            EXPIRES_AT.into(),
            END_USER_ID.into(),
            ATTEMPTS.into(),
            LEASE.then(ID),
            LEASE.then(UNTIL),
            media_attribute(&stored, CONTENT_TYPE),
            uploaded(&stored).then(OUTCOME),
            uploaded_object(&stored, ETAG),
            uploaded_object(&stored, SHA256),
            uploaded_object(&stored, SEQUENCER),
            rejected_object(&rejected, ETAG),
        ] {
            assert!(find(&item, &path).is_some(), "{path:?} is not in {item:?}");
        }
        assert_eq!(find(&item, &uploaded(&rejected)), None);
    }
}
