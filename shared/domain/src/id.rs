//! Identifiers: a prefix that names the kind, then at most 64 letters and digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use crate::{RenditionKind, Timestamp};

/// Why a text is not an identifier of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `{prefix}` and 1 to 64 letters and digits")]
pub struct InvalidId {
    prefix: &'static str,
}

const MAX_SUFFIX: usize = 64;

fn check(prefix: &'static str, text: &str) -> Result<(), InvalidId> {
    let suffix = text.strip_prefix(prefix).ok_or(InvalidId { prefix })?;
    let well_formed = (1..=MAX_SUFFIX).contains(&suffix.len()) && suffix.bytes().all(|b| b.is_ascii_alphanumeric());
    if well_formed { Ok(()) } else { Err(InvalidId { prefix }) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The required prefix.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier. Later ones sort after earlier ones.
            pub fn new(at: Timestamp, entropy: u128) -> Self {
                let milliseconds = u64::try_from(at.milliseconds()).unwrap_or(0);
                let ulid = Ulid::from_parts(milliseconds, entropy).to_string().to_ascii_lowercase();
                Self(format!("{}{ulid}", $prefix))
            }

            /// The smallest identifier of this millisecond.
            pub fn floor(at: Timestamp) -> Self {
                Self::new(at, 0)
            }

            /// As text, with its prefix.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check($prefix, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                check($prefix, &text).map_err(serde::de::Error::custom)?;
                Ok(Self(text))
            }
        }
    };
}

id!(/** Names a project: the account of one maker of recorders. */ ProjectId, "proj_");
id!(/** Names a recording. */ RecordingId, "rec_");
id!(/** Names one file of a recording. */ MediaId, "med_");
id!(/** Names a rendition: what was made of one media_file. */ RenditionId, "ren_");
id!(/** Names a device. */ DeviceId, "dev_");
id!(/** Names an end user: the person whose recordings they are. */ EndUserId, "eu_");
id!(/** Names a key of a project's, without opening anything. */ KeyId, "key_");
id!(/** Names a transcription. */ TranscriptionId, "txn_");
id!(/** Names one attempt at processing a recording. */ LeaseId, "lease_");

id!(/** Names a file as Plaud-shaped clients know it: a recording under another prefix. */ FileId, "file_");

impl FileId {
    /// The file identifier of a recording.
    pub fn of(recording_id: &RecordingId) -> Self {
        let suffix = recording_id.as_str().strip_prefix(RecordingId::PREFIX).unwrap_or_default();
        Self(format!("{}{suffix}", Self::PREFIX))
    }

    /// The recording identifier of a file.
    pub fn recording_id(&self) -> RecordingId {
        let suffix = self.as_str().strip_prefix(Self::PREFIX).unwrap_or_default();
        RecordingId(format!("{}{suffix}", RecordingId::PREFIX))
    }
}

impl TranscriptionId {
    /// The automatic transcription of a recording: always the same, so that there is only one. It sorts before any
    /// later one.
    pub fn of(recording_id: &RecordingId) -> Self {
        let suffix = recording_id.as_str().strip_prefix(RecordingId::PREFIX).unwrap_or_default();
        Self(format!("{}{suffix}", Self::PREFIX))
    }
}

impl RenditionId {
    /// The rendition of a kind of a media file: always the same.
    pub fn of(media_id: &MediaId, kind: RenditionKind) -> Self {
        let suffix = media_id.as_str().strip_prefix("med_").unwrap_or_default();
        let room = MAX_SUFFIX - kind.as_str().len();
        Self(format!("ren_{}{}", &suffix[..suffix.len().min(room)], kind.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_milliseconds(milliseconds).unwrap()
    }

    #[test]
    fn refuses_another_kind_and_anything_but_letters_and_digits() {
        for bad in ["", "rec_", "med_1", "rec_a/b", "rec_a#b", "rec_é", "REC_1", &format!("rec_{}", "a".repeat(65))] {
            assert!(bad.parse::<RecordingId>().is_err(), "{bad}");
        }
        assert_eq!("rec_abc123".parse::<RecordingId>().unwrap().as_str(), "rec_abc123");
    }

    #[test]
    fn a_file_is_the_recording_of_the_same_suffix() {
        let recording_id: RecordingId = "rec_abc123".parse().unwrap();
        assert_eq!(FileId::of(&recording_id).as_str(), "file_abc123");
        assert_eq!("file_abc123".parse::<FileId>().unwrap().recording_id(), recording_id);
    }

    proptest! {
        #[test]
        fn new_ids_are_well_formed_and_sort_by_time(earlier in 0i64..1 << 46, gap in 1i64..1 << 40, a: u128, b: u128) {
            let first = RecordingId::new(at(earlier), a);
            let second = RecordingId::new(at(earlier + gap), b);
            prop_assert!(first < second);
            prop_assert_eq!(first.as_str().parse::<RecordingId>().unwrap(), first.clone());
            prop_assert!(RecordingId::floor(at(earlier)) <= first);
        }
    }
}
