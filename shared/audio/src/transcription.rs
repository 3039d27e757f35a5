//! The transcription rendition: FLAC, 16 kHz, mono, 16 bits.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use crate::layout::{Downmix, Form};
use crate::resample::Resampler;

/// What speech recognisers are trained on; more is thrown away by them.
const RATE: u32 = 16_000;
const BLOCK: usize = 4096;

pub(crate) struct Transcription {
    file: File,
    downmix: Downmix,
    resampler: Resampler,
    mono: Vec<f32>,
    resampled: Vec<f32>,
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

impl Transcription {
    pub(crate) fn create(path: &Path, form: &Form) -> io::Result<Self> {
        let mut settings = config::Encoder::default();
        settings.block_size = BLOCK;
        // Measured on speech (bench/README.md): linear prediction costs most of flacenc's time and
        // saves a few percent over fixed predictors.
        settings.subframe_coding.use_lpc = false;
        let config = settings.into_verified().map_err(|(_, error)| encoder_error(error))?;
        let mut info = StreamInfo::new(RATE as usize, 1, 16).map_err(encoder_error)?;
        info.set_block_sizes(BLOCK, BLOCK).map_err(encoder_error)?;
        let resampler = Resampler::new(form.rate, RATE, 1).ok_or_else(|| encoder_error("no such sample rate"))?;
        let mut transcription = Self {
            file: File::create(path)?,
            downmix: Downmix::new(&form.roles, 1),
            resampler,
            mono: Vec::new(),
            resampled: Vec::new(),
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
        transcription.write_header()?;
        Ok(transcription)
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

    pub(crate) fn add(&mut self, samples: &[f32]) -> io::Result<()> {
        self.mono.clear();
        self.downmix.append(samples, &mut self.mono);
        self.resampled.clear();
        self.resampler.push(&self.mono, &mut self.resampled);
        self.take_resampled()
    }

    fn take_resampled(&mut self) -> io::Result<()> {
        let samples = std::mem::take(&mut self.resampled);
        for sample in &samples {
            // `as` saturates and maps NaN to 0.
            self.block.push(i32::from((sample * 32_768.0).round() as i16));
            if self.block.len() == BLOCK {
                self.end_block()?;
            }
        }
        self.resampled = samples;
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
        self.resampled.clear();
        self.resampler.finish(&mut self.resampled);
        self.take_resampled()?;
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
