//! Metadata that owners attach to resources.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::InvalidText;

/// Metadata: a JSON object of at most 16 KiB.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    const MAX_BYTES: usize = 16 * 1024;

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Map<String, Value>> for Metadata {
    type Error = InvalidText;

    fn try_from(object: Map<String, Value>) -> Result<Self, InvalidText> {
        let size = serde_json::to_string(&object).map_or(usize::MAX, |text| text.len());
        if size > Self::MAX_BYTES { Err(InvalidText("must be at most 16 KiB as JSON")) } else { Ok(Self(object)) }
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// Stored as JSON text, so that every number is returned as it was sent.
pub(crate) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Metadata;

    pub(crate) fn serialize<S: Serializer>(metadata: &Metadata, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(metadata).map_err(serde::ser::Error::custom)?)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text).map_err(serde::de::Error::custom)
    }
}
