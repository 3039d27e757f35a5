//! Where the samples of a WAV file are, whatever its sizes say (RIFF; EBU Tech 3306 for RF64 and BW64).
//!
//! The demuxer gets a header that is written anew from the `fmt ` chunk, and behind it the samples alone. Other chunks,
//! damaged or large, never reach it.

use std::io::{self, Read, Seek};
use std::ops::Range;

use crate::AudioError;
use crate::source::{HEAD_BYTES, Source};
use crate::view::Extent;

/// Chunks that are looked at; a real file has a dozen.
const MOST_CHUNKS: u32 = 1_000;
/// Of a `fmt ` chunk, all that any coding needs.
const MOST_FORMAT_BYTES: u64 = 64;
/// A size that another field replaces, or that was never written.
const UNKNOWN_SIZE: u32 = u32::MAX;
/// Chunks that recorders write behind the samples. One of them that a cut-off file ends in is no sound either.
const KNOWN_CHUNKS: [&[u8; 4]; 24] = [
    b"LIST", b"INFO", b"id3 ", b"ID3 ", b"bext", b"iXML", b"axml", b"chna", b"cue ", b"plst", b"smpl", b"inst",
    b"acid", b"fact", b"PEAK", b"JUNK", b"junk", b"PAD ", b"FLLR", b"cart", b"levl", b"_PMX", b"DISP", b"umid",
];

/// Format tags (`mmreg.h`).
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const MULAW: u16 = 7;
const MP3: u16 = 0x55;
const EXTENSIBLE: u16 = 0xfffe;

/// Whether a file is RIFF, RF64 or BW64 with WAVE content.
pub(crate) fn is_wav(head: &[u8]) -> bool {
    [b"RIFF", b"RF64", b"BW64"].iter().any(|magic| head.starts_with(*magic)) && head.get(8..12) == Some(b"WAVE")
}

/// What the demuxer is to see of a WAV file.
///
/// # Errors
/// `Unsupported` when the samples have a coding that is not read. Errors of the source end up in its state.
pub(crate) fn extent<S: Read + Seek>(source: &mut Source<S>, length: u64) -> Result<Extent, AudioError> {
    let Some(chunks) = Chunks::find(source, length).map_err(AudioError::Source)? else {
        return Err(AudioError::NO_AUDIO_BYTES);
    };
    let tag = chunks.tag();
    if tag == MP3 {
        return Ok(Extent::of(chunks.samples));
    }
    if let Some(name) = coding(tag) {
        return Err(AudioError::unsupported(format!("The WAV file contains {name}, which is not supported")));
    }
    Ok(Extent { header: chunks.header(tag), ..Extent::of(chunks.samples) })
}

/// Names of codings that are not read.
fn coding(tag: u16) -> Option<&'static str> {
    Some(match tag {
        0x0022 => "DSP Group TrueSpeech",
        0x0031 => "GSM 6.10",
        0x0040 | 0x0064 | 0x0045 => "G.726 ADPCM",
        0x0042 => "G.723.1",
        0x0050 => "MPEG Layer 2",
        0x0065 | 0x028f => "G.722 ADPCM",
        0x0083 => "G.729",
        0x0092 | 0x2000 => "AC-3",
        0x00ff | 0x1600 | 0x1602 | 0x1610 => "AAC",
        0x0160..=0x0163 => "Windows Media Audio",
        0x2001 => "DTS",
        0xa109 => "Speex",
        0xf1ac => "FLAC",
        _ => return None,
    })
}

struct Chunks {
    /// Content of the `fmt ` chunk, from its first byte.
    format: Vec<u8>,
    samples: Range<u64>,
}

impl Chunks {
    /// Goes through the chunks up to the samples. `None` without a `fmt ` chunk.
    fn find<S: Read + Seek>(source: &mut Source<S>, length: u64) -> io::Result<Option<Self>> {
        let mut at = 12;
        let mut format = None;
        let mut long_size = None;
        for _ in 0..MOST_CHUNKS {
            let Some(chunk) = Chunk::read(source, at, length)? else { break };
            let start = at + 8;
            match &chunk.id {
                b"ds64" if chunk.size >= 16 => {
                    let bytes = source.read_range(start + 8..(start + 16).min(length))?;
                    long_size = bytes.try_into().ok().map(u64::from_le_bytes);
                }
                b"fmt " => {
                    let end = start + u64::from(chunk.size).min(MOST_FORMAT_BYTES);
                    format = Some(source.read_range(start..end.min(length))?);
                }
                b"data" => {
                    let samples = start..data_end(source, start, chunk.size, long_size, length)?;
                    return Ok(format.map(|format| Self { format, samples }));
                }
                _ => {}
            }
            at = chunk.next(at);
        }
        let Some(format) = format else { return Ok(None) };
        let start = find_data(source, length)?.unwrap_or(length);
        Ok(Some(Self { format, samples: start..length }))
    }

