//! The configuration of AAC (ISO/IEC 14496-3, section 1.6.2.1): what symphonia's decoder does not make of it.

use symphonia::core::codecs::audio::AudioCodecParameters;

use crate::AudioError;
use crate::adts::RATES;
use crate::plan::Codec;

const LOW_COMPLEXITY: u32 = 2;
/// Spectral band replication, and with parametric stereo: HE-AAC and HE-AAC v2.
const REPLICATION: u32 = 5;
const PARAMETRIC_STEREO: u32 = 29;
/// In place of a rate or an object type that does not fit.
const ESCAPE_RATE: u32 = 15;
const ESCAPE_TYPE: u32 = 31;

/// Object types that other decoders read, by number.
fn name(object_type: u32) -> String {
    let name = match object_type {
        1 => "AAC Main",
        3 => "AAC SSR",
        4 => "AAC LTP",
        17 | 19 | 20 | 23 | 39 => "low-delay or error-resilient AAC",
        42 => "xHE-AAC",
        _ => return format!("MPEG-4 audio of type {object_type}"),
    };
    name.to_owned()
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.read(5)? {
            ESCAPE_TYPE => Some(32 + self.read(6)?),
            object_type => Some(object_type),
        }
    }

    /// The index of a rate and the rate in Hz.
    fn rate(&mut self) -> Option<(u32, u32)> {
        let index = self.read(4)?;
        let rate = if index == ESCAPE_RATE { self.read(24)? } else { *RATES.get(index as usize)? };
        Some((index, rate))
    }
}

/// Lets the decoder see AAC-LC, also where the stream is HE-AAC, which is an AAC-LC core with an extension that decoders
/// may ignore. Takes the rate from the configuration: the field of an MP4 sample entry has 16 bits and is 0 for more.
///
/// # Errors
/// `Unsupported` for other kinds of AAC.
pub(crate) fn to_low_complexity(params: &mut AudioCodecParameters) -> Result<Codec, AudioError> {
    let Some(configuration) = params.extra_data.as_deref() else { return Ok(Codec::Aac) };
    let mut bits = Bits { bytes: configuration, at: 0 };
    let Some((object_type, core)) = read(&mut bits) else { return Err(AudioError::DAMAGED) };
    if core.object_type != LOW_COMPLEXITY {
        let name = name(core.object_type);
        return Err(AudioError::unsupported(format!("The audio codec is {name}, which is not supported")));
    }
    params.with_sample_rate(core.rate);
    if object_type == LOW_COMPLEXITY {
        return Ok(Codec::Aac);
    }
    if let Some(index) = RATES.iter().position(|rate| *rate == core.rate) {
        let bytes = (LOW_COMPLEXITY << 11 | (index as u32) << 7 | core.channels << 3).to_be_bytes();
        params.with_extra_data(Box::new([bytes[2], bytes[3]]));
    }
    Ok(Codec::HeAac)
}

struct Core {
    object_type: u32,
    rate: u32,
    channels: u32,
}

/// The object type that the configuration begins with, and the core behind it.
fn read(bits: &mut Bits<'_>) -> Option<(u32, Core)> {
    let object_type = bits.object_type()?;
    let (_, rate) = bits.rate()?;
    let channels = bits.read(4)?;
    if !matches!(object_type, REPLICATION | PARAMETRIC_STEREO) {
        return Some((object_type, Core { object_type, rate, channels }));
    }
    // The rate with the extension; the core keeps its own.
    bits.rate()?;
    Some((object_type, Core { object_type: bits.object_type()?, rate, channels }))
}
