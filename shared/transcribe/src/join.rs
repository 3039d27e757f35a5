//! Joining the transcripts of chunks to that of the whole, so that no word is lost or doubled at a seam.
//!
//! Where a chunk was cut in a pause there is nothing to do but to shift its times. Where two chunks overlap, both have
//! the words of the overlap, and the first and the last of those may be halves of words. The same words are sought in
//! both, and the one transcript is left for the other in their middle, far from either edge. Only where one word fills
//! all of an overlap, said again and again, nobody can tell how often it was.
//!
//! Providers count the speakers of each chunk anew. Those that say the same words in an overlap are the same; of others
//! nobody can tell, so they are kept apart.

use std::collections::{BTreeMap, HashMap};

use capstan_domain::{Offset, Segment, Speaker, Transcript};

use crate::words::is_written_together;

/// By which the times of one word may differ in two chunks. Times within a segment are estimates.
const TOLERANCE: Offset = Offset::from_milliseconds(2_000);

/// One chunk and what was said in it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it begins in the whole.
    pub start: Offset,
    /// Where it ends in the whole.
    pub end: Offset,
    /// Its transcript. Times count from the start of the chunk.
    pub transcript: Transcript,
}

/// The transcript of the whole, from those of its chunks in their order.
pub fn join(parts: Vec<Part>) -> Transcript {
    let language = most_spoken(&parts);
    let mut whole: Vec<Segment> = Vec::new();
    let mut end = Offset::default();
    for part in parts {
        let segments = shifted(&part);
        let overlap = (part.start < end).then_some((part.start, end));
        let (segments, same) = match overlap {
            Some(overlap) => sew(&mut whole, segments, overlap),
            None => (segments, HashMap::new()),
        };
        let voices = whole.iter().filter_map(|segment| segment.speaker).map(|speaker| speaker.index() + 1).max();
        whole.extend(renamed(segments, &same, voices.unwrap_or(0)));
        end = end.max(part.end);
    }
    Transcript::new(language, end, whole)
}

/// The language that most of the audio is in: a chunk of music or laughter is taken for anything.
fn most_spoken(parts: &[Part]) -> Option<capstan_domain::Language> {
    let mut spoken: Vec<(&capstan_domain::Language, u64)> = Vec::new();
    for part in parts {
        let Some(language) = &part.transcript.language else { continue };
        let length = part.end.minus(part.start).milliseconds();
        match spoken.iter_mut().find(|(known, _)| *known == language) {
            Some((_, total)) => *total += length,
            None => spoken.push((language, length)),
        }
    }
    spoken.into_iter().max_by_key(|(_, length)| *length).map(|(language, _)| language.clone())
}

/// The segments with the times of the whole. Recognisers overshoot the end of their audio.
fn shifted(part: &Part) -> Vec<Segment> {
    let within = |at: Offset| part.start.plus(at).min(part.end);
    let segments = part.transcript.segments().iter();
    segments
        .map(|segment| Segment { start: within(segment.start), end: within(segment.end), ..segment.clone() })
        .collect()
}

/// Gives speakers the names that they have in the whole: that of the one they are known to be, or a new one.
fn renamed(segments: Vec<Segment>, same: &HashMap<Speaker, Speaker>, voices: u32) -> Vec<Segment> {
    let mut names = same.clone();
    let mut next = voices;
    segments
        .into_iter()
        .map(|mut segment| {
            segment.speaker = segment.speaker.map(|speaker| {
                *names.entry(speaker).or_insert_with(|| {
                    next += 1;
                    Speaker::from_index(next - 1)
                })
            });
            segment
        })
        .collect()
}

/// One word of a segment: which, where in its text, and about when.
struct Token {
    segment: usize,
    from: usize,
    to: usize,
    spelling: String,
    start: Offset,
    end: Offset,
}

impl Token {
    fn middle(&self) -> Offset {
        Offset::from_milliseconds(u64::midpoint(self.start.milliseconds(), self.end.milliseconds()))
    }
}