    fn number(&self, at: usize) -> u16 {
        self.format.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    /// The format tag; of an extensible format the one that its sub-format begins with.
    fn tag(&self) -> u16 {
        match self.number(0) {
            EXTENSIBLE if self.format.len() >= 26 => self.number(24),
            tag => tag,
        }
    }

    /// A header with a `fmt ` chunk of the length that the coding has by its specification, and samples up to the end.
    fn header(&self, tag: u16) -> Vec<u8> {
        let mut format = self.format.clone();
        let stays_extensible = self.number(0) == EXTENSIBLE && format.len() >= 40 && matches!(tag, PCM | FLOAT);
        match tag {
            PCM | FLOAT if stays_extensible => format.truncate(40),
            PCM | FLOAT => format.resize(16, 0),
            ALAW | MULAW => {
                format.resize(16, 0);
                format.extend([0, 0]);
            }
            _ => {
                let extension = 18 + usize::from(self.number(16));
                format.resize(extension.min(MOST_FORMAT_BYTES as usize), 0);
            }
        }
        if !stays_extensible {
            format[..2].copy_from_slice(&tag.to_le_bytes());
        }
        let size = u32::try_from(format.len()).unwrap_or(0);
        let unknown = UNKNOWN_SIZE.to_le_bytes();
        [b"RIFF", &unknown[..], b"WAVE", b"fmt ", &size.to_le_bytes(), &format, b"data", &unknown].concat()
    }
}

struct Chunk {
    id: [u8; 4],
    size: u32,
}

impl Chunk {
    fn read<S: Read + Seek>(source: &mut Source<S>, at: u64, length: u64) -> io::Result<Option<Self>> {
        if at + 8 > length {
            return Ok(None);
        }
        let bytes = source.read_range(at..at + 8)?;
        let Ok([a, b, c, d, size @ ..]) = <[u8; 8]>::try_from(bytes) else { return Ok(None) };
        Ok(Some(Self { id: [a, b, c, d], size: u32::from_le_bytes(size) }))
    }

    /// Where the chunk behind it begins. Chunks are padded to even lengths.
    fn next(&self, at: u64) -> u64 {
        at + 8 + u64::from(self.size) + u64::from(self.size & 1)
    }

    fn has_valid_id(&self) -> bool {
        self.id.iter().all(|byte| matches!(byte, b' '..=b'~'))
    }
}

/// The end of the samples that begin at `start`.
///
/// The stated size holds only if it leads to the end of the file or to another chunk. Recorders that lost power leave 0
/// or the size of their last update, and beyond 4 GiB the size wraps: then the samples go on to the end.
fn data_end<S: Read + Seek>(
    source: &mut Source<S>,
    start: u64,
    size: u32,
    long_size: Option<u64>,
    length: u64,
) -> io::Result<u64> {
    let stated = match long_size {
        Some(size) if size > 0 => size,
        _ if size == UNKNOWN_SIZE => return Ok(length),
        _ => u64::from(size),
    };
    let end = start.saturating_add(stated);
    let rest = length.saturating_sub(end);
    // One byte of padding, or of a writer that forgot it.
    if rest <= 1 {
        return Ok(end.min(length));
    }
    for end_with_padding in [end + (stated & 1), end] {
        if leads_to_the_end(source, end_with_padding, length)? {
            return Ok(end);
        }
    }
    Ok(length)
}

/// Whether valid chunks follow each other from `at` to the end of the file.
fn leads_to_the_end<S: Read + Seek>(source: &mut Source<S>, mut at: u64, length: u64) -> io::Result<bool> {
    for _ in 0..MOST_CHUNKS {
        let Some(chunk) = Chunk::read(source, at, length)? else { return Ok(false) };
        if !chunk.has_valid_id() {
            return Ok(false);
        }
        let known = KNOWN_CHUNKS.contains(&&chunk.id);
        at = chunk.next(at);
        // Less than a chunk header may be left over.
        if length.abs_diff(at) < 8 || known && at > length {
            return Ok(true);
        }
        if at > length {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Where samples begin in a file with a chunk of a wrong size before them: behind the word `data` in its head.
fn find_data<S: Read + Seek>(source: &mut Source<S>, length: u64) -> io::Result<Option<u64>> {
    let head = source.read_range(0..length.min(HEAD_BYTES))?;
    Ok(head.windows(4).position(|word| word == b"data").map(|at| (at as u64 + 8).min(length)))
}
