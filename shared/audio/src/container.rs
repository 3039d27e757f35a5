//! What the bytes are, decided from the bytes alone, and what has to be known of a container
//! before its demuxer sees it.

use std::io::{Read, Seek};

use crate::AudioError;
use crate::source::Source;

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
        () if starts(b"FORM") => Audio("an AIFF file"),
        () if starts(b"caff") => Audio("a Core Audio file"),
        () if starts(b"<!DOCTYPE") || starts(b"<html") || starts(b"<?xml") => Other("a web page or XML document"),
        () => return None,
    })
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

/// Makes the sizes of an unfinished or over-long WAV read as "up to the end of the file".
///
/// A recorder that lost power leaves sizes of 0 or from its last update; RF64 (EBU Tech 3306)
/// keeps the real ones elsewhere. Both would otherwise hide sound that is there.
pub(crate) fn mend_wav<S: Read + Seek>(source: &mut Source<S>, length: u64) {
    let head = source.head();
    let long = head.starts_with(b"RF64") || head.starts_with(b"BW64");
    if !(long || head.starts_with(b"RIFF")) || head.get(8..12) != Some(b"WAVE") {
        return;
    }
    let mut at = 12_usize;
    let mut data_size_at = None;
    while let Some(chunk) = head.get(at..at + 8) {
        let size = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        if &chunk[..4] == b"data" {
            let overruns = at as u64 + 8 + u64::from(size) > length;
            if size == 0 || long || overruns {
                data_size_at = Some(at as u64 + 4);
            }
            break;
        }
        // Chunks are padded to even lengths.
        at = at.saturating_add(8).saturating_add(size as usize).saturating_add(size as usize & 1);
    }
    if long {
        source.patch(0, *b"RIFF");
    }
    if let Some(at) = data_size_at {
        source.patch(4, [0xff; 4]);
        source.patch(at, [0xff; 4]);
    }
}