/// Ends `left` and begins `right` at one place of their overlap. Also maps the speakers of `right` to those of `left`.
fn sew(
    left: &mut Vec<Segment>,
    right: Vec<Segment>,
    (from, to): (Offset, Offset),
) -> (Vec<Segment>, HashMap<Speaker, Speaker>) {
    let near = |token: &Token| token.end.plus(TOLERANCE) > from && token.start < to.plus(TOLERANCE);
    let ours: Vec<_> = tokens(left).into_iter().filter(near).collect();
    let theirs: Vec<_> = tokens(&right).into_iter().filter(near).collect();
    let run = likeliest_run(&ours, &theirs);
    let same = match &run {
        Some(run) => speakers_of(left, &right, run.pairs(&ours, &theirs)),
        None => HashMap::new(),
    };
    let middle = Offset::from_milliseconds(u64::midpoint(from.milliseconds(), to.milliseconds()));
    // How many of the tokens of each stay out: of ours the last ones, of theirs the first ones.
    let (kept, dropped) = match &run {
        Some(run) => (run.ours + run.length.div_ceil(2), run.theirs + run.length.div_ceil(2)),
        None => (
            ours.iter().take_while(|token| token.middle() < middle).count(),
            theirs.iter().take_while(|token| token.middle() < middle).count(),
        ),
    };
    if let Some(first) = ours.get(kept) {
        let partly = first.segment;
        left.truncate(partly + 1);
        if let Some(last) = left.last_mut() {
            last.text.truncate(first.from);
            let before = kept.checked_sub(1).and_then(|index| ours.get(index)).filter(|token| token.segment == partly);
            last.end = before.map_or(first.start, |token| token.end).max(last.start);
        }
    }
    let mut right = right;
    if let Some(last) = dropped.checked_sub(1).and_then(|index| theirs.get(index)) {
        right.drain(..last.segment);
        if let Some(first) = right.first_mut() {
            first.text.drain(..last.to);
            let after = theirs.get(dropped).filter(|token| token.segment == last.segment);
            first.start = after.map_or(last.end, |token| token.start).min(first.end);
        }
    }
    left.retain(|segment| !segment.text.trim().is_empty());
    right.retain(|segment| !segment.text.trim().is_empty());
    // Estimates of one moment differ, and what comes later must not sort before. Where the first segment is short, the
    // next may begin before the end of the left as well.
    if let Some(end) = left.last().map(|last| last.end) {
        for segment in &mut right {
            segment.start = segment.start.max(end);
            segment.end = segment.end.max(segment.start);
        }
    }
    (right, same)
}

/// The words of segments, each at the time that its place in the text suggests.
fn tokens(segments: &[Segment]) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let length = segment.end.minus(segment.start).milliseconds() as f64;
        let time = |at: usize| {
            let share = at as f64 / segment.text.len().max(1) as f64;
            segment.start.plus(Offset::from_milliseconds((length * share) as u64))
        };
        for (from, to) in words(&segment.text) {
            let spelling: String =
                segment.text[from..to].chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
            tokens.push(Token { segment: index, from, to, spelling, start: time(from), end: time(to) });
        }
    }
    tokens
}

/// Where the words of a text begin and end, in bytes.
fn words(text: &str) -> Vec<(usize, usize)> {
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut open = false;
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        let alone = is_written_together(character);
        match words.last_mut() {
            _ if character.is_whitespace() => {}
            Some(word) if open && !alone => word.1 = end,
            // A full stop stays with its word.
            Some(word) if alone && !character.is_alphanumeric() => word.1 = end,
            _ => words.push((at, end)),
        }
        open = !alone && !character.is_whitespace();
    }
    words
}

/// The same words in a row in both.
struct Run {
    ours: usize,
    theirs: usize,
    length: usize,
}

