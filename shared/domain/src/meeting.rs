//! Meeting recordings and transcriptions: a meeting worker creates and updates them under a UUID of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use uuid::{Builder, Uuid};

use crate::{
    Error, ExternalId, InvalidText, JsonObject, ProcessingError, ProcessingErrorCode, Status, Tenant, Timestamp,
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
    /** A meeting worker's identifier of a recording. */
    MeetingRecordingId;
    /** A meeting worker's identifier of a transcription. */
    MeetingTranscriptionId;
    /** A meeting worker's identifier of a session or of its set of rooms. */
    MeetingId;
    /** A meeting worker's identifier of a user. */
    MeetingUserId;
}

impl MeetingUserId {
    /// The `external_id` of the end user.
    pub fn external_id(&self) -> Result<ExternalId, InvalidText> {
        self.to_string().parse()
    }
}

/// Status of a meeting recording or transcription in the Scoot-shaped API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MeetingStatus {
    /// It is being recorded or processed.
    Processing,
    /// It is complete.
    Complete,
    /// It failed.
    Failed,
}

impl MeetingStatus {
    /// As the Scoot-shaped API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
        }
    }

    /// The status after a request that reports `reported`. `None` leaves it unchanged.
    ///
    /// # Errors
    /// [`Error::Conflict`] for any other status after an end.
    pub fn after(self, reported: Option<Self>) -> Result<Self, Error> {
        match (self, reported) {
            (Self::Processing, reported) => Ok(reported.unwrap_or(self)),
            (_, None) => Ok(self),
            (_, Some(reported)) if reported == self => Ok(self),
            (_, Some(reported)) => {
                let reason = format!("it is {} and cannot become {}", self.as_str(), reported.as_str());
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

/// The end of a recording that a meeting worker processes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedEnd {
    /// Processing succeeded.
    Complete,
    /// Processing failed.
    Failed,
}

impl MeetingStatus {
    /// As an end; `None` for `PROCESSING`.
    pub fn end(self) -> Option<ReportedEnd> {
        match self {
            Self::Processing => None,
            Self::Complete => Some(ReportedEnd::Complete),
            Self::Failed => Some(ReportedEnd::Failed),
        }
    }
}

impl ReportedEnd {
    /// As the verdict of processing.
    ///
    /// # Errors
    /// `processing_error` when it failed.
    pub fn verdict(self) -> Result<(), ProcessingError> {
        let message = || "The meeting worker reported that it failed".to_owned();
        match self {
            Self::Complete => Ok(()),
            Self::Failed => Err(ProcessingError { code: ProcessingErrorCode::ProcessingError, message: message() }),
        }
    }
}

/// What meeting workers sent: a JSON object of at most 256 KiB and 10,000 values. A null field counts as absent. Stored as
/// JSON text, as metadata is, so that every number is returned as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeetingPayload(JsonObject);

impl MeetingPayload {
    /// Largest payload, in bytes of JSON.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// The payload of a first request.
    ///
    /// # Errors
    /// [`Error::RequestTooLarge`], and [`Error::Invalid`] when it has too many values.
    pub fn new(mut fields: Map<String, Value>) -> Result<Self, Error> {
        fields.retain(|_, value| !value.is_null());
        Self::of_size(JsonObject::new(&fields))
    }

    fn of_size(object: Result<JsonObject, InvalidText>) -> Result<Self, Error> {
        let object = object.map_err(|InvalidText(rule)| Error::invalid("body", rule))?;
        if object.as_str().len() > Self::MAX_BYTES {
            return Err(Error::RequestTooLarge { limit_bytes: Self::MAX_BYTES });
        }
        Ok(Self(object))
    }

    /// Merged with the payload of a later request, whose fields replace the earlier ones. Absent fields stay.
    ///
    /// # Errors
    /// As [`Self::new`], for the merged payload.
    pub fn merged_with(&self, later: &Self) -> Result<Self, Error> {
        Self::of_size(self.0.merged_with(&later.0))
    }

    /// Whether it has the field.
    pub fn has(&self, field: &str) -> bool {
        self.0.fields().contains_key(field)
    }

    /// The text of a field; `None` if it is absent or no text.
    pub fn text(&self, field: &str) -> Option<String> {
        self.0.field(field)?.as_str().map(str::to_owned)
    }

    /// Its fields, with `known` in place of what was sent. `None` keeps what was sent.
    ///
    /// # Errors
    /// [`Error::Internal`] when a text does not serialize.
    pub fn with(
        &self,
        known: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> Result<BTreeMap<String, Box<RawValue>>, Error> {
        let mut fields: BTreeMap<_, _> =
            self.0.fields().into_iter().map(|(name, value)| (name.into_owned(), value.to_owned())).collect();
        for (field, value) in known {
            if let Some(value) = value {
                fields.insert(field.to_owned(), to_raw_value(&value).map_err(Error::internal)?);
            }
        }
        Ok(fields)
    }
}

/// What meeting workers sent of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeetingRecording {
    /// Their identifier of it.
    pub id: MeetingRecordingId,
    /// All fields that they sent.
    pub payload: MeetingPayload,
    /// Number of changes. A change is refused unless it is based on the last one.
    pub revision: u32,
    /// When a worker reported the end; `None` if Capstan processed it.
    pub reported_at: Option<Timestamp>,
}

/// What meeting workers sent of a transcription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeetingTranscription {
    /// Their identifier of it.
    pub id: MeetingTranscriptionId,
    /// All fields that they sent.
    pub payload: MeetingPayload,
    /// Number of changes. A change is refused unless it is based on the last one.
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

/// Location of an object that was not uploaded through Capstan. Capstan reads it, and never writes or deletes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalLocation {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: String,
}

/// The buckets whose objects meeting workers may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeetingBuckets {
    media: BucketName,
    others: BTreeSet<BucketName>,
}

