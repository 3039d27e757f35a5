//! FLAC files (RFC 9639) of 16 kHz, mono, 16 bits.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use crate::mono::RATE;

const BLOCK: usize = 4096;

/// A file that is being written, block by block.
pub(crate) struct Flac {
    file: File,
    /// Samples of the block being filled.
    block: Vec<i32>,
    bytes: Vec<u8>,
    config: Verified<config::Encoder>,
    info: StreamInfo,
    frame: FrameBuf,
    context: Context,
    frames: usize,
    sink: ByteSink,
    size_bytes: u64,
}

fn encoder_error(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("FLAC encoder: {error:?}"))
}

impl Flac {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut settings = config::Encoder::default();
        settings.block_size = BLOCK;
        // Measured on speech (bench/README.md): linear prediction costs most of flacenc's time and
        // saves a few percent over fixed predictors.
        settings.subframe_coding.use_lpc = false;
        let config = settings.into_verified().map_err(|(_, error)| encoder_error(error))?;
        let mut info = StreamInfo::new(RATE as usize, 1, 16).map_err(encoder_error)?;
        info.set_block_sizes(BLOCK, BLOCK).map_err(encoder_error)?;
        let mut flac = Self {
            file: File::create(path)?,
            block: Vec::with_capacity(BLOCK),
            bytes: Vec::with_capacity(2 * BLOCK),
            config,
            info,
            frame: FrameBuf::with_size(1, BLOCK).map_err(encoder_error)?,
            context: Context::new(16, 1),
            frames: 0,
            sink: ByteSink::new(),
            size_bytes: 0,
        };
        flac.write_header()?;
        Ok(flac)
    }

    /// Marker and STREAMINFO, the only metadata block (RFC 9639, section 8.2).
    fn write_header(&mut self) -> io::Result<()> {
        self.sink.clear();
        self.info.write(&mut self.sink).map_err(encoder_error)?;
        let body = self.sink.as_slice();
        let mut header = b"fLaC".to_vec();
        // Last block, type 0, 24-bit length.
        header.extend([0x80, 0, 0, u8::try_from(body.len()).map_err(encoder_error)?]);
        header.extend_from_slice(body);
        self.file.write_all(&header)?;
        self.size_bytes = self.size_bytes.max(header.len() as u64);
        Ok(())
    }

    /// Bytes that were written so far.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn add(&mut self, samples: &[i16]) -> io::Result<()> {
        for sample in samples {
            self.block.push(i32::from(*sample));
            if self.block.len() == BLOCK {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.bytes.clear();
        for sample in &self.block {
            let [low, high, ..] = sample.to_le_bytes();
            self.bytes.extend([low, high]);
        }
        self.context.fill_le_bytes(&self.bytes, 2).map_err(encoder_error)?;
        self.frame.fill_interleaved(&self.block).map_err(encoder_error)?;
        let frame = flacenc::encode_fixed_size_frame(&self.config, &self.frame, self.frames, &self.info)
            .map_err(encoder_error)?;
        self.frames += 1;
        self.info.update_frame_info(&frame);
        self.sink.clear();
        frame.write(&mut self.sink).map_err(encoder_error)?;
        self.file.write_all(self.sink.as_slice())?;
        self.size_bytes += self.sink.as_slice().len() as u64;
        self.block.clear();
        Ok(())
    }

    /// Completes the file and returns its size in bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.info.set_block_sizes(BLOCK, BLOCK).map_err(encoder_error)?;
        self.info.set_total_samples(self.context.total_samples());
        self.info.set_md5_digest(&self.context.md5_digest());
        self.file.seek(SeekFrom::Start(0))?;
        self.write_header()?;
        Ok(self.size_bytes)
    }
}
