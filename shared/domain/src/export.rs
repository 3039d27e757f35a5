//! A transcript as a file: plain text, SubRip, WebVTT, JSON.

use std::fmt::Write;
use std::str::FromStr;

use serde_json::json;

use crate::{Offset, Segment, Speaker, Transcript};

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A paragraph for each turn of a speaker.
    Txt,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles (W3C).
    Vtt,
    /// The segments as in the API.
    Json,
}

impl ExportFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Txt, Self::Srt, Self::Vtt, Self::Json];
    /// Rule of a format's name.
    pub const RULE: &'static str = "must be one of txt, srt, vtt, json";

    /// Its name, which is also the extension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Json => "json",
        }
    }

    /// The MIME type of such a file.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Txt => "text/plain; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// The file.
    pub fn write(self, transcript: &Transcript) -> String {
        match self {
            Self::Txt => txt(transcript),
            Self::Srt => srt(transcript),
            Self::Vtt => vtt(transcript),
            Self::Json => json(transcript),
        }
    }
}

impl FromStr for ExportFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(Self::RULE)
    }
}

fn txt(transcript: &Transcript) -> String {
    let turns = transcript.segments().chunk_by(|one, next| one.speaker == next.speaker);
    let paragraphs = turns.map(|turn| {
        let text = turn.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ");
        format!("{}{text}\n", label(turn[0].speaker))
    });
    paragraphs.collect::<Vec<_>>().join("\n")
}

/// SubRip has no specification and no escapes. An arrow would be read as a line of times.
fn srt(transcript: &Transcript) -> String {
    let mut file = String::new();
    for (index, segment) in transcript.segments().iter().enumerate() {
        let (start, end) = cue_times(segment);
        let text = segment.text.replace("-->", "\u{2192}");
        let _ = writeln!(
            file,
            "{}\n{} --> {}\n{}{text}\n",
            index + 1,
            clock(start, ','),
            clock(end, ','),
            label(segment.speaker)
        );
    }
    file
}

/// WebVTT: the voice is a `v` span, whose annotation and text take character references (section 6.4 of the parser).
fn vtt(transcript: &Transcript) -> String {
    let mut file = "WEBVTT\n".to_owned();
    for segment in transcript.segments() {
        let (start, end) = cue_times(segment);
        let text = segment.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let voice = segment.speaker.map_or(String::new(), |speaker| format!("<v {speaker}>"));
        let _ = writeln!(file, "\n{} --> {}\n{voice}{text}", clock(start, '.'), clock(end, '.'));
    }
    file
}

fn json(transcript: &Transcript) -> String {
    let body = json!({
        "language": transcript.language,
        "duration_ms": transcript.duration.milliseconds(),
        "word_count": transcript.word_count(),
        "full_text": transcript.full_text(),
        "segments": transcript.segments(),
    });
    format!("{body:#}\n")
}

fn label(speaker: Option<Speaker>) -> String {
    speaker.map_or(String::new(), |speaker| format!("{speaker}: "))
}

/// A cue must end after it begins, or players drop it (WebVTT, section 4.4).
fn cue_times(segment: &Segment) -> (Offset, Offset) {
    (segment.start, segment.end.max(segment.start.plus(Offset::from_milliseconds(1))))
}

/// `HH:MM:SS.mmm`, with as many digits for the hours as they need.
fn clock(at: Offset, point: char) -> String {
    let milliseconds = at.milliseconds();
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Confidence;

    fn segment(text: &str, speaker: Option<u32>, start: u64, end: u64) -> Segment {
        Segment {
            text: text.to_owned(),
            speaker: speaker.map(Speaker::from_index),
            start: Offset::from_milliseconds(start),
            end: Offset::from_milliseconds(end),
            confidence: Confidence::new(0.98),
        }
    }

    fn transcript() -> Transcript {
        Transcript::new(
            Some("en-GB".parse().unwrap()),
            Offset::from_milliseconds(363_600_000),
            vec![
                segment("Good morning.", Some(0), 250, 1_004),
                segment("Shall we\nbegin?", Some(0), 1_500, 2_000),
                segment("If a < b && b > c, then 1 --> 2 & so on.", Some(1), 3_600_000, 3_600_000),
                segment("That was long.", Some(0), 360_000_001, 363_599_999),
            ],
        )
    }

    #[test]
    fn text_has_a_paragraph_for_each_turn() {
        insta::assert_snapshot!(ExportFormat::Txt.write(&transcript()), @r"
        Speaker 1: Good morning. Shall we begin?

        Speaker 2: If a < b && b > c, then 1 --> 2 & so on.

        Speaker 1: That was long.
        ");
    }

    #[test]
    fn subrip_counts_from_1_and_takes_no_arrow_for_a_time() {
        insta::assert_snapshot!(ExportFormat::Srt.write(&transcript()), @r"
        1
        00:00:00,250 --> 00:00:01,004
        Speaker 1: Good morning.

        2
        00:00:01,500 --> 00:00:02,000
        Speaker 1: Shall we begin?

        3
        01:00:00,000 --> 01:00:00,001
        Speaker 2: If a < b && b > c, then 1 → 2 & so on.

        4
        100:00:00,001 --> 100:59:59,999
        Speaker 1: That was long.
        ");
    }

    #[test]
    fn webvtt_escapes_markup() {
        insta::assert_snapshot!(ExportFormat::Vtt.write(&transcript()), @r"
        WEBVTT

        00:00:00.250 --> 00:00:01.004
        <v Speaker 1>Good morning.

        00:00:01.500 --> 00:00:02.000
        <v Speaker 1>Shall we begin?

        01:00:00.000 --> 01:00:00.001
        <v Speaker 2>If a &lt; b &amp;&amp; b &gt; c, then 1 --&gt; 2 &amp; so on.

        100:00:00.001 --> 100:59:59.999
        <v Speaker 1>That was long.
        ");
    }

    #[test]
    fn json_export_has_times_in_seconds() {
        let one =
            Transcript::new(None, Offset::from_milliseconds(1_004), vec![segment("Good morning.", None, 250, 1_004)]);
        insta::assert_snapshot!(ExportFormat::Json.write(&one), @r#"
        {
          "duration_ms": 1004,
          "full_text": "Good morning.",
          "language": null,
          "segments": [
            {
              "confidence": 0.98,
              "end": 1.004,
              "speaker": null,
              "start": 0.25,
              "text": "Good morning."
            }
          ],
          "word_count": 2
        }
        "#);
    }

    #[test]
    fn nothing_said_is_an_empty_file_of_its_kind() {
        let silence = Transcript::new(None, Offset::default(), Vec::new());
        assert_eq!(ExportFormat::Txt.write(&silence), "");
        assert_eq!(ExportFormat::Srt.write(&silence), "");
        assert_eq!(ExportFormat::Vtt.write(&silence), "WEBVTT\n");
    }
}
