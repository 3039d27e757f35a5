//! FLAC files (RFC 9639) without their metadata, whose damage must not cost the sound.

use std::io::{self, Read, Seek};

use crate::source::Source;
use crate::view::Extent;

const MAGIC: &[u8] = b"fLaC";
const STREAM_INFO_BYTES: u64 = 34;
/// Metadata blocks that are looked at; a real file has a few.
const MOST_BLOCKS: u32 = 1_000;
/// Bytes that are searched for the first frame when the length of a metadata block is wrong.
const SEARCHED_BYTES: u64 = 4 << 20;

/// The stream information and the frames of the FLAC file that begins at `start`; `None` when it does not begin with
/// stream information.
///
/// The number of samples in the stream information is cleared: the frames say how many there are.
pub(crate) fn extent<S: Read + Seek>(source: &mut Source<S>, start: u64, length: u64) -> io::Result<Option<Extent>> {
    let info = start + 4;
    let frames_at_least = info + 4 + STREAM_INFO_BYTES;
    if frames_at_least > length {
        return Ok(None);
    }
    let mut header = source.read_range(start..frames_at_least)?;
    if !header.starts_with(MAGIC) || header[4] & 0x7f != 0 || header[5..8] != [0, 0, 34] {
        return Ok(None);
    }
    header[4] = 0x80;
    // 36 bits of sample count behind 28 bits of rate, channels and sample size.
    header[8 + 13] &= 0xf0;
    header[8 + 14..8 + 18].fill(0);
    let frames = match behind_metadata(source, info, length)? {
        Some(at) => at,
        None => first_frame(source, frames_at_least, length)?.unwrap_or(frames_at_least),
    };
    Ok(Some(Extent { header, may_end_in_tags: true, ..Extent::of(frames..length) }))
}

/// Follows the lengths of the metadata blocks; `None` when they do not lead to a frame.
fn behind_metadata<S: Read + Seek>(source: &mut Source<S>, mut at: u64, length: u64) -> io::Result<Option<u64>> {
    for _ in 0..MOST_BLOCKS {
        if at + 4 > length {
            return Ok(None);
        }
        let Ok([kind, a, b, c]) = <[u8; 4]>::try_from(source.read_range(at..at + 4)?) else { return Ok(None) };
        at += 4 + u64::from(u32::from_be_bytes([0, a, b, c]));
        if kind & 0x80 != 0 {
            let is_frame = at + 2 <= length && is_sync(&source.read_range(at..at + 2)?);
            return Ok((is_frame || at == length).then_some(at));
        }
    }
    Ok(None)
}

fn is_sync(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xf8 | 0xf9, ..])
}

fn first_frame<S: Read + Seek>(source: &mut Source<S>, from: u64, length: u64) -> io::Result<Option<u64>> {
    let bytes = source.read_range(from..length.min(from + SEARCHED_BYTES))?;
    Ok((0..bytes.len()).find(|at| has_frame_header(&bytes[*at..])).map(|at| from + at as u64))
}

/// Whether `bytes` begin with a frame header with the right checksum (RFC 9639, section 9.1).
fn has_frame_header(bytes: &[u8]) -> bool {
    if !is_sync(bytes) || bytes.len() < 16 || bytes[2] >> 4 == 0 || bytes[2] & 0x0f == 0x0f || bytes[3] & 1 != 0 {
        return false;
    }
    let number = match bytes[4].leading_ones() {
        0 => 1,
        ones @ 2..=7 => ones as usize,
        _ => return false,
    };
    let block = match bytes[2] >> 4 {
        6 => 1,
        7 => 2,
        _ => 0,
    };
    let rate = match bytes[2] & 0x0f {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    };
    let end = 4 + number + block + rate;
    bytes.get(end).is_some_and(|checksum| *checksum == crc8(&bytes[..end]))
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 })
    })
}
