//! Timestamps in UTC, to the millisecond.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, to the millisecond.
///
/// Printed as ISO 8601 with `Z`, with decimals only where they are not zero. Parsed from any RFC 3339 time with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z. `None` outside the years -9999 to 9999.
    pub fn from_milliseconds(milliseconds: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(milliseconds).ok().map(Self)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn milliseconds(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Adds seconds. Saturates at the end of the year 9999.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        let later = self.0.saturating_add(SignedDuration::from_secs(seconds));
        Self(later.unwrap_or(jiff::Timestamp::MAX))
    }

    /// Truncated to the second.
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        Self(jiff::Timestamp::from_second(self.0.as_second()).unwrap_or(self.0))
    }

    /// Rounded up to the minute.
    #[must_use]
    pub fn whole_minute(self) -> Self {
        let over = self.milliseconds().rem_euclid(60_000);
        let later = if over == 0 { Some(self) } else { Self::from_milliseconds(self.milliseconds() + 60_000 - over) };
        later.unwrap_or(self)
    }

    /// The same moment, or one millisecond earlier if it is a whole minute.
    #[must_use]
    pub fn off_the_minute(self) -> Self {
        let before = if self.whole_minute() == self { Self::from_milliseconds(self.milliseconds() - 1) } else { None };
        before.unwrap_or(self)
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(moment: jiff::Timestamp) -> Self {
        Self(jiff::Timestamp::from_millisecond(moment.as_millisecond()).unwrap_or(moment))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milliseconds() % 1000 == 0 { write!(f, "{:.0}", self.0) } else { write!(f, "{:.3}", self.0) }
    }
}

impl FromStr for Timestamp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment: jiff::Timestamp =
            text.parse().map_err(|_| "must be an ISO 8601 time with an offset, such as 2025-01-15T09:00:00Z")?;
        Ok(moment.into())
    }
}

/// Always with three decimals, so that the order of serialized texts is the order of time.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_decimals_only_where_they_are_not_zero() {
        let whole: Timestamp = "2025-01-15T10:00:00+01:00".parse().unwrap();
        assert_eq!(whole.to_string(), "2025-01-15T09:00:00Z");
        let fraction: Timestamp = "2025-01-15T09:00:00.1239Z".parse().unwrap();
        assert_eq!(fraction.to_string(), "2025-01-15T09:00:00.123Z");
    }

    #[test]
    fn serialized_times_sort_as_text() {
        let serialized = |text: &str| serde_json::to_string(&text.parse::<Timestamp>().unwrap()).unwrap();
        assert_eq!(serialized("2025-01-15T09:00:00Z"), "\"2025-01-15T09:00:00.000Z\"");
        assert!(serialized("2025-01-15T09:00:00Z") < serialized("2025-01-15T09:00:00.001Z"));
    }

    #[test]
    fn rounds_up_to_the_minute_and_steps_off_it() {
        let rounded = |text: &str| text.parse::<Timestamp>().unwrap().whole_minute().to_string();
        assert_eq!(rounded("2025-01-15T09:00:00Z"), "2025-01-15T09:00:00Z");
        assert_eq!(rounded("2025-01-15T09:00:00.001Z"), "2025-01-15T09:01:00Z");
        assert_eq!(rounded("1969-12-31T23:59:30Z"), "1970-01-01T00:00:00Z");
        let stepped = |text: &str| text.parse::<Timestamp>().unwrap().off_the_minute().to_string();
        assert_eq!(stepped("2025-01-15T09:00:00Z"), "2025-01-15T08:59:59.999Z");
        assert_eq!(stepped("2025-01-15T09:00:01Z"), "2025-01-15T09:00:01Z");
    }

    #[test]
    fn rejects_a_time_without_an_offset() {
        assert!("2025-01-15T09:00:00".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
