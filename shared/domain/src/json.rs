//! JSON objects of clients, which are stored and returned and otherwise not read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::InvalidText;

/// Most values in one object of a client, counted as [`count_values`] does.
const MAX_VALUES: usize = 10_000;

/// A JSON object as text without white space. Small values take a hundred times the memory once they are parsed, so lists
/// hold the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonObject(String);

impl JsonObject {
    /// # Errors
    /// [`InvalidText`] when it has more than 10,000 values, nested ones included.
    pub fn new(fields: &Map<String, Value>) -> Result<Self, InvalidText> {
        // A map of text and values always serializes.
        Self::of_text(serde_json::to_string(fields).unwrap_or_else(|_| "{}".to_owned()))
    }

    fn of_text(text: String) -> Result<Self, InvalidText> {
        if count_values(text.as_bytes()) > MAX_VALUES {
            return Err(InvalidText("must have at most 10,000 values, nested ones included"));
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.0 == "{}"
    }

    /// For a response, not parsed.
    pub fn to_raw(&self) -> Box<RawValue> {
        RawValue::from_string(self.0.clone()).unwrap_or_default()
    }

    /// The fields by name, each as unparsed JSON text.
    pub fn fields(&self) -> BTreeMap<Cow<'_, str>, &RawValue> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// One of its fields; `None` if it is absent.
    pub fn field(&self, name: &str) -> Option<Value> {
        self.fields().get(name).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// These fields, and those of `later` in place of equally named ones.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn merged_with(&self, later: &Self) -> Result<Self, InvalidText> {
        let mut fields = self.fields();
        fields.extend(later.fields());
        Self::of_text(serde_json::to_string(&fields).unwrap_or_else(|_| "{}".to_owned()))
    }
}

impl Default for JsonObject {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

/// The number of values in a JSON text, without parsing it: objects, arrays, and members of both. For invalid JSON
/// the number means nothing.
pub fn count_values(text: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'{' | b'[' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> JsonObject {
        JsonObject::new(value.as_object().unwrap()).unwrap()
    }

    #[test]
    fn counts_members_and_containers_but_nothing_within_text() {
        assert_eq!(count_values(b"{}"), 2);
        assert_eq!(count_values(br#"{"a,[{": "\",{\\", "b": [1, {}]}"#), 6);
    }

    #[test]
    fn rejects_more_than_10_000_values() {
        let of = |count: usize| JsonObject::new(json!({"a": vec![0; count]}).as_object().unwrap());
        assert!(of(MAX_VALUES - 2).is_ok());
        assert!(of(MAX_VALUES - 1).is_err());
        let half = |name: &str| object(json!({name: vec![0; MAX_VALUES / 2]}));
        assert!(half("a").merged_with(&half("a")).is_ok());
        assert!(half("a").merged_with(&half("b")).is_err());
    }

    #[test]
    fn keeps_every_number_as_it_is_and_reads_single_fields() {
        let text = r#"{"a":1.0,"b":{"c":18446744073709551615},"ü":"\n"}"#;
        let object = object(serde_json::from_str(text).unwrap());
        assert_eq!(object.as_str(), text);
        assert_eq!((object.field("ü"), object.field("x")), (Some(json!("\n")), None));
        assert!(!object.is_empty() && JsonObject::default().is_empty());
    }
}
