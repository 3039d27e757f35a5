//! The file as the demuxers see it: every byte once, forwards, wherever that is possible.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Skipping forward by less than this reads on instead of seeking: a new range request to an
/// object store costs about as long as streaming this many bytes.
const READ_THROUGH: u64 = 4 << 20;
/// The start of the file stays in memory, so that looking at it twice costs no second request.
pub(crate) const HEAD_BYTES: u64 = 64 << 10;
/// What a demuxer may read for one packet, or to open the file. A size in a damaged file can claim
/// gigabytes for one element, which demuxers read into memory; a cover picture has megabytes, and
/// so has the index of four hours of MP4.
const LEASH: u64 = 32 << 20;

/// What the source can tell after a demuxer has taken it.
#[derive(Default)]
pub(crate) struct SourceState {
    position: AtomicU64,
    /// Bytes that may still be handed out before the next `renew`.
    leash: AtomicU64,
    error: Mutex<Option<io::Error>>,
}

impl SourceState {
    /// Where the last read ended.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Allows another packet to be read.
    pub(crate) fn renew_leash(&self) {
        self.leash.store(LEASH, Ordering::Relaxed);
    }

    /// The error of the source itself, if reading it ever failed. Demuxers report that like a
    /// damaged file or swallow it as an end of file, so it is kept here.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A reader of known length with lazy seeks, a head that stays in memory, and four-byte patches.
pub(crate) struct Source<S> {
    inner: S,
    inner_pos: u64,
    pos: u64,
    length: u64,
    head: Vec<u8>,
    /// A part that is read more than once, and where it begins.
    held: (u64, Vec<u8>),
    /// Replacements of four bytes at absolute positions (see `mp4`).
    patches: Vec<(u64, [u8; 4])>,
    state: Arc<SourceState>,
}

impl<S: Read + Seek> Source<S> {
    /// Takes a reader positioned anywhere and reads the head.
    pub(crate) fn open(inner: S, length: u64) -> io::Result<Self> {
        let mut source = Self {
            inner,
            // Unknown: the first read seeks, which costs nothing on a fresh reader.
            inner_pos: u64::MAX,
            pos: 0,
            length,
            head: Vec::new(),
            held: (0, Vec::new()),
            patches: Vec::new(),
            state: Arc::default(),
        };
        source.state.renew_leash();
        let mut head = vec![0; usize::try_from(length.min(HEAD_BYTES)).unwrap_or(0)];
        source.read_exact(&mut head)?;
        source.head = head;
        source.pos = 0;
        Ok(source)
    }

    /// Reads `size` bytes at `position` and keeps them, so that going back and forth in them costs
    /// no seek. Longer parts than a demuxer may read at once are not kept.
    pub(crate) fn hold(&mut self, position: u64, size: u64) -> io::Result<()> {
        let in_head = position.saturating_add(size) <= self.head.len() as u64;
        if in_head || size > LEASH / 2 {
            return Ok(());
        }
        self.held = (position, self.read_range(position..position + size)?);
        Ok(())
    }

    /// What is in memory from the current position on.
    fn cached(&self) -> Option<&[u8]> {
        [(0, &self.head), (self.held.0, &self.held.1)].into_iter().find_map(|(start, bytes)| {
            let index = usize::try_from(self.pos.checked_sub(start)?).ok()?;
            bytes.get(index..).filter(|rest| !rest.is_empty())
        })
    }

    pub(crate) fn state(&self) -> Arc<SourceState> {
        Arc::clone(&self.state)
    }

    /// Reads a range, which must lie within the file.
    pub(crate) fn read_range(&mut self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?];
        self.pos = range.start;
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Makes readers see `bytes` at `position`.
    pub(crate) fn patch(&mut self, position: u64, bytes: [u8; 4]) {
        self.patches.push((position, bytes));
    }

    fn read_inner(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let ahead = self.pos.checked_sub(self.inner_pos);
        match ahead {
            Some(0) => {}
            Some(gap) if gap <= READ_THROUGH => {
                let skipped = io::copy(&mut (&mut self.inner).take(gap), &mut io::sink())?;
                self.inner_pos += skipped;
                if skipped < gap {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Some(_) | None => {
                // Unknown until it has succeeded.
                self.inner_pos = u64::MAX;
                self.inner_pos = self.inner.seek(SeekFrom::Start(self.pos))?;
            }
        }
        let want = usize::try_from(self.length - self.pos).unwrap_or(usize::MAX).min(buf.len());
        let read = loop {
            match self.inner.read(&mut buf[..want]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.inner_pos += read as u64;
        if read == 0 {
            // The length is known, so this is a broken transfer and not a short file.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }
}

impl<S: Read + Seek> Read for Source<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.pos >= self.length || buf.is_empty() {
            return Ok(0);
        }
        let leash = self.state.leash.load(Ordering::Relaxed);
        if leash == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an element of the file is too large"));
        }
        let read = if let Some(cached) = self.cached() {
            let read = cached.len().min(buf.len());
            buf[..read].copy_from_slice(&cached[..read]);
            read
        } else {
            self.read_inner(buf).map_err(|error| {
                let copy = io::Error::new(error.kind(), error.to_string());
                *self.state.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                copy
            })?
        };
        for (at, bytes) in &self.patches {
            for (offset, byte) in (*at..).zip(bytes) {
                if let Some(index) = offset.checked_sub(self.pos).and_then(|index| usize::try_from(index).ok())
                    && let Some(slot) = buf[..read].get_mut(index)
                {
                    *slot = *byte;
                }
            }
        }
        self.pos += read as u64;
        self.state.leash.store(leash.saturating_sub(read as u64), Ordering::Relaxed);
        self.state.position.store(self.pos, Ordering::Relaxed);
        Ok(read)
    }
}

impl<S: Read + Seek> Seek for Source<S> {
    /// Only notes the position: nothing is sent before the next read.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let pos = match to {
            SeekFrom::Start(pos) => Some(pos),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.pos.checked_add_signed(offset),
        };
        self.pos = pos.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.pos)
    }
}
