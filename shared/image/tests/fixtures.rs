//! The fixtures are made by `shared/audio/fixtures/make.sh`.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use capstan_image::{ImageError, ImageFacts, ImageFormat, inspect};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn facts(name: &str) -> ImageFacts {
    inspect(Cursor::new(fixture(name))).unwrap()
}

#[test]
fn reads_format_and_size() {
    let (jpeg, png) = (facts("photo.jpg"), facts("photo.png"));
    assert_eq!((jpeg.format, jpeg.width, jpeg.height, jpeg.captured_at), (ImageFormat::Jpeg, 64, 48, None));
    assert_eq!((png.format, png.width, png.height, png.captured_at), (ImageFormat::Png, 64, 48, None));
}

#[test]
fn reads_the_capture_time_with_its_offset() {
    assert_eq!(facts("photo-offset.jpg").captured_at.unwrap().to_string(), "2026-03-04T08:20:30Z");
    assert_eq!(facts("photo-exif.png").captured_at.unwrap().to_string(), "2026-03-04T15:20:30Z");
}

#[test]
fn takes_a_capture_time_without_offset_as_utc() {
    assert_eq!(facts("photo-no-offset.jpg").captured_at.unwrap().to_string(), "2026-03-04T10:20:30Z");
}

#[test]
fn an_impossible_capture_time_is_none() {
    let mut data = fixture("photo-offset.jpg");
    let at = data.windows(10).position(|text| text == b"2026:03:04").unwrap();
    data[at..at + 10].copy_from_slice(b"2026:13:44");
    assert_eq!(inspect(Cursor::new(data)).unwrap().captured_at, None);
}

#[test]
fn rejects_other_formats_than_jpeg_and_png() {
    for data in [&b""[..], b"GIF89a\x01\0\x01\0", b"OggS\0\x02", b"not an image at all", &[0; 4000]] {
        assert!(matches!(inspect(Cursor::new(data)), Err(ImageError::Unsupported(_))), "{data:?}");
    }
}

#[test]
fn a_header_cut_short_is_corrupt() {
    for (name, length) in [("photo.jpg", 60), ("photo.png", 20)] {
        let data = fixture(name)[..length].to_vec();
        assert!(matches!(inspect(Cursor::new(data)), Err(ImageError::Corrupt)), "{name}");
    }
}

#[test]
fn fill_bytes_before_a_marker_are_skipped() {
    let facts = facts("fill-bytes.jpg");
    assert_eq!((facts.width, facts.height), (640, 480));
}

#[test]
fn one_offset_holds_for_the_capture_time_too() {
    assert_eq!(facts("offset-time.jpg").captured_at.unwrap().to_string(), "2026-03-04T08:20:30Z");
}

#[test]
fn names_what_is_not_supported_and_the_remedy() {
    let message = |data: Vec<u8>| inspect(Cursor::new(data)).unwrap_err().to_string();
    assert!(message(fixture("cgbi.png")).contains("CgBI"));
    assert_eq!(message(b"\0\0\0\x18ftypheic".to_vec()), "This is a HEIC image. Send a JPEG or PNG image");
}

#[test]
fn rejects_sides_over_65535_pixels() {
    let mut data = fixture("photo.png");
    data[16..20].copy_from_slice(&65_536_u32.to_be_bytes());
    assert!(matches!(inspect(Cursor::new(data.clone())), Err(ImageError::TooLarge { width: 65_536, height: 48 })));
    data[16..20].copy_from_slice(&65_535_u32.to_be_bytes());
    assert_eq!(inspect(Cursor::new(data)).unwrap().width, 65_535);
}

/// Counts what is read of an endless file, and can fail.
struct Watched {
    data: Cursor<Vec<u8>>,
    read: u64,
    fails: bool,
}

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.fails {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let read = self.data.read(buf)?;
        self.read += read as u64;
        Ok(read)
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.data.seek(to)
    }
}

#[test]
fn reads_no_more_than_the_header() {
    let mut data = fixture("photo.jpg");
    data.resize(8 << 20, 0);
    let mut image = Watched { data: Cursor::new(data), read: 0, fails: false };
    inspect(&mut image).unwrap();
    assert!(image.read <= 256 << 10, "{} bytes", image.read);
}

#[test]
fn a_failing_source_is_not_the_images_fault() {
    let mut image = Watched { data: Cursor::new(fixture("photo.jpg")), read: 0, fails: true };
    assert!(matches!(inspect(&mut image), Err(ImageError::Source(_))));
}
