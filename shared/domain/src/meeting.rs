//! Recordings and transcriptions as Scoot-shaped workers know them: objects that a worker keeps telling of under a UUID.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::{Builder, Uuid};

use crate::{
    Error, ExternalId, InvalidText, ProcessingError, ProcessingErrorCode, Status, Tenant, Timestamp,
    TranscriptionStatus,
};

macro_rules! uuids {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(Uuid);

            impl $name {
                /// A new one, a UUID of version 4.
                pub fn new(entropy: u128) -> Self {
                    Self(Builder::from_random_bytes(entropy.to_be_bytes()).into_uuid())
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}", self.0.hyphenated())
                }
            }

            impl FromStr for $name {
                type Err = InvalidText;

                fn from_str(text: &str) -> Result<Self, InvalidText> {
                    text.parse().map(Self).map_err(|_| InvalidText("must be a UUID"))
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                }
            }
        )*
    };
}

uuids! {
    /** Names a recording as workers do. */
    MeetingRecordingId;
    /** Names a transcription as workers do. */
    MeetingTranscriptionId;
    /** Names a session, or the set of rooms that it was held in, as workers do. */
    MeetingId;
    /** Names a person as workers do. */
    MeetingUserId;
}

impl MeetingUserId {
    /// What the project's own system calls the end user.
    pub fn external_id(&self) -> Result<ExternalId, InvalidText> {
        self.to_string().parse()
    }
}

/// Where a worker's recording or transcription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MeetingStatus {
    /// Somebody is at it.
    Processing,
    /// It has ended well.
    Complete,
    /// It has ended.
    Failed,
}

impl MeetingStatus {
    /// As workers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
        }
    }

    /// Where something that stands so stands after a worker's call. A call that names no status leaves it.
    ///
    /// # Errors
    /// [`Error::Conflict`] for any other status after an end.
    pub fn after(self, told: Option<Self>) -> Result<Self, Error> {
        match (self, told) {
            (Self::Processing, told) => Ok(told.unwrap_or(self)),
            (_, None) => Ok(self),
            (_, Some(told)) if told == self => Ok(self),
            (_, Some(told)) => {
                let reason = format!("it is {}; after an end it becomes {} no more", self.as_str(), told.as_str());
                Err(Error::Conflict { reason })
            }
        }
    }
}

impl From<TranscriptionStatus> for MeetingStatus {
    fn from(status: TranscriptionStatus) -> Self {
        match status {
            TranscriptionStatus::Pending | TranscriptionStatus::Processing => Self::Processing,
            TranscriptionStatus::Completed => Self::Complete,
            TranscriptionStatus::Failed => Self::Failed,
        }
    }
}

impl From<Status> for MeetingStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending | Status::Uploaded | Status::Processing => Self::Processing,
            Status::Completed => Self::Complete,
            Status::Failed => Self::Failed,
        }
    }
}

/// How a recording ends that a worker processes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedEnd {
    /// Well.
    Complete,
    /// Not.
    Failed,
}

impl MeetingStatus {
    /// The end that it is, if it is one.
    pub fn end(self) -> Option<ReportedEnd> {
        match self {
            Self::Processing => None,
            Self::Complete => Some(ReportedEnd::Complete),
            Self::Failed => Some(ReportedEnd::Failed),
        }
    }
}

impl ReportedEnd {
    /// The same as the verdict of processing.
    ///
    /// # Errors
    /// `processing_error` when it failed.
    pub fn verdict(self) -> Result<(), ProcessingError> {
        let message = || "The worker that processed it reported that it failed".to_owned();
        match self {
            Self::Complete => Ok(()),
            Self::Failed => Err(ProcessingError { code: ProcessingErrorCode::ProcessingError, message: message() }),
        }
    }
}

/// What a worker told: a JSON object of at most 256 KiB. A field that is null counts as left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told(Map<String, Value>);

impl Told {
    /// The largest that is kept, in bytes of JSON. An item of DynamoDB's holds 400 kB, and more than this is in it.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// What is told for the first time.
    ///
    /// # Errors
    /// [`Error::RequestTooLarge`].
    pub fn new(mut fields: Map<String, Value>) -> Result<Self, Error> {
        fields.retain(|_, value| !value.is_null());
        let size = serde_json::to_string(&fields).map_or(usize::MAX, |text| text.len());
        if size > Self::MAX_BYTES {
            return Err(Error::RequestTooLarge { limit_bytes: Self::MAX_BYTES });
        }
        Ok(Self(fields))
    }

