//! Moments, to the millisecond.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, to the millisecond.
///
/// Written as ISO 8601 with `Z`; read from any RFC 3339 time with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The moment `milliseconds` after 1970, or `None` outside the years -9999 to 9999.
    pub fn from_milliseconds(milliseconds: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(milliseconds).ok().map(Self)
    }

    /// Milliseconds since 1970.
    pub fn milliseconds(self) -> i64 {
        self.0.as_millisecond()
    }

    /// This moment and so many seconds more. Stops at the end of the calendar.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        let later = self.0.saturating_add(SignedDuration::from_secs(seconds));
        Self(later.unwrap_or(jiff::Timestamp::MAX))
    }

    /// This moment without its milliseconds.
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        Self(jiff::Timestamp::from_second(self.0.as_second()).unwrap_or(self.0))
    }

    /// The first whole minute that is no earlier.
    #[must_use]
    pub fn whole_minute(self) -> Self {
        let over = self.milliseconds().rem_euclid(60_000);
        let later = if over == 0 { Some(self) } else { Self::from_milliseconds(self.milliseconds() + 60_000 - over) };
        later.unwrap_or(self)
    }

    /// This moment, or the millisecond before where it is a whole minute.
    #[must_use]
    pub fn off_the_minute(self) -> Self {
        let before = if self.whole_minute() == self { Self::from_milliseconds(self.milliseconds() - 1) } else { None };
        before.unwrap_or(self)
    }

    /// The form whose text order is the order of time: always three decimals.
    pub fn sortable(self) -> String {
        format!("{:.3}", self.0)
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

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
    fn prints_utc_with_z_and_decimals_only_where_there_are_any() {
        let whole: Timestamp = "2025-01-15T10:00:00+01:00".parse().unwrap();
        assert_eq!(whole.to_string(), "2025-01-15T09:00:00Z");
        assert_eq!(whole.sortable(), "2025-01-15T09:00:00.000Z");
        let fraction: Timestamp = "2025-01-15T09:00:00.1239Z".parse().unwrap();
        assert_eq!(fraction.to_string(), "2025-01-15T09:00:00.123Z");
    }

    #[test]
    fn a_minute_is_rounded_up_to_and_stepped_off() {
        let rounded = |text: &str| text.parse::<Timestamp>().unwrap().whole_minute().to_string();
        assert_eq!(rounded("2025-01-15T09:00:00Z"), "2025-01-15T09:00:00Z");
        assert_eq!(rounded("2025-01-15T09:00:00.001Z"), "2025-01-15T09:01:00Z");
        assert_eq!(rounded("1969-12-31T23:59:30Z"), "1970-01-01T00:00:00Z");
        let stepped = |text: &str| text.parse::<Timestamp>().unwrap().off_the_minute().to_string();
        assert_eq!(stepped("2025-01-15T09:00:00Z"), "2025-01-15T08:59:59.999Z");
        assert_eq!(stepped("2025-01-15T09:00:01Z"), "2025-01-15T09:00:01Z");
    }

    #[test]
    fn refuses_a_time_without_an_offset() {
        assert!("2025-01-15T09:00:00".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
