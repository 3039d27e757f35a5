//! Opus decoding: the identification header of RFC 7845 and the choice of the decoding rate.

use ropus::{OpusDecoder, OpusMSDecoder};

use crate::AudioError;
use crate::layout::{Form, Role, discrete, vorbis_order};

/// What an Opus identification header says (RFC 7845, section 5.1).
pub(crate) struct OpusHead {
    channels: u8,
    /// Frames to drop at the start, at 48 kHz.
    pub(crate) pre_skip: u16,
    input_rate: u32,
    /// 20 log10 gain in 1/256 dB.
    gain: i16,
    family: u8,
    /// Stream count, coupled count and channel mapping, for families other than 0.
    streams: Option<(u8, u8, Vec<u8>)>,
}

impl OpusHead {
    /// Reads `OpusHead`, or its big-endian version 0 which MP4 stores as `dOps` (Encapsulation of
    /// Opus in ISO BMFF, section 4.3.2) behind the same eight magic bytes.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let body = data.strip_prefix(b"OpusHead")?;
        let &[version, channels, p0, p1, r0, r1, r2, r3, g0, g1, family, ref mapping @ ..] = body else {
            return None;
        };
        let big_endian = version == 0;
        if version >> 4 != 0 || channels == 0 {
            return None;
        }
        let streams = match (family, mapping) {
            (0, _) if channels <= 2 => None,
            (0, _) => return None,
            (_, [streams, coupled, table @ ..]) => {
                Some((*streams, *coupled, table.get(..usize::from(channels))?.to_vec()))
            }
            _ => return None,
        };
        Some(Self {
            channels,
            pre_skip: if big_endian { u16::from_be_bytes([p0, p1]) } else { u16::from_le_bytes([p0, p1]) },
            input_rate: if big_endian {
                u32::from_be_bytes([r0, r1, r2, r3])
            } else {
                u32::from_le_bytes([r0, r1, r2, r3])
            },
            gain: if big_endian { i16::from_be_bytes([g0, g1]) } else { i16::from_le_bytes([g0, g1]) },
            family,
            streams,
        })
    }

    pub(crate) fn channels(&self) -> u8 {
        self.channels
    }

    /// The rate to decode at: 16 kHz where the encoder was given no more, else 24 or 48 kHz.
    ///
    /// A stream made of 16 kHz sound has nothing above 8 kHz, so decoding it at 16 kHz loses
    /// nothing, feeds the transcription without resampling, and costs a third in everything that
    /// follows. Loudness is within 0.15 LU of a 48 kHz decode there.
    pub(crate) fn decoding_rate(&self) -> u32 {
        match self.input_rate {
            1..=16_000 => 16_000,
            16_001..=24_000 => 24_000,
            _ => 48_000,
        }
    }

    fn roles(&self) -> Vec<Role> {
        let count = usize::from(self.channels);
        if self.family == 1 { vorbis_order(count) } else { discrete(count) }
    }
}

// One lives per file; the size difference costs nothing.
#[allow(clippy::large_enum_variant)]
enum Streams {
    One(OpusDecoder),
    Many(OpusMSDecoder),
}

/// Decodes packets of one Opus stream to interleaved `f32`.
pub(crate) struct OpusTrack {
    streams: Streams,
    pub(crate) form: Form,
    pcm: Vec<i16>,
    /// Frames of the last good packet, the best guess for a broken one.
    last_frames: usize,
}

/// The longest packet: 120 ms (RFC 6716, section 2.1.4).
const LONGEST_MS: u32 = 120;

impl OpusTrack {
    pub(crate) fn new(head: &OpusHead, rate: u32) -> Result<Self, AudioError> {
        let refuse = |_| AudioError::unsupported("This kind of multichannel Opus is not supported");
        // The rates are those of `decoding_rate`, far below `i32::MAX`.
        let hz = rate.cast_signed();
        let streams = match &head.streams {
            None => {
                let mut decoder = OpusDecoder::new(hz, i32::from(head.channels)).map_err(refuse)?;
                decoder.set_gain(i32::from(head.gain)).map_err(refuse)?;
                Streams::One(decoder)
            }
            Some((streams, coupled, mapping)) => {
                // Families 2 and 3 are ambisonics, whose channels are not speakers.
                if !matches!(head.family, 1 | 255) {
                    return Err(refuse(0));
                }
                let mut decoder =
                    OpusMSDecoder::new(hz, i32::from(head.channels), i32::from(*streams), i32::from(*coupled), mapping)
                        .map_err(refuse)?;
                decoder.set_gain(i32::from(head.gain));
                Streams::Many(decoder)
            }
        };
        let form = Form { rate, roles: head.roles() };
        let longest = (rate * LONGEST_MS / 1000) as usize;
        let pcm = vec![0; longest * form.channels()];
        Ok(Self { streams, form, pcm, last_frames: (rate / 50) as usize })
    }

    /// Decodes one packet into `out`, replacing what it held; `false` when the packet is broken.
    pub(crate) fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> bool {
        out.clear();
        if packet.is_empty() {
            return false;
        }
        let channels = self.form.channels();
        let room = i32::try_from(self.pcm.len() / channels).unwrap_or(i32::MAX);
        let frames = match &mut self.streams {
            Streams::One(decoder) => decoder.decode(Some(packet), &mut self.pcm, room, false),
            Streams::Many(decoder) => {
                let length = i32::try_from(packet.len()).unwrap_or(i32::MAX);
                decoder.decode(Some(packet), length, &mut self.pcm, room, false)
            }
        };
        let Some(frames) = frames.ok().and_then(|frames| usize::try_from(frames).ok()).filter(|frames| *frames > 0)
        else {
            return false;
        };
        self.last_frames = frames;
        let Some(decoded) = self.pcm.get(..frames * channels) else { return false };
        out.extend(decoded.iter().map(|sample| f32::from(*sample) / 32_768.0));
        true
    }

    pub(crate) fn last_frames(&self) -> usize {
        self.last_frames
    }
}
