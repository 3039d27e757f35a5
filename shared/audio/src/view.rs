//! The part of a file that a demuxer sees: a rewritten header, then a range of the file.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

use crate::source::Source;
use crate::tags;

/// Bytes at the end of a file that are searched for the ends of tags before the demuxer reads them.
const TAIL_BYTES: u64 = 8 << 10;

/// A source that successive demuxers of one file read in turn.
pub(crate) type SharedSource<S> = Arc<Mutex<Source<S>>>;

/// What a demuxer is shown of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes in front of the range.
    pub(crate) header: Vec<u8>,
    /// Positions in the file.
    pub(crate) range: Range<u64>,
    /// Whether tags may follow the sound (ID3v1, APE). They end the range early.
    pub(crate) may_end_in_tags: bool,
    /// Whether the demuxer may seek. Without it every demuxer reads strictly forwards.
    pub(crate) seekable: bool,
}

impl Extent {
    pub(crate) fn of(range: Range<u64>) -> Self {
        Self { range, ..Self::default() }
    }

    /// The position in the file of a position in the view.
    pub(crate) fn file_position(&self, position: u64) -> u64 {
        self.range.start + position.saturating_sub(self.header.len() as u64)
    }
}

/// A reader of an [`Extent`].
pub(crate) struct View<S> {
    source: SharedSource<S>,
    extent: Extent,
    position: u64,
}

impl<S: Read + Seek> View<S> {
    pub(crate) fn new(source: SharedSource<S>, extent: Extent) -> Self {
        Self { source, extent, position: 0 }
    }

    fn length(&self) -> u64 {
        self.extent.header.len() as u64 + (self.extent.range.end - self.extent.range.start)
    }

    /// Moves the end of the range in front of the tags. The rest of the file from `at` on, which is to be read next, stays
    /// in memory.
    fn leave_out_tags(&mut self, source: &mut Source<S>, at: u64) -> io::Result<()> {
        let Range { start, end } = self.extent.range;
        let tail = end.saturating_sub(TAIL_BYTES).max(start);
        source.hold(at.min(tail), end - at.min(tail))?;
        let tail = source.read_range(tail..end)?;
        self.extent.range.end = end - tags::length_at_end(&tail).min(end - start);
        self.extent.may_end_in_tags = false;
        Ok(())
    }
}

impl<S: Read + Seek> Read for View<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Ok(at) = usize::try_from(self.position)
            && let Some(rest) = self.extent.header.get(at..).filter(|rest| !rest.is_empty())
        {
            let read = rest.len().min(buf.len());
            buf[..read].copy_from_slice(&rest[..read]);
            self.position += read as u64;
            return Ok(read);
        }
        let source = Arc::clone(&self.source);
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.extent.file_position(self.position);
        let end = self.extent.range.end;
        if self.extent.may_end_in_tags && at + buf.len() as u64 + TAIL_BYTES > end {
            self.leave_out_tags(&mut source, at)?;
        }
        let left = usize::try_from(self.extent.range.end.saturating_sub(at)).unwrap_or(usize::MAX);
        let room = left.min(buf.len());
        source.seek(SeekFrom::Start(at))?;
        let read = source.read(&mut buf[..room])?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<S: Read + Seek> Seek for View<S> {
    /// Only notes the position: nothing is requested before the next read.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl<S: Read + Seek + Send + Sync> MediaSource for View<S> {
    fn is_seekable(&self) -> bool {
        self.extent.seekable
    }

    /// Known only to demuxers that may seek. Others would take an element that reaches beyond the
    /// end of a truncated file for an error, and drop what is left of it.
    fn byte_len(&self) -> Option<u64> {
        self.extent.seekable.then(|| self.length())
    }
}
