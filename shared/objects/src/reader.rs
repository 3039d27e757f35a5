//! An object as `Read + Seek`, for decoders that know nothing of S3.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Mutex;

use aws_sdk_s3::primitives::ByteStream;
use capstan_domain::StoredObject;
use tokio::runtime::Handle;

use crate::{ObjectLocation, Objects};

/// A seek this short forward is cheaper read over than asked for anew.
const READ_OVER: u64 = 256 * 1024;
/// How often a broken stream is taken up again.
const MAX_RESUMPTIONS: u32 = 3;

/// Reads one object: forwards it is a single GET, a longer seek is another. Holds one network chunk at a time.
///
/// Blocks: use it on a thread that may, inside a tokio runtime.
#[derive(Debug)]
pub struct ObjectReader {
    objects: Objects,
    runtime: Handle,
    place: ObjectLocation,
    etag: String,
    length: u64,
    position: u64,
    // Decoders ask for `Sync`, which a stream is not. It is only ever reached through `&mut`.
    stream: Mutex<Option<ByteStream>>,
    chunk: Vec<u8>,
    chunk_start: u64,
}

impl ObjectReader {
    pub(crate) fn new(objects: Objects, place: ObjectLocation, object: &StoredObject) -> Self {
        Self {
            objects,
            runtime: Handle::current(),
            place,
            etag: object.etag.clone(),
            length: object.size_bytes,
            position: 0,
            stream: Mutex::new(None),
            chunk: Vec::new(),
            chunk_start: 0,
        }
    }

    /// The object's size in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn chunk_end(&self) -> u64 {
        self.chunk_start + self.chunk.len() as u64
    }

    fn open(&self) -> io::Result<ByteStream> {
        let request = self
            .objects
            .client
            .get_object()
            .bucket(self.objects.bucket_of(&self.place))
            .key(&self.place.key)
            .if_match(format!("\"{}\"", self.etag))
            .range(format!("bytes={}-", self.position));
        let answer =
            self.runtime.block_on(request.send()).map_err(|error| io::Error::other(error.into_service_error()))?;
        Ok(answer.body)
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut resumptions = 0;
        loop {
            let mut stream = match self.taken_stream() {
                Some(stream) => stream,
                None => self.open()?,
            };
            match self.runtime.block_on(stream.next()) {
                Some(Ok(bytes)) => {
                    self.chunk.clear();
                    self.chunk.extend_from_slice(&bytes);
                    self.chunk_start = self.position;
                    self.keep_stream(stream);
                    if !self.chunk.is_empty() {
                        return Ok(());
                    }
                }
                broken if resumptions == MAX_RESUMPTIONS => {
                    let cause = broken.and_then(Result::err).map_or("it ended early".to_owned(), |e| e.to_string());
                    return Err(io::Error::other(format!("reading {} failed: {cause}", self.place.key)));
                }
                _ => resumptions += 1,
            }
        }
    }

    fn taken_stream(&mut self) -> Option<ByteStream> {
        self.stream.get_mut().map_or(None, Option::take)
    }

    fn keep_stream(&mut self, stream: ByteStream) {
        self.stream = Mutex::new(Some(stream));
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        while !(self.chunk_start..self.chunk_end()).contains(&self.position) {
            let ahead = self.position.checked_sub(self.chunk_end());
            match ahead {
                // The stream goes on where the chunk ends.
                Some(0) => self.next_chunk()?,
                Some(gap) if gap <= READ_OVER && !self.chunk.is_empty() => {
                    let target = self.position;
                    self.position = self.chunk_end();
                    self.next_chunk()?;
                    self.position = target;
                }
                _ => {
                    self.taken_stream();
                    self.chunk.clear();
                    self.chunk_start = self.position;
                }
            }
        }
        let start = usize::try_from(self.position - self.chunk_start).map_err(io::Error::other)?;
        let available = self.chunk.get(start..).unwrap_or_default();
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
