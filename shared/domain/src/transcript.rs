//! Transcripts: segments with speakers and times.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a language tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a language tag, such as en or pt-BR")]
pub struct InvalidLanguage;

/// A language tag (BCP 47), such as `en` or `pt-BR`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Language(String);

impl Language {
    /// RFC 5646, section 4.4.1: no registered tag needs more.
    const LONGEST: usize = 35;

    /// The whole tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language without region or script: `pt` of `pt-BR`.
    pub fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl FromStr for Language {
    type Err = InvalidLanguage;

    /// Accepts any case, and underscores instead of hyphens.
    fn from_str(text: &str) -> Result<Self, InvalidLanguage> {
        let well_formed = |(index, subtag): (usize, &str)| {
            let letters = subtag.bytes().all(|byte| byte.is_ascii_alphabetic());
            let length = if index == 0 { 2..=3 } else { 1..=8 };
            length.contains(&subtag.len())
                && (letters || index > 0)
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if text.len() > Self::LONGEST || !text.split(['-', '_']).enumerate().all(well_formed) {
            return Err(InvalidLanguage);
        }
        // RFC 5646, section 2.1.1: regions in capitals, scripts with one, all else small.
        let cased = text.split(['-', '_']).enumerate().map(|(index, subtag)| match (index, subtag.len()) {
            (1.., 2) => subtag.to_ascii_uppercase(),
            (1.., 4) => subtag[..1].to_ascii_uppercase() + &subtag[1..].to_ascii_lowercase(),
            _ => subtag.to_ascii_lowercase(),
        });
        Ok(Self(cased.collect::<Vec<_>>().join("-")))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A position in the audio, or a duration, to the millisecond. In JSON it is in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// From milliseconds.
    pub const fn from_milliseconds(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// From seconds, rounded to the millisecond. `None` for a negative number, NaN, or more than a year.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        const YEAR: f64 = 366.0 * 86_400.0;
        // The cast cannot lose anything: the range was just checked.
        (0.0..YEAR).contains(&seconds).then(|| Self((seconds * 1000.0).round() as u64))
    }

    /// In milliseconds.
    pub fn milliseconds(self) -> u64 {
        self.0
    }

    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, length: Self) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// The difference, at least zero.
    #[must_use]
    pub fn minus(self, length: Self) -> Self {
        Self(self.0.saturating_sub(length.0))
    }
}

impl Serialize for Offset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.seconds())
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Self::from_seconds(seconds).ok_or_else(|| serde::de::Error::custom("must be seconds from the start"))
    }
}

/// The provider's confidence, from 0 to 1, to four decimals.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Confidence(f64);

impl Confidence {
    /// `None` for NaN. Clamped to 0 to 1.
    pub fn new(value: f64) -> Option<Self> {
        (!value.is_nan()).then(|| Self((value.clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0))
    }

    /// From 0 to 1.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Confidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("must be a number"))
    }
}

/// A speaker of a recording, counted from 1 in the order of first speech.
///
/// Providers call their speakers `0`, `A` or `spk_0`; here they are `Speaker 1` of every provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speaker(u32);

impl Speaker {
    const PREFIX: &'static str = "Speaker ";

    /// From an index, where the first speaker is 0.
    pub fn from_index(index: u32) -> Self {
        Self(index.saturating_add(1))
    }

    /// Its index, from 0.
    pub fn index(self) -> u32 {
        self.0 - 1
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0)
    }
}

impl Serialize for Speaker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Speaker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.strip_prefix(Self::PREFIX).and_then(|number| number.parse().ok());
        let known = number.filter(|number| *number > 0).map(Self);
        known.ok_or_else(|| serde::de::Error::custom("must be Speaker and a number from 1"))
    }
}

/// Speech of one speaker without a break.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The words, punctuated if the provider does so. Not empty, without line breaks.
    pub text: String,
    /// The speaker, if the provider labels speakers.
    pub speaker: Option<Speaker>,
    /// Its start.
    pub start: Offset,
    /// Its end, not before its start.
    pub end: Offset,
    /// The provider's confidence.
    pub confidence: Option<Confidence>,
}

/// The transcript of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// The spoken language, if it is known.
    pub language: Option<Language>,
    /// Duration of the audio.
    pub duration: Offset,
    segments: Vec<Segment>,
}