    /// The same and what is told later. A field that the later call leaves out stays.
    ///
    /// # Errors
    /// As [`Self::new`], of both together.
    pub fn and(&self, later: Self) -> Result<Self, Error> {
        let mut fields = self.0.clone();
        fields.extend(later.0);
        Self::new(fields)
    }

    /// Whether it is told.
    pub fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// A field that is text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// Its fields, with those that are known better.
    pub fn with(&self, known: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Map<String, Value> {
        let mut fields = self.0.clone();
        fields.extend(known.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?.into()))));
        fields
    }
}

// As text, as metadata is: DynamoDB's numbers are not JSON's.
impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(&self.0).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What workers told of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeetingRecording {
    /// By which they know it.
    pub id: MeetingRecordingId,
    /// As they told it.
    pub told: Told,
    /// How often that was changed: who changes it has seen all that was told before.
    pub revision: u32,
    /// When a worker reported its end, where the end is not Capstan's own.
    pub reported_at: Option<Timestamp>,
}

/// What workers told of a transcription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeetingTranscription {
    /// By which they know it.
    pub id: MeetingTranscriptionId,
    /// As they told it.
    pub told: Told,
    /// How often that was changed: who changes it has seen all that was told before.
    pub revision: u32,
}

/// The name of an S3 bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BucketName(String);

impl BucketName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BucketName {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        let well_formed = (3..=63).contains(&text.len()) && text.bytes().all(allowed);
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidText("must be the name of an S3 bucket")) }
    }
}

impl<'de> Deserialize<'de> for BucketName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a medium lies that was not uploaded through Capstan. Capstan reads it, and never writes or deletes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The bucket.
    pub bucket: BucketName,
    /// The object's key.
    pub key: String,
}

/// The buckets that workers may point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeetingBuckets {
    media: BucketName,
    others: BTreeSet<BucketName>,
}

impl FromStr for MeetingBuckets {
    type Err = &'static str;

    /// ARNs with commas between: of the deployment's media bucket, then of those that it allows beside.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "must be ARNs of S3 buckets with commas between";
        let name = |arn: &str| arn.split_once(":::").and_then(|(_, name)| name.parse().ok()).ok_or(rule);
        let mut names = text.split(',').map(str::trim).filter(|arn| !arn.is_empty()).map(name);
        Ok(Self { media: names.next().ok_or(rule)??, others: names.collect::<Result<_, _>>()? })
    }
}

