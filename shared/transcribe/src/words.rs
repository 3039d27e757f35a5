//! From words to segments that can be read as subtitles.

use capstan_domain::{Confidence, Offset, Segment, Speaker};

/// A pause between two segments.
const PAUSE: Offset = Offset::from_milliseconds(1_200);
/// A sentence that is shorter goes on in the same segment: "Yes. I know."
const SHORTEST: Offset = Offset::from_milliseconds(2_000);
/// A segment that is longer is broken wherever it is.
const LONGEST: Offset = Offset::from_milliseconds(30_000);

/// One word with its punctuation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) speaker: Option<Speaker>,
    pub(crate) confidence: Option<f64>,
}

/// Joins words to segments: of one speaker, without a long pause, a sentence or a few.
pub(crate) fn segments(words: &[Word]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut begin = 0;
    for end in 1..=words.len() {
        let segment = &words[begin..end];
        if words.get(end).is_none_or(|next| breaks(segment, next)) {
            segments.push(joined(segment));
            begin = end;
        }
    }
    segments
}

fn breaks(segment: &[Word], next: &Word) -> bool {
    let (Some(first), Some(last)) = (segment.first(), segment.last()) else { return false };
    let length = last.end.minus(first.start);
    let ended = last.text.trim_end_matches(['"', '\'', ')', '\u{201d}', '\u{2019}', '\u{bb}', '\u{300d}']);
    let sentence = ended.ends_with(['.', '!', '?', '\u{2026}', '\u{3002}', '\u{ff01}', '\u{ff1f}', '\u{61f}']);
    next.speaker != last.speaker
        || next.start.minus(last.end) >= PAUSE
        || (sentence && length >= SHORTEST)
        || next.end.minus(first.start) > LONGEST
}

fn joined(words: &[Word]) -> Segment {
    let mut text = String::new();
    for word in words {
        let meet = text.chars().last().zip(word.text.chars().next());
        if meet.is_some_and(|(one, next)| !is_written_together(one) || !is_written_together(next)) {
            text.push(' ');
        }
        text.push_str(&word.text);
    }
    let known: Vec<f64> = words.iter().filter_map(|word| word.confidence).collect();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    Segment {
        text,
        speaker: words.first().and_then(|word| word.speaker),
        start: words.first().map(|word| word.start).unwrap_or_default(),
        end: words.last().map(|word| word.end).unwrap_or_default(),
        confidence: Confidence::new(mean),
    }
}

/// Chinese and Japanese, with their punctuation.
pub(crate) fn is_written_together(character: char) -> bool {
    matches!(character, '\u{2e80}'..='\u{312f}' | '\u{3190}'..='\u{a4cf}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

/// The labels of a provider's speakers, in the order in which they are met.
#[derive(Default)]
pub(crate) struct Voices(Vec<String>);

impl Voices {
    pub(crate) fn speaker(&mut self, label: &str) -> Speaker {
        let index = self.0.iter().position(|known| known == label).unwrap_or_else(|| {
            self.0.push(label.to_owned());
            self.0.len() - 1
        });
        Speaker::from_index(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start: u64, end: u64, speaker: u32) -> Word {
        Word {
            text: text.to_owned(),
            start: Offset::from_milliseconds(start),
            end: Offset::from_milliseconds(end),
            speaker: Some(Speaker::from_index(speaker)),
            confidence: Some(0.5),
        }
    }

    fn texts(words: &[Word]) -> Vec<String> {
        segments(words).into_iter().map(|segment| segment.text).collect()
    }

    #[test]
    fn a_segment_ends_with_its_speaker_its_sentence_or_a_pause() {
        let words = [
            word("Yes.", 0, 300, 0),
            word("I", 400, 500, 0),
            word("know", 500, 2_500, 0),
            word("that.\"", 2_500, 3_000, 0),
            word("And", 3_100, 3_200, 0),
            word("you?", 3_300, 3_600, 1),
            word("Well", 4_900, 5_000, 1),
        ];
        assert_eq!(texts(&words), ["Yes. I know that.\"", "And", "you?", "Well"]);
        assert_eq!(segments(&words)[0].confidence, Confidence::new(0.5));
    }

    #[test]
    fn no_segment_is_longer_than_half_a_minute_and_no_word_is_lost() {
        let words: Vec<_> = (0..200).map(|index| word("on", index * 500, index * 500 + 500, 0)).collect();
        let segments = segments(&words);
        assert!(segments.iter().all(|segment| segment.end.minus(segment.start) <= LONGEST));
        assert_eq!(segments.iter().map(|segment| segment.text.split(' ').count()).sum::<usize>(), 200);
    }

    #[test]
    fn chinese_and_japanese_are_written_together() {
        assert_eq!(
            texts(&[word("今日は", 0, 1, 0), word("good", 1, 2, 0), word("天気", 2, 3, 0), word("です。", 3, 4, 0)]),
            ["今日は good 天気です。"]
        );
    }

    #[test]
    fn nothing_said_is_no_segment() {
        assert!(segments(&[]).is_empty());
    }
}
