//! What a JPEG or PNG says of itself: its size in pixels and when it was taken.
//!
//! Only headers are read, never the pixels: at most the first 256 KiB for EXIF, and from segment to
//! segment for the size.

mod jpeg;

use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use exif::{In, Tag, Value};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::Offset;

/// EXIF stands in one of the first segments (Exif 2.32, section 4.5.4), which hold 64 KiB each.
const HEAD_BYTES: u64 = 256 << 10;

/// The image types that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// JPEG (ISO/IEC 10918-1).
    Jpeg,
    /// PNG (ISO/IEC 15948).
    Png,
}

/// What was learned of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageFacts {
    /// What the bytes are, whatever the uploader called them.
    pub format: ImageFormat,
    /// Width in pixels as stored, before any EXIF orientation.
    pub width: u32,
    /// Height in pixels as stored, before any EXIF orientation.
    pub height: u32,
    /// When it was taken, from EXIF `DateTimeOriginal` and `OffsetTimeOriginal` or `OffsetTime`. Cameras that
    /// state no offset state local time; it is taken as UTC, for want of anything better.
    pub captured_at: Option<Timestamp>,
}

/// Why an image was not read. `Display` is meant for the person who took it.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The bytes are no image of a supported type. The words name what they are.
    #[error("This is {0}. Send a JPEG or PNG image")]
    Unsupported(&'static str),
    /// The bytes begin like an image but its header is cut off or contradictory.
    #[error("The image is cut off or damaged: its size cannot be read. Send the whole file")]
    Corrupt,
    /// A side has more than [`LONGEST_SIDE`] pixels, which no camera makes and no JPEG can.
    #[error("The image is {width} x {height} pixels: at most 65535 per side are supported")]
    TooLarge {
        /// Pixels per row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// The source could not be read. This says nothing about the image: try again.
    #[error("The image could not be read: {0}")]
    Source(#[source] io::Error),
}

/// Pixels per side: the fields of a JPEG have 16 bits.
pub const LONGEST_SIDE: u32 = 65_535;

/// Reads the header of an image.
///
/// # Errors
/// See [`ImageError`]; only [`ImageError::Source`] is worth another try.
pub fn inspect(image: impl Read + Seek) -> Result<ImageFacts, ImageError> {
    // The parsers are other people's and the bytes are anybody's: a panic is a property of the bytes.
    catch_unwind(AssertUnwindSafe(|| read_header(image))).unwrap_or(Err(ImageError::Corrupt))
}

fn read_header(mut image: impl Read + Seek) -> Result<ImageFacts, ImageError> {
    let mut head = Vec::new();
    image.seek(SeekFrom::Start(0)).map_err(ImageError::Source)?;
    image.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(ImageError::Source)?;
    let (format, width, height) = if head.starts_with(b"\xff\xd8\xff") {
        let size = jpeg::size(&mut Cursor::new(&head)).or_else(|_| {
            // Long colour profiles or previews stand before the size of some JPEGs.
            image.seek(SeekFrom::Start(0))?;
            jpeg::size(&mut BufReader::new(&mut image))
        });
        let (width, height) = size.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData => ImageError::Corrupt,
            _ => ImageError::Source(error),
        })?;
        (ImageFormat::Jpeg, width.into(), height.into())
    } else if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        let (width, height) = png_size(&head)?;
        (ImageFormat::Png, width, height)
    } else {
        return Err(ImageError::Unsupported(kind_of(&head)));
    };
    if width == 0 || height == 0 {
        return Err(ImageError::Corrupt);
    }
    if width.max(height) > LONGEST_SIDE {
        return Err(ImageError::TooLarge { width: width.into(), height: height.into() });
    }
    Ok(ImageFacts { format, width, height, captured_at: captured_at(head) })
}

/// The size in the header chunk, which comes first (ISO/IEC 15948, section 11.2.2).
fn png_size(head: &[u8]) -> Result<(u32, u32), ImageError> {
    match head.get(12..16) {
        Some(b"IHDR") => {}
        Some(b"CgBI") => return Err(ImageError::Unsupported("a PNG image in Apple's private form (CgBI)")),
        _ => return Err(ImageError::Corrupt),
    }
    let number = |at: usize| head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    number(16).zip(number(20)).ok_or(ImageError::Corrupt)
}

fn kind_of(head: &[u8]) -> &'static str {
    let brand = (head.get(4..8) == Some(b"ftyp")).then(|| head.get(8..12)).flatten();
    match brand {
        Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => return "a HEIC image",
        Some(b"avif" | b"avis") => return "an AVIF image",
        Some(_) => return "an MP4 file",
        None => {}
    }
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "a WebP image",
        [b'G', b'I', b'F', b'8', ..] => "a GIF image",
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => "a TIFF image",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [b'B', b'M', ..] => "a BMP image",
        _ => "not an image of a known type",
    }
}

/// A missing or broken EXIF block is no fault of the image.
fn captured_at(head: Vec<u8>) -> Option<Timestamp> {
    let exif = exif::Reader::new()
        .continue_on_error(true)
        .read_from_container(&mut Cursor::new(head))
        .or_else(|error| error.distill_partial_result(|_| {}))
        .ok()?;
    let text = |tag| {
        let Value::Ascii(lines) = &exif.get_field(tag, In::PRIMARY)?.value else { return None };
        lines.first().cloned()
    };
    let mut stated = exif::DateTime::from_ascii(&text(Tag::DateTimeOriginal)?).ok()?;
    // Cameras that write one offset for all their times write `OffsetTime`.
    if let Some(offset) =
        [Tag::OffsetTimeOriginal, Tag::OffsetTime, Tag::OffsetTimeDigitized].into_iter().find_map(text)
    {
        // An offset that does not parse is the same as none.
        let _ = stated.parse_offset(&offset);
    }
    let local = civil::DateTime::new(
        i16::try_from(stated.year).ok()?,
        stated.month.try_into().ok()?,
        stated.day.try_into().ok()?,
        stated.hour.try_into().ok()?,
        stated.minute.try_into().ok()?,
        stated.second.try_into().ok()?,
        0,
    )
    .ok()?;
    let offset = Offset::from_seconds(i32::from(stated.offset.unwrap_or(0)) * 60).ok()?;
    offset.to_timestamp(local).ok()
}
