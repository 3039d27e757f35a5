//! The size of a JPEG: from marker to marker up to the frame header (ISO/IEC 10918-1, annex B).

use std::io::{self, ErrorKind, Read, Seek};

/// Markers before the frame header; a real file has a few dozen.
const MOST_MARKERS: u32 = 10_000;

/// Width and height from the first frame header behind the start of the image.
///
/// # Errors
/// `InvalidData` where a marker is missing, `UnexpectedEof` where the file ends first.
pub(crate) fn size(image: &mut (impl Read + Seek)) -> io::Result<(u16, u16)> {
    for _ in 0..MOST_MARKERS {
        match marker(image)? {
            // Start of frame, except for the three tables whose numbers lie among them.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let [_, _, _, h0, h1, w0, w1] = bytes(image)?;
                return Ok((u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1])));
            }
            // Without a segment.
            0x01 | 0xd0..=0xd8 => {}
            // The scan or the end: no frame header has come.
            0xd9 | 0xda => break,
            _ => {
                let length = u16::from_be_bytes(bytes(image)?);
                let Some(content) = length.checked_sub(2) else { break };
                image.seek_relative(content.into())?;
            }
        }
    }
    Err(ErrorKind::InvalidData.into())
}

/// The next marker. Any number of fill bytes, 0xff, may stand before it (section B.1.1.2).
fn marker(image: &mut impl Read) -> io::Result<u8> {
    let [prefix] = bytes(image)?;
    if prefix != 0xff {
        return Err(ErrorKind::InvalidData.into());
    }
    loop {
        match bytes(image)? {
            [0xff] => {}
            [marker] => return Ok(marker),
        }
    }
}

fn bytes<const N: usize>(image: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    image.read_exact(&mut bytes)?;
    Ok(bytes)
}