impl Run {
    fn pairs<'t>(&self, ours: &'t [Token], theirs: &'t [Token]) -> impl Iterator<Item = (&'t Token, &'t Token)> {
        ours[self.ours..][..self.length].iter().zip(&theirs[self.theirs..][..self.length])
    }

    /// How likely it is that both are the same moment. Many words count for it, and those that both say at one time
    /// count most: somebody may say one word again and again.
    fn weight(&self, ours: &[Token], theirs: &[Token]) -> u64 {
        let weight = |(one, other)| 1_000_u64.saturating_sub(difference(one, other).milliseconds()).max(150);
        self.pairs(ours, theirs).map(weight).sum()
    }
}

fn difference(one: &Token, other: &Token) -> Offset {
    let (one, other) = (one.middle(), other.middle());
    one.max(other).minus(one.min(other))
}

/// The run that is most likely the same moment.
fn likeliest_run(ours: &[Token], theirs: &[Token]) -> Option<Run> {
    let same = |one: &Token, other: &Token| {
        !one.spelling.is_empty() && one.spelling == other.spelling && difference(one, other) <= TOLERANCE
    };
    let mut best: Option<(Run, u64)> = None;
    for first in 0..ours.len() {
        for second in 0..theirs.len() {
            let pairs = ours[first..].iter().zip(&theirs[second..]);
            let length = pairs.take_while(|(one, other)| same(one, other)).count();
            let run = Run { ours: first, theirs: second, length };
            let weight = run.weight(ours, theirs);
            if weight > best.as_ref().map_or(0, |(_, weight)| *weight) {
                best = Some((run, weight));
            }
        }
    }
    best.map(|(run, _)| run)
}

