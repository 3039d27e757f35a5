//! The playback rendition: Ogg Opus (RFC 7845), one or two channels.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use ropus::{Application, Bitrate, Channels, Encoder, Signal};

use crate::layout::{Downmix, Form};
use crate::resample::Resampler;

/// Granule positions of Ogg Opus count at 48 kHz whatever the rate of the sound.
const GRANULES_PER_SECOND: u32 = 48_000;
/// 20 ms packets: the default of RFC 6716 and of every encoder.
const PACKETS_PER_SECOND: u32 = 50;
const SERIAL: u32 = 1;
/// Half the time of 10 for files of the same size (bench/README.md).
const COMPLEXITY: u8 = 6;
const LONGEST_PACKET: usize = 1275 * 3 + 7;

pub(crate) struct Playback {
    pages: PacketWriter<'static, BufWriter<File>>,
    encoder: Encoder,
    downmix: Downmix,
    resampler: Resampler,
    channels: usize,
    rate: u32,
    pre_skip: u16,
    mixed: Vec<f32>,
    waiting: Vec<f32>,
    packet: Vec<u8>,
    /// The packet before, held back until it is known whether it is the last.
    held: Option<Vec<u8>>,
    packets: u64,
    frames: u64,
}

fn encoder_error(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("Opus encoder: {error:?}"))
}

impl Playback {
    pub(crate) fn create(path: &Path, form: &Form) -> io::Result<Self> {
        // No resampling upwards beyond the next rate that Opus knows: it adds nothing to hear.
        let rate = match form.rate {
            ..=16_000 => 16_000,
            16_001..=24_000 => 24_000,
            _ => GRANULES_PER_SECOND,
        };
        let channels = form.channels().min(2);
        let (layout, bits) = match (channels, rate) {
            (1, 16_000) => (Channels::Mono, 24_000),
            (1, _) => (Channels::Mono, 32_000),
            _ => (Channels::Stereo, 48_000),
        };
        let encoder = Encoder::builder(rate, layout, Application::Audio)
            .bitrate(Bitrate::Bits(bits))
            .complexity(COMPLEXITY)
            // Recordings are speech. Left to itself below complexity 10 the encoder takes CELT for
            // all of it, and two thirds more bytes.
            .signal(Signal::Voice)
            .vbr(true)
            .build()
            .map_err(encoder_error)?;
        let pre_skip = u16::try_from(encoder.lookahead() * (GRANULES_PER_SECOND / rate)).map_err(encoder_error)?;
        let resampler =
            Resampler::new(form.rate, rate, channels).ok_or_else(|| encoder_error("no such sample rate"))?;
        let mut playback = Self {
            pages: PacketWriter::new(BufWriter::new(File::create(path)?)),
            encoder,
            downmix: Downmix::new(&form.roles, channels),
            resampler,
            channels,
            rate,
            pre_skip,
            mixed: Vec::new(),
            waiting: Vec::new(),
            packet: vec![0; LONGEST_PACKET],
            held: None,
            packets: 0,
            frames: 0,
        };
        playback.write_headers(form.rate)?;
        Ok(playback)
    }

    /// The two header packets, each alone on its page (RFC 7845, section 3).
    fn write_headers(&mut self, input_rate: u32) -> io::Result<()> {
        let mut head = b"OpusHead\x01".to_vec();
        head.push(u8::try_from(self.channels).map_err(encoder_error)?);
        head.extend(self.pre_skip.to_le_bytes());
        head.extend(input_rate.to_le_bytes());
        // No gain, mapping family 0.
        head.extend([0, 0, 0]);
        self.pages.write_packet(head, SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        let vendor = b"capstan";
        let mut tags = b"OpusTags".to_vec();
        tags.extend((vendor.len() as u32).to_le_bytes());
        tags.extend(vendor);
        tags.extend(0_u32.to_le_bytes());
        self.pages.write_packet(tags, SERIAL, PacketWriteEndInfo::EndPage, 0)
    }

    pub(crate) fn add(&mut self, samples: &[f32]) -> io::Result<()> {
        self.mixed.clear();
        self.downmix.append(samples, &mut self.mixed);
        let before = self.waiting.len();
        self.resampler.push(&self.mixed, &mut self.waiting);
        self.frames += ((self.waiting.len() - before) / self.channels) as u64;
        self.encode_waiting()
    }

    fn encode_waiting(&mut self) -> io::Result<()> {
        let step = (self.rate / PACKETS_PER_SECOND) as usize * self.channels;
        let mut used = 0;
        while let Some(input) = self.waiting.get(used..used + step) {
            used += step;
            let size = self.encoder.encode_float(input, &mut self.packet).map_err(encoder_error)?;
            let packet = self.packet[..size].to_vec();
            if let Some(held) = self.held.replace(packet) {
                self.packets += 1;
                // A page a second: seeking stays fine and pages cost 0.1% of the size.
                let end = if self.packets.is_multiple_of(u64::from(PACKETS_PER_SECOND)) {
                    PacketWriteEndInfo::EndPage
                } else {
                    PacketWriteEndInfo::NormalPacket
                };
                let granule = self.packets * u64::from(GRANULES_PER_SECOND / PACKETS_PER_SECOND);
                self.pages.write_packet(held, SERIAL, end, granule)?;
            }
        }
        self.waiting.drain(..used);
        Ok(())
    }

    /// Completes the file and returns its size in bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        let before = self.waiting.len();
        self.resampler.finish(&mut self.waiting);
        self.frames += ((self.waiting.len() - before) / self.channels) as u64;
        let granules_per_frame = u64::from(GRANULES_PER_SECOND / self.rate);
        // The end of the sound leaves the encoder only when its lookahead has been filled.
        let lookahead = u64::from(self.pre_skip) / granules_per_frame;
        let step = u64::from(self.rate / PACKETS_PER_SECOND);
        let total = (self.frames + lookahead).div_ceil(step) * step;
        let silence = usize::try_from(total - self.frames).map_err(encoder_error)? * self.channels;
        self.waiting.extend(std::iter::repeat_n(0.0, silence));
        self.encode_waiting()?;
        // The last granule position ends the sound inside the last packet (section 4.4).
        let end = u64::from(self.pre_skip) + self.frames * granules_per_frame;
        if let Some(held) = self.held.take() {
            self.pages.write_packet(held, SERIAL, PacketWriteEndInfo::EndStream, end)?;
        }
        let mut file = self.pages.into_inner();
        file.flush()?;
        Ok(file.get_ref().metadata()?.len())
    }
}
