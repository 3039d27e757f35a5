//! One logical stream out of an Ogg file (RFC 3533).
//!
//! Some recorders multiplex a stream of their own with the sound, and begin it anywhere. A demuxer takes the first page of
//! any stream behind the beginning for the next link of a chain, and ends where it cannot read that. It gets the pages of
//! one stream of sound at a time.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::io::MediaSource;

const MAGIC: &[u8] = b"OggS";
const HEADER_BYTES: usize = 27;
const FIRST_PAGE: u8 = 2;
const CHECKSUM: Range<usize> = 22..26;
/// What the first packet of a stream of sound begins with.
pub(crate) const SOUND: [&[u8]; 3] = [b"OpusHead", b"\x01vorbis", b"\x7fFLAC"];

/// The pages of the first stream of sound of each link.
pub(crate) struct OggStream<R> {
    inner: R,
    serial: Option<[u8; 4]>,
    /// Whether a page that is no first page has passed since the last first page.
    is_in_link: bool,
    page: Vec<u8>,
    /// What of `page` was handed out.
    read: usize,
}

impl<R: Read> OggStream<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, serial: None, is_in_link: true, page: Vec::new(), read: 0 }
    }

    /// Reads the next page, or up to the next place where one may begin.
    fn next_page(&mut self) -> io::Result<()> {
        self.read = 0;
        self.page.clear();
        self.fill(MAGIC.len())?;
        if !self.page.starts_with(MAGIC) {
            return self.skip_to_page();
        }
        self.fill_page()
    }

    /// Reads the rest of the page whose first bytes are there.
    fn fill_page(&mut self) -> io::Result<()> {
        self.fill(HEADER_BYTES)?;
        let segments = usize::from(*self.page.get(26).unwrap_or(&0));
        self.fill(HEADER_BYTES + segments)?;
        let table = self.page.get(HEADER_BYTES..HEADER_BYTES + segments).unwrap_or_default();
        let content: usize = table.iter().map(|length| usize::from(*length)).sum();
        self.fill(HEADER_BYTES + segments + content)
    }

    /// Reads until `page` has so many bytes, or the file ends.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        let missing = length.saturating_sub(self.page.len());
        (&mut self.inner).take(missing as u64).read_to_end(&mut self.page).map(drop)
    }

    /// Behind a damaged page: reads up to bytes that may begin the next.
    fn skip_to_page(&mut self) -> io::Result<()> {
        let mut byte = [0];
        while !self.page.ends_with(MAGIC) {
            if self.inner.read(&mut byte)? == 0 {
                self.page.clear();
                return Ok(());
            }
            self.page.push(byte[0]);
            self.page.drain(..self.page.len().saturating_sub(MAGIC.len()));
        }
        self.fill_page()
    }

    fn is_wanted(&mut self) -> bool {
        if self.page.len() < HEADER_BYTES {
            return false;
        }
        let (serial, kind) = (&self.page[14..18], self.page[5]);
        let is_first = kind & FIRST_PAGE != 0;
        if !is_first {
            self.is_in_link = true;
            return self.serial.as_ref().is_none_or(|wanted| wanted == serial);
        }
        let content = &self.page[(HEADER_BYTES + usize::from(self.page[26])).min(self.page.len())..];
        let is_sound = SOUND.iter().any(|magic| content.starts_with(magic));
        if !is_sound && self.serial.as_ref().is_some_and(|own| own == serial) {
            // Some writers mark the page of the tags as well.
            self.unmark_first_page();
            return true;
        }
        let begins_link = self.is_in_link && is_sound;
        if begins_link {
            self.serial = serial.try_into().ok();
            self.is_in_link = false;
        }
        begins_link
    }

    fn unmark_first_page(&mut self) {
        self.page[5] &= !FIRST_PAGE;
        self.page[CHECKSUM].fill(0);
        let checksum = checksum(&self.page);
        self.page[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// CRC-32 without reflection or inversion (RFC 3533, section 6).
fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte) << 24,
            |sum: u32, _| {
                if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
            },
        )
    })
}

impl<R: Read> Read for OggStream<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.read == self.page.len() {
            self.next_page()?;
            if self.page.is_empty() {
                return Ok(0);
            }
            if !self.is_wanted() {
                self.read = self.page.len();
            }
        }
        let read = (&self.page[self.read..]).read(buf)?;
        self.read += read;
        Ok(read)
    }
}

impl<R> Seek for OggStream<R> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl<R: Read + Send + Sync> MediaSource for OggStream<R> {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}
