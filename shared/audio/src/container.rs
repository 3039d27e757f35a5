//! What the bytes are, decided from the bytes alone, and what has to be known of a container
//! before its demuxer sees it.

use crate::AudioError;
use crate::ogg_streams::SOUND;

/// The containers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Ogg,
    Wav,
    /// MP3, with or without ID3.
    Mpeg,
    Adts,
    Mp4,
    WebM,
    Matroska,
    Flac,
}

/// What is certainly none of the containers that are read, with words for it.
enum Foreign {
    /// There may be sound in it.
    Audio(&'static str),
    /// There is none.
    Other(&'static str),
}

fn foreign(head: &[u8]) -> Option<Foreign> {
    use Foreign::{Audio, Other};
    let starts = |magic: &[u8]| head.starts_with(magic);
    let brand = (head.get(4..8) == Some(b"ftyp")).then(|| head.get(8..12)).flatten();
    Some(match () {
        () if starts(b"\x89PNG\r\n\x1a\n") => Other("a PNG image"),
        () if starts(b"\xff\xd8\xff") => Other("a JPEG image"),
        () if starts(b"GIF8") => Other("a GIF image"),
        () if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") => Other("a WebP image"),
        () if starts(b"RIFF") && head.get(8..12) == Some(b"AVI ") => Audio("an AVI video"),
        () if matches!(brand, Some(b"heic" | b"heix" | b"mif1" | b"msf1" | b"avif")) => Other("a HEIF image"),
        () if starts(b"II*\0") || starts(b"MM\0*") => Other("a TIFF image"),
        () if starts(b"%PDF-") => Other("a PDF document"),
        () if starts(b"PK\x03\x04") => Other("a ZIP archive"),
        () if starts(b"\x1f\x8b") => Other("a gzip archive"),
        () if starts(b"\x30\x26\xb2\x75") => Audio("a Windows Media file"),
        () if starts(b"#!AMR") => Audio("an AMR recording"),
        () if is_transport_stream(head) => Audio("an MPEG transport stream"),
        () if starts(b"#!SILK") || starts(b"\x02#!SILK") => Audio("a SILK recording"),
        () if starts(b".snd") => Audio("a Sun audio file"),
        () if starts(b"MThd") => Other("a MIDI file"),
        () if starts(b"\0\0\x01\xba") => Audio("an MPEG program stream"),
        () if starts(b"FLV\x01") => Audio("a Flash video"),
        () if starts(b"wvpk") => Audio("a WavPack file"),
        () if starts(b"MAC ") => Audio("a Monkey's Audio file"),
        () if starts(b"OggS") => return foreign_ogg(head).map(Audio),
        () if starts(b"FORM") => Audio("an AIFF file"),
        () if starts(b"caff") => Audio("a Core Audio file"),
        () if starts(b"<!DOCTYPE") || starts(b"<html") || starts(b"<?xml") => Other("a web page or XML document"),
        () => return None,
    })
}

/// Packets of 188 bytes that each begin with 0x47 (ISO/IEC 13818-1, section 2.4.3.2), or of 192 with a time before them.
fn is_transport_stream(head: &[u8]) -> bool {
    [(0, 188), (4, 192)]
        .iter()
        .any(|(first, length)| (0..4).all(|index| head.get(first + index * length) == Some(&0x47)))
}

/// The name of what an Ogg file contains, when none of its streams is decoded. Each stream begins with a page of its own
/// (RFC 3533, section 4).
fn foreign_ogg(head: &[u8]) -> Option<&'static str> {
    const FIRST_PAGE: u8 = 2;
    let mut at = 0;
    let mut found = None;
    while let Some(page) = head.get(at..).filter(|page| page.starts_with(b"OggS") && page.len() > 27) {
        let segments = usize::from(page[26]);
        let Some(table) = page.get(27..27 + segments) else { break };
        if page[5] & FIRST_PAGE == 0 {
            break;
        }
        let content = &page[27 + segments..];
        if SOUND.iter().any(|magic| content.starts_with(magic)) {
            return None;
        }
        if content.starts_with(b"Speex   ") {
            found = Some("Speex in Ogg");
        } else if content.starts_with(b"\x80theora") {
            found = found.or(Some("a Theora video without audio"));
        }
        at += 27 + segments + table.iter().map(|length| usize::from(*length)).sum::<usize>();
    }
    found
}

/// Refuses what is certainly something else. Anything unknown passes: the probe decides.
pub(crate) fn refuse_foreign(head: &[u8]) -> Result<(), AudioError> {
    if head.is_empty() {
        return Err(AudioError::EMPTY);
    }
    match foreign(head) {
        Some(Foreign::Audio(what)) => Err(AudioError::unsupported(format!("This is {what}, which is not supported"))),
        Some(Foreign::Other(what)) => Err(AudioError::unsupported(format!("This is {what}, not audio"))),
        None => Ok(()),
    }
}

/// Tells WebM from other Matroska by the document type, which both write among the first bytes
/// (RFC 8794, section 11.2.5).
pub(crate) fn matroska_kind(head: &[u8]) -> Container {
    if head.get(..64).unwrap_or(head).windows(4).any(|word| word == b"webm") {
        Container::WebM
    } else {
        Container::Matroska
    }
}