impl FromStr for MeetingBuckets {
    type Err = &'static str;

    /// ARNs joined by commas: of the deployment's media bucket, then of the others that it allows.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "must be ARNs of S3 buckets, separated by commas";
        let name = |arn: &str| arn.split_once(":::").and_then(|(_, name)| name.parse().ok()).ok_or(rule);
        let mut names = text.split(',').map(str::trim).filter(|arn| !arn.is_empty()).map(name);
        Ok(Self { media: names.next().ok_or(rule)??, others: names.collect::<Result<_, _>>()? })
    }
}

impl MeetingBuckets {
    /// The location that a meeting worker of this tenant names. In the media bucket, keys must begin with
    /// `{project}/{mode}/`, where no recording has objects.
    ///
    /// # Errors
    /// [`InvalidLocation`], with the rule that the bucket or the key breaks.
    pub fn location(
        &self,
        tenant: &Tenant,
        bucket: Option<&str>,
        key: &str,
    ) -> Result<ExternalLocation, InvalidLocation> {
        let bucket = bucket.unwrap_or(self.media.as_str());
        let allowed = std::iter::once(&self.media).chain(&self.others).find(|allowed| allowed.as_str() == bucket);
        let Some(allowed) = allowed else {
            return Err(InvalidLocation::Bucket("must be a bucket that this deployment allows"));
        };
        if !(1..=1024).contains(&key.len()) || key.split('/').any(|segment| matches!(segment, "." | "..")) {
            let rule = "must be the key of an object, 1 to 1024 bytes without a segment `.` or `..`";
            return Err(InvalidLocation::Key(rule.to_owned()));
        }
        let prefix = format!("{}/{}/", tenant.project_id, tenant.mode.as_str());
        if *allowed == self.media && !key.starts_with(&prefix) {
            return Err(InvalidLocation::Key(format!("must begin with `{prefix}` in this bucket")));
        }
        Ok(ExternalLocation { bucket: allowed.clone(), key: key.to_owned() })
    }
}

