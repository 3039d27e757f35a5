//! What a JPEG or PNG says of itself: its size in pixels and when it was taken.
//!
//! Only headers are read, never the pixels: at most the first 256 KiB for EXIF, and from segment to
//! segment for the size.

use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};

use exif::{In, Tag, Value};
use imagesize::ImageType;
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
    /// When it was taken, from EXIF `DateTimeOriginal` and `OffsetTimeOriginal`. Cameras that
    /// state no offset state local time; it is taken as UTC, for want of anything better.
    pub captured_at: Option<Timestamp>,
}

/// Why an image was not read. `Display` is meant for the person who took it.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The bytes are no image of a supported type.
    #[error("This is not a JPEG or PNG image")]
    NotAnImage,
    /// The bytes begin like an image but its header is cut off or contradictory.
    #[error("The image is damaged: its size cannot be read")]
    Corrupt,
    /// The source could not be read. This says nothing about the image: try again.
    #[error("The image could not be read: {0}")]
    Source(#[source] io::Error),
}

/// Reads the header of an image.
///
/// # Errors
/// See [`ImageError`]; only [`ImageError::Source`] is worth another try.
pub fn inspect(mut image: impl Read + Seek) -> Result<ImageFacts, ImageError> {
    let mut head = Vec::new();
    image.seek(SeekFrom::Start(0)).map_err(ImageError::Source)?;
    image.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(ImageError::Source)?;
    let format = match imagesize::image_type(&head) {
        Ok(ImageType::Jpeg) => ImageFormat::Jpeg,
        Ok(ImageType::Png) => ImageFormat::Png,
        _ => return Err(ImageError::NotAnImage),
    };
    let size = imagesize::blob_size(&head).or_else(|_| {
        // Long colour profiles or previews stand before the size of some JPEGs.
        image.seek(SeekFrom::Start(0)).map_err(imagesize::ImageError::IoError)?;
        imagesize::reader_size(BufReader::new(&mut image))
    });
    let size = size.map_err(|error| match error {
        imagesize::ImageError::IoError(error) if error.kind() != ErrorKind::UnexpectedEof => ImageError::Source(error),
        imagesize::ImageError::IoError(_)
        | imagesize::ImageError::NotSupported
        | imagesize::ImageError::CorruptedImage => ImageError::Corrupt,
    })?;
    let (Ok(width), Ok(height)) = (u32::try_from(size.width), u32::try_from(size.height)) else {
        return Err(ImageError::Corrupt);
    };
    if width == 0 || height == 0 {
        return Err(ImageError::Corrupt);
    }
    Ok(ImageFacts { format, width, height, captured_at: captured_at(head) })
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
    if let Some(offset) = text(Tag::OffsetTimeOriginal) {
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
