//! Metadata that owners attach to resources.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{InvalidText, JsonObject};

/// Metadata: a JSON object of at most 16 KiB and 10,000 values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(JsonObject);

impl Metadata {
    const MAX_BYTES: usize = 16 * 1024;

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object.
    pub fn object(&self) -> &JsonObject {
        &self.0
    }
}

impl TryFrom<Map<String, Value>> for Metadata {
    type Error = InvalidText;

    fn try_from(fields: Map<String, Value>) -> Result<Self, InvalidText> {
        let object = JsonObject::new(&fields)?;
        let is_too_large = object.as_str().len() > Self::MAX_BYTES;
        if is_too_large { Err(InvalidText("must be at most 16 KiB as JSON")) } else { Ok(Self(object)) }
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// Stored as JSON text, so that every number is returned as it was sent.
pub(crate) mod as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Metadata;
    use crate::JsonObject;

    pub(crate) fn serialize<S: Serializer>(metadata: &Metadata, serializer: S) -> Result<S::Ok, S::Error> {
        metadata.0.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
        JsonObject::deserialize(deserializer).map(Metadata)
    }
}