/// The rule that a location breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidLocation {
    /// Rule of the bucket.
    Bucket(&'static str),
    /// Rule of the key.
    Key(String),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Mode;

    fn tenant() -> Tenant {
        Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live }
    }

    fn payload(value: Value) -> MeetingPayload {
        MeetingPayload::new(value.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_end_is_final() {
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
    fn merges_payloads_and_keeps_absent_and_null_fields() {
        let first = payload(json!({"name": "a", "recordingSize": 1, "participants": [{"type": "VIDEO"}]}));
        let both = first.merged_with(&payload(json!({"name": "b", "recordingSize": null, "socialId": "c"}))).unwrap();
        let known = [("status", Some("COMPLETE".to_owned())), ("name", None)];
        assert_eq!(
            serde_json::to_value(both.with(known).unwrap()).unwrap(),
            json!({"name": "b", "recordingSize": 1, "participants": [{"type": "VIDEO"}], "socialId": "c", "status": "COMPLETE"})
        );
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<MeetingPayload>(&text).unwrap(), both);
    }

    #[test]
    fn rejects_a_merged_payload_over_256_kib() {
        let half = |field: &str| payload(json!({field: "x".repeat(MeetingPayload::MAX_BYTES / 2)}));
        assert!(half("a").merged_with(&half("a")).is_ok());
        assert!(matches!(half("a").merged_with(&half("b")), Err(Error::RequestTooLarge { .. })));
    }

    #[test]
    fn accepts_allowed_buckets_and_only_the_tenants_keys_in_the_media_bucket() {
        let buckets = "arn:aws:s3:::capstan-media,arn:aws:s3:::meetings, arn:aws-cn:s3:::other.one";
        let buckets: MeetingBuckets = buckets.parse().unwrap();
        let refusal = |bucket, key| match buckets.location(&tenant(), bucket, key) {
            Ok(location) => format!("{}/{}", location.bucket, location.key),
            Err(InvalidLocation::Bucket(_)) => "bucket".to_owned(),
            Err(InvalidLocation::Key(_)) => "key".to_owned(),
        };
        for (bucket, key, expected) in [
            (Some("meetings"), "a/b.mp4", "meetings/a/b.mp4"),
            (Some("other.one"), "proj_2/live/b.mp4", "other.one/proj_2/live/b.mp4"),
            (Some("strangers"), "a/b.mp4", "bucket"),
            (Some(""), "a/b.mp4", "bucket"),
            (None, "proj_1/live/b.mp4", "capstan-media/proj_1/live/b.mp4"),
            (Some("capstan-media"), "proj_1/live/b.mp4", "capstan-media/proj_1/live/b.mp4"),
            (None, "proj_1/test/b.mp4", "key"),
            (None, "proj_1/rec_1/med_1/audio.opus", "key"),
            (None, "proj_2/live/b.mp4", "key"),
            (None, "proj_1/live/../../proj_2/live/b.mp4", "key"),
            (None, "/proj_1/live/b.mp4", "key"),
            (Some("meetings"), "", "key"),
        ] {
            assert_eq!(refusal(bucket, key), expected, "{bucket:?} {key}");
        }
        for bad in ["", "meetings", "arn:aws:s3:::M"] {
            assert!(bad.parse::<MeetingBuckets>().is_err(), "{bad}");
        }
        assert!("arn:aws:s3:::capstan-media,".parse::<MeetingBuckets>().is_ok(), "none beside");
    }

    #[test]
    fn reads_uuids_in_either_case_and_creates_version_4() {
        let id: MeetingRecordingId = "3C90C3CC-0D44-4B50-8888-8DD25736052A".parse().unwrap();
        assert_eq!(id.to_string(), "3c90c3cc-0d44-4b50-8888-8dd25736052a");
        assert!("3c90c3cc".parse::<MeetingId>().is_err());
        assert_eq!(MeetingId::new(0).to_string(), "00000000-0000-4000-8000-000000000000");
    }
}