impl Transcript {
    /// A transcript of segments, sorted by time. White space becomes single spaces, empty segments are dropped, no
    /// segment ends before its start, and speakers are numbered in the order of first speech.
    pub fn new(language: Option<Language>, duration: Offset, segments: Vec<Segment>) -> Self {
        let mut segments: Vec<_> = segments
            .into_iter()
            .map(|segment| Segment {
                text: segment.text.split_whitespace().collect::<Vec<_>>().join(" "),
                end: segment.end.max(segment.start),
                ..segment
            })
            .filter(|segment| !segment.text.is_empty())
            .collect();
        segments.sort_by_key(|segment| segment.start);
        let mut heard = Vec::new();
        for speaker in segments.iter_mut().filter_map(|segment| segment.speaker.as_mut()) {
            let index = heard.iter().position(|known| known == speaker).unwrap_or_else(|| {
                heard.push(*speaker);
                heard.len() - 1
            });
            *speaker = Speaker::from_index(u32::try_from(index).unwrap_or(u32::MAX));
        }
        let duration = segments.iter().map(|segment| segment.end).fold(duration, Offset::max);
        Self { language, duration, segments }
    }

    /// The segments in the order of time.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The whole text.
    pub fn full_text(&self) -> String {
        self.segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Number of words. In Chinese and Japanese, each character counts as one, as in word processors.
    pub fn word_count(&self) -> usize {
        self.segments.iter().map(|segment| words_in(&segment.text)).sum()
    }
}

fn words_in(text: &str) -> usize {
    let mut count = 0;
    let mut inside = false;
    for character in text.chars() {
        let alone = is_ideographic(character);
        if alone || (character.is_alphanumeric() && !inside) {
            count += 1;
        }
        inside = !alone && !character.is_whitespace() && (inside || character.is_alphanumeric());
    }
    count
}

/// Kana and Han, by their Unicode blocks.
fn is_ideographic(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(text: &str, speaker: Option<u32>, start: u64, end: u64) -> Segment {
        Segment {
            text: text.to_owned(),
            speaker: speaker.map(Speaker::from_index),
            start: Offset::from_milliseconds(start),
            end: Offset::from_milliseconds(end),
            confidence: None,
        }
    }

    #[test]
    fn a_language_is_read_in_any_case_and_written_in_one() {
        for (read, written) in
            [("EN", "en"), ("en_us", "en-US"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("yue", "yue")]
        {
            assert_eq!(read.parse::<Language>().unwrap().as_str(), written);
        }
        assert_eq!("pt-BR".parse::<Language>().unwrap().primary(), "pt");
        for bad in ["", "e", "english", "e1", "en-", "en--US", "en us", "en/../x", &"en-a".repeat(12)] {
            assert_eq!(bad.parse::<Language>(), Err(InvalidLanguage), "{bad}");
        }
    }

    #[test]
    fn no_segment_is_empty_or_ends_before_it_begins_and_they_come_in_order() {
        let transcript = Transcript::new(
            None,
            Offset::from_milliseconds(1000),
            vec![
                segment(" two\n three ", Some(7), 900, 800),
                segment("  ", Some(3), 100, 200),
                segment("one", Some(9), 0, 700),
                segment("four", Some(7), 950, 1200),
            ],
        );
        assert_eq!(
            transcript.segments(),
            [
                segment("one", Some(0), 0, 700),
                segment("two three", Some(1), 900, 900),
                segment("four", Some(1), 950, 1200)
            ]
        );
        assert_eq!(transcript.duration, Offset::from_milliseconds(1200));
        assert_eq!((transcript.full_text().as_str(), transcript.word_count()), ("one two three four", 4));
    }

    #[test]
    fn counts_words_of_languages_without_spaces() {
        for (text, count) in [
            ("It's half-past nine, isn't it?", 5),
            ("- ... ♪ 42", 1),
            ("我说中文 ok", 5),
            ("カタカナとkanji漢字", 8),
            ("Grüße aus Köln", 3),
            ("", 0),
        ] {
            assert_eq!(words_in(text), count, "{text}");
        }
    }

    proptest! {
        #[test]
        fn seconds_in_json_lose_no_millisecond(milliseconds in 0u64..1 << 34) {
            let offset = Offset::from_milliseconds(milliseconds);
            let json = serde_json::to_string(&offset).unwrap();
            prop_assert_eq!(serde_json::from_str::<Offset>(&json).unwrap(), offset);
        }
    }

    #[test]
    fn times_outside_the_audio_are_refused() {
        for bad in [-0.001, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(Offset::from_seconds(bad), None, "{bad}");
        }
    }
}