impl MeetingBuckets {
    /// Where the object lies that a worker of this tenant's names. In the media bucket a tenant names only what is below
    /// `{project}/{mode}/`, where no object of a recording is.
    ///
    /// # Errors
    /// [`Error::Invalid`] of `s3Bucket` and of `recordingId`.
    pub fn place(&self, tenant: &Tenant, bucket: Option<&str>, key: &str) -> Result<Place, Error> {
        let bucket = bucket.unwrap_or(self.media.as_str());
        let allowed = std::iter::once(&self.media).chain(&self.others).find(|allowed| allowed.as_str() == bucket);
        let Some(allowed) = allowed else {
            return Err(Error::invalid("s3Bucket", "must be a bucket that this deployment lets workers name"));
        };
        if !(1..=1024).contains(&key.len()) || key.split('/').any(|segment| matches!(segment, "." | "..")) {
            let rule = "must be the key of an object, 1 to 1024 bytes without a segment `.` or `..`";
            return Err(Error::invalid("recordingId", rule));
        }
        let prefix = format!("{}/{}/", tenant.project_id, tenant.mode.as_str());
        if *allowed == self.media && !key.starts_with(&prefix) {
            return Err(Error::invalid("recordingId", format!("must begin with `{prefix}` in this bucket")));
        }
        Ok(Place { bucket: allowed.clone(), key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Mode;

    fn tenant() -> Tenant {
        Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live }
    }

    fn told(value: Value) -> Told {
        Told::new(value.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn from_processing_every_status_follows_and_after_an_end_only_the_same() {
        use MeetingStatus::{Complete, Failed, Processing};
        let all = [Processing, Complete, Failed];
        let arrows: Vec<_> = all
            .into_iter()
            .flat_map(|from| all.map(|to| (from, to)))
            .filter(|(from, to)| from.after(Some(*to)).is_ok_and(|after| after == *to))
            .collect();
        assert_eq!(
            arrows,
            [
                (Processing, Processing),
                (Processing, Complete),
                (Processing, Failed),
                (Complete, Complete),
                (Failed, Failed)
            ]
        );
        assert!(all.into_iter().all(|status| status.after(None).unwrap() == status));
    }

    #[test]
    fn what_is_told_later_is_added_and_what_is_left_out_or_null_stays() {
        let first = told(json!({"name": "a", "recordingSize": 1, "participants": [{"type": "VIDEO"}]}));
        let both = first.and(told(json!({"name": "b", "recordingSize": null, "socialId": "c"}))).unwrap();
        let known = [("status", Some("COMPLETE".to_owned())), ("name", None)];
        assert_eq!(
            Value::Object(both.with(known)),
            json!({"name": "b", "recordingSize": 1, "participants": [{"type": "VIDEO"}], "socialId": "c", "status": "COMPLETE"})
        );
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Told>(&text).unwrap(), both);
    }

    #[test]
    fn what_is_told_in_all_fits_into_an_item() {
        let half = |field: &str| told(json!({field: "x".repeat(Told::MAX_BYTES / 2)}));
        assert!(half("a").and(half("a")).is_ok());
        assert!(matches!(half("a").and(half("b")), Err(Error::RequestTooLarge { .. })));
    }

    #[test]
    fn a_worker_names_allowed_buckets_and_in_ours_only_what_is_its_tenants() {
        let buckets = "arn:aws:s3:::capstan-media,arn:aws:s3:::meetings, arn:aws-cn:s3:::other.one";
        let buckets: MeetingBuckets = buckets.parse().unwrap();
        let refusal = |bucket, key| match buckets.place(&tenant(), bucket, key) {
            Ok(place) => format!("{}/{}", place.bucket, place.key),
            Err(error) => error.to_string().split(':').next().unwrap().to_owned(),
        };
        for (bucket, key, expected) in [
            (Some("meetings"), "a/b.mp4", "meetings/a/b.mp4"),
            (Some("other.one"), "proj_2/live/b.mp4", "other.one/proj_2/live/b.mp4"),
            (Some("strangers"), "a/b.mp4", "s3Bucket"),
            (Some(""), "a/b.mp4", "s3Bucket"),
            (None, "proj_1/live/b.mp4", "capstan-media/proj_1/live/b.mp4"),
            (Some("capstan-media"), "proj_1/live/b.mp4", "capstan-media/proj_1/live/b.mp4"),
            (None, "proj_1/test/b.mp4", "recordingId"),
            (None, "proj_1/rec_1/med_1/audio.opus", "recordingId"),
            (None, "proj_2/live/b.mp4", "recordingId"),
            (None, "proj_1/live/../../proj_2/live/b.mp4", "recordingId"),
            (None, "/proj_1/live/b.mp4", "recordingId"),
            (Some("meetings"), "", "recordingId"),
        ] {
            assert_eq!(refusal(bucket, key), expected, "{bucket:?} {key}");
        }
        for bad in ["", "meetings", "arn:aws:s3:::M"] {
            assert!(bad.parse::<MeetingBuckets>().is_err(), "{bad}");
        }
        assert!("arn:aws:s3:::capstan-media,".parse::<MeetingBuckets>().is_ok(), "none beside");
    }

    #[test]
    fn a_uuid_is_read_in_either_case_and_drawn_of_version_4() {
        let id: MeetingRecordingId = "3C90C3CC-0D44-4B50-8888-8DD25736052A".parse().unwrap();
        assert_eq!(id.to_string(), "3c90c3cc-0d44-4b50-8888-8dd25736052a");
        assert!("3c90c3cc".parse::<MeetingId>().is_err());
        assert_eq!(MeetingId::new(0).to_string(), "00000000-0000-4000-8000-000000000000");
    }
}