/// Maps speakers of the right chunk to speakers of the left chunk, by the words they share.
fn speakers_of<'t>(
    left: &[Segment],
    right: &[Segment],
    pairs: impl Iterator<Item = (&'t Token, &'t Token)>,
) -> HashMap<Speaker, Speaker> {
    let mut shared: BTreeMap<(Speaker, Speaker), usize> = BTreeMap::new();
    for (ours, theirs) in pairs {
        if let (Some(ours), Some(theirs)) = (left[ours.segment].speaker, right[theirs.segment].speaker) {
            *shared.entry((theirs, ours)).or_default() += 1;
        }
    }
    let mut by_count: Vec<_> = shared.into_iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut same = HashMap::new();
    for ((theirs, ours), _) in by_count {
        // Nobody is two people.
        if !same.contains_key(&theirs) && !same.values().any(|known| *known == ours) {
            same.insert(theirs, ours);
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offset(milliseconds: u64) -> Offset {
        Offset::from_milliseconds(milliseconds)
    }

    fn segment(text: &str, speaker: Option<u32>, start: u64, end: u64) -> Segment {
        let speaker = speaker.map(Speaker::from_index);
        Segment { text: text.to_owned(), speaker, start: offset(start), end: offset(end), confidence: None }
    }

    fn part(start: u64, end: u64, segments: Vec<Segment>) -> Part {
        let transcript = Transcript::new(None, offset(end - start), segments);
        Part { start: offset(start), end: offset(end), transcript }
    }

    fn lines(transcript: &Transcript) -> Vec<String> {
        let line = |segment: &Segment| {
            let speaker = segment.speaker.map_or("-".to_owned(), |speaker| speaker.to_string());
            format!("{} {} {speaker}: {}", segment.start.milliseconds(), segment.end.milliseconds(), segment.text)
        };
        transcript.segments().iter().map(line).collect()
    }

    #[test]
    fn times_are_shifted_and_speakers_kept_apart_where_pieces_meet_in_a_pause() {
        let whole = join(vec![
            part(
                0,
                10_000,
                vec![segment("Good morning.", Some(0), 500, 1_500), segment("Hello.", Some(1), 2_000, 2_500)],
            ),
            part(10_000, 20_000, vec![segment("Hello.", Some(0), 100, 900), segment("Bye.", Some(1), 9_000, 11_000)]),
        ]);
        insta::assert_debug_snapshot!(lines(&whole), @r#"
        [
            "500 1500 Speaker 1: Good morning.",
            "2000 2500 Speaker 2: Hello.",
            "10100 10900 Speaker 3: Hello.",
            "19000 20000 Speaker 4: Bye.",
        ]
        "#);
        assert_eq!(whole.duration, offset(20_000));
    }

    #[test]
    fn an_overlap_is_said_once_and_by_the_same_person() {
        let whole = join(vec![
            part(
                0,
                10_000,
                vec![
                    segment("This was before.", Some(0), 0, 4_000),
                    segment("and then he said that we could nev", Some(1), 4_500, 10_000),
                ],
            ),
            part(
                5_000,
                15_000,
                vec![
                    segment("Den he said: that we could never know.", Some(0), 0, 6_000),
                    segment("Never?", Some(1), 6_500, 7_000),
                ],
            ),
        ]);
        insta::assert_debug_snapshot!(lines(&whole), @r#"
        [
            "0 4000 Speaker 1: This was before.",
            "4500 7897 Speaker 2: and then he said that",
            "7897 11000 Speaker 2: we could never know.",
            "11500 12000 Speaker 3: Never?",
        ]
        "#);
    }

    #[test]
    fn an_overlap_in_which_nothing_is_alike_is_parted_in_its_middle() {
        let whole = join(vec![
            part(0, 10_000, vec![segment("one two three four", None, 6_000, 9_900)]),
            part(5_000, 15_000, vec![segment("uno due tre quattro", None, 1_000, 4_900)]),
        ]);
        assert_eq!(whole.full_text(), "one two tre quattro");
    }

    /// The end of the left is estimated late, and what the seam leaves of the first segment on the right is one word.
    #[test]
    fn words_stay_in_their_order_where_two_segments_seem_to_begin_before_the_seam() {
        let whole = join(vec![
            part(
                0,
                12_315,
                vec![
                    segment("w326x3 w336x4 w297x0 w9x1 w158x2 w130x3 w315x4", None, 6_190, 8_972),
                    segment("w384x0 w83x1 w241x2 w66x3 w257x4 w67x0 w223x1", None, 8_992, 11_574),
                    segment("w181x2", None, 11_614, 12_188),
                ],
            ),
            part(
                7_315,
                12_831,
                vec![
                    segment("w9x1 w158x2 w130x3 w315x4 w384x0 w83x1 w241x2", None, 24, 2_231),
                    segment("w66x3 w257x4 w67x0 w223x1 w181x2 w249x3", None, 2_260, 5_516),
                ],
            ),
        ]);
        insta::assert_debug_snapshot!(lines(&whole), @r#"
        [
            "6190 8972 -: w326x3 w336x4 w297x0 w9x1 w158x2 w130x3 w315x4",
            "8992 9680 -: w384x0 w83x1",
            "9680 9680 -: w241x2",
            "9680 12831 -: w66x3 w257x4 w67x0 w223x1 w181x2 w249x3",
        ]
        "#);
    }

    #[test]
    fn chinese_is_sewn_by_its_characters() {
        let whole = join(vec![
            part(0, 10_000, vec![segment("今天天气很好。我们", None, 5_000, 10_000)]),
            part(5_000, 15_000, vec![segment("天天气很好。我们去公园吧。", None, 500, 8_000)]),
        ]);
        assert_eq!(whole.full_text().replace(' ', ""), "今天天气很好。我们去公园吧。");
    }

    #[test]
    fn the_language_is_that_of_most_of_the_audio() {
        let spoken = |language: &str, start, end| Part {
            transcript: Transcript::new(Some(language.parse().unwrap()), offset(end - start), Vec::new()),
            ..part(start, end, Vec::new())
        };
        let whole = join(vec![spoken("cy", 0, 40), spoken("en", 40, 100), spoken("cy", 100, 110)]);
        assert_eq!(whole.language.unwrap().as_str(), "en");
        assert_eq!(join(Vec::new()).segments(), []);
    }

    #[derive(Clone, Debug)]
    struct Spoken {
        text: String,
        start: u64,
        end: u64,
    }

    /// People speak at different speeds, stop to think, and say a word again, though not the same one for seconds: of that
    /// nobody can count how often it was.
    fn speech() -> impl Strategy<Value = Vec<Spoken>> {
        let word = (0usize..400, 120u64..700, prop_oneof![8 => 0u64..80, 1 => 200u64..1_500]);
        prop::collection::vec(word, 20..160).prop_map(|words| {
            let mut at = 0;
            words
                .into_iter()
                .enumerate()
                .map(|(index, (word, length, pause))| {
                    let start = at + pause;
                    at = start + length;
                    Spoken { text: format!("w{word}x{}", index % 5), start, end: at }
                })
                .collect()
        })
    }

    /// What a recogniser makes of a chunk: whole words at about their times, in segments; words that the chunk cuts in
    /// two are missed or misheard.
    fn heard(speech: &[Spoken], start: u64, end: u64, grouping: usize, wobble: u64, mishears: bool) -> Part {
        let mut words = Vec::new();
        let shift = start * 31 % (wobble + 1);
        for (index, word) in speech.iter().enumerate().filter(|(_, word)| word.end > start && word.start < end) {
            let whole = word.start >= start && word.end <= end;
            let begin = (word.start.max(start) + shift).min(end);
            let text = if whole { word.text.clone() } else { format!("half{index}") };
            if whole || mishears {
                words.push(Spoken { text, start: begin, end: (word.end + shift).min(end).max(begin) });
            }
        }
        // Recognisers begin a new segment at a pause.
        let mut segments: Vec<Vec<&Spoken>> = Vec::new();
        for word in &words {
            match segments.last_mut() {
                Some(last)
                    if last.len() < grouping && last.last().is_some_and(|before| word.start < before.end + 200) =>
                {
                    last.push(word)
                }
                _ => segments.push(vec![word]),
            }
        }
        let segments = segments.iter().map(|words| {
            let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
            segment(&text, None, words[0].start - start, words[words.len() - 1].end - start)
        });
        part(start, end, segments.collect())
    }

    fn text(speech: &[Spoken]) -> String {
        speech.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    proptest! {
        #[test]
        fn no_word_is_lost_or_doubled_where_pieces_meet_in_a_pause(
            speech in speech(), grouping in 1usize..20, every in 1usize..30, wobble in 0u64..300,
        ) {
            // Cut in the pauses between words, as the cutter does.
            let end = speech.last().unwrap().end;
            let mut cuts: Vec<u64> = vec![0];
            cuts.extend(speech.windows(2).step_by(every).map(|pair| u64::midpoint(pair[0].end, pair[1].start)));
            cuts.push(end);
            let parts = cuts.windows(2).filter(|cut| cut[0] < cut[1]);
            let whole = join(parts.map(|cut| heard(&speech, cut[0], cut[1], grouping, wobble, false)).collect());
            prop_assert_eq!(whole.full_text(), text(&speech));
            prop_assert!(whole.segments().iter().all(|segment| segment.start <= segment.end && segment.end.milliseconds() <= end));
        }

        #[test]
        fn no_word_is_lost_or_doubled_where_pieces_overlap(
            speech in speech(), grouping in 1usize..20, length in 12_000u64..30_000, wobble in 0u64..300, mishears: bool,
        ) {
            let end = speech.last().unwrap().end;
            let mut parts = Vec::new();
            let mut start = 0;
            loop {
                let stop = (start + length).min(end);
                parts.push(heard(&speech, start, stop, grouping, wobble, mishears));
                if stop == end {
                    break;
                }
                start = stop - 5_000;
            }
            let whole = join(parts);
            prop_assert_eq!(whole.full_text(), text(&speech));
        }
    }
}
