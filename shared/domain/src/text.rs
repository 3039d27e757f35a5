//! Texts with a limited length.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// The rule that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub(crate) &'static str);

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $is_valid:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The rule.
            pub const RULE: &'static str = $rule;

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;

            fn try_from(text: String) -> Result<Self, InvalidText> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(&text) { Ok(Self(text)) } else { Err(InvalidText(Self::RULE)) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                text.to_owned().try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
            }
        }
    };
}

fn has_length(text: &str) -> bool {
    (1..=255).contains(&text.chars().count())
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let one_at = parts.is_some_and(|(_, domain)| !domain.contains('@'));
    one_at && text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

text!(
    /** What the owner calls a thing or a person. */
    Name, |text| text.chars().count() <= 255, "must be at most 255 characters"
);
text!(
    /** What the owner's own system calls an end user. */
    ExternalId, has_length, "must be 1 to 255 characters"
);
text!(
    /** Where an end user gets mail. */
    Email, is_email, "must be an email address of at most 254 bytes"
);
text!(
    /** What its maker calls one device. */
    SerialNumber, has_length, "must be 1 to 255 characters"
);
text!(
    /** What its maker calls devices of a kind. */
    Model, has_length, "must be 1 to 255 characters"
);
text!(
    /** Which software a device runs. */
    FirmwareVersion, has_length, "must be 1 to 255 characters"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!("é".repeat(255).parse::<ExternalId>().is_ok());
        assert_eq!("é".repeat(256).parse::<ExternalId>(), Err(InvalidText("must be 1 to 255 characters")));
        assert!("".parse::<SerialNumber>().is_err());
        assert!("".parse::<Name>().is_ok());
    }

    #[test]
    fn an_email_address_has_one_at_and_something_on_each_side() {
        for good in ["a@b", "first.last+tag@example.com", "ü@bücher.example"] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n", &format!("{}@b", "a".repeat(253))] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }
}
