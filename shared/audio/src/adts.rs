//! AAC in ADTS (ISO/IEC 13818-7, section 6.2). Unlike symphonia's reader, this one notices when rate, channels or profile
//! change, as in joined files.

use std::io::ErrorKind;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::errors::{Error, Result, SeekErrorKind, reset_error, seek_error};
use symphonia::core::formats::well_known::FORMAT_ID_ADTS;
use symphonia::core::formats::{FormatInfo, FormatReader, MediaInfo, SeekMode, SeekTo, SeekedTo, Track};
use symphonia::core::io::{MediaSourceStream, ReadBytes, SeekBuffered};
use symphonia::core::meta::{ChapterGroup, Metadata, MetadataLog};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

const INFO: FormatInfo = FormatInfo { format: FORMAT_ID_ADTS, short_name: "aac", long_name: "ADTS" };
const HEADER_BYTES: usize = 7;
const CHECKSUM_BYTES: usize = 2;
const FRAMES_PER_PACKET: u64 = 1024;
/// By sampling frequency index (ISO/IEC 14496-3, table 1.18).
pub(crate) const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What a decoder is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Configuration {
    /// MPEG-4 audio object type: 1 Main, 2 LC, 3 SSR, 4 LTP.
    object_type: u8,
    rate_index: u8,
    channels: u8,
}

impl Configuration {
    /// The two bytes that MP4 stores for it (ISO/IEC 14496-3, section 1.6.2.1).
    fn audio_specific_config(self) -> [u8; 2] {
        let Self { object_type, rate_index, channels } = self;
        [object_type << 3 | rate_index >> 1, rate_index << 7 | channels << 3]
    }

    fn track(self) -> Track {
        let mut parameters = AudioCodecParameters::new();
        parameters
            .for_codec(CODEC_ID_AAC)
            .with_sample_rate(RATES[usize::from(self.rate_index)])
            .with_extra_data(Box::new(self.audio_specific_config()));
        let mut track = Track::new(0);
        track.with_codec_params(CodecParameters::Audio(parameters));
        track
    }
}

struct Header {
    configuration: Configuration,
    payload_bytes: usize,
    has_checksum: bool,
}

impl Header {
    fn parse(bytes: [u8; HEADER_BYTES]) -> Option<Self> {
        let [sync, b1, b2, b3, b4, b5, _] = bytes;
        let configuration =
            Configuration { object_type: (b2 >> 6) + 1, rate_index: b2 >> 2 & 15, channels: (b2 & 1) << 2 | b3 >> 6 };
        let length = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        let has_checksum = b1 & 1 == 0;
        let header = HEADER_BYTES + if has_checksum { CHECKSUM_BYTES } else { 0 };
        let valid = sync == 0xff && b1 & 0xf6 == 0xf0 && usize::from(configuration.rate_index) < RATES.len();
        let payload_bytes = length.checked_sub(header).filter(|_| valid)?;
        Some(Self { configuration, payload_bytes, has_checksum })
    }
}

/// Whether `bytes` begin with a frame, and another of the same configuration follows where they are long enough.
pub(crate) fn is_adts(bytes: &[u8]) -> bool {
    let header = |at: usize| bytes.get(at..at + HEADER_BYTES)?.try_into().ok().and_then(Header::parse);
    let Some(first) = header(0) else { return false };
    let next = HEADER_BYTES + if first.has_checksum { CHECKSUM_BYTES } else { 0 } + first.payload_bytes;
    bytes.len() < next + HEADER_BYTES || header(next).is_some_and(|next| next.configuration == first.configuration)
}

pub(crate) struct AdtsReader<'s> {
    stream: MediaSourceStream<'s>,
    media_info: MediaInfo,
    tracks: Vec<Track>,
    metadata: MetadataLog,
    configuration: Configuration,
    /// The first packet of the next configuration.
    waiting: Option<Packet>,
    frames: u64,
}

impl<'s> AdtsReader<'s> {
    /// Reads the first frame.
    pub(crate) fn open(mut stream: MediaSourceStream<'s>) -> Result<Self> {
        let (configuration, data) = read_frame(&mut stream, None)?;
        let track = configuration.track();
        let mut reader = Self {
            stream,
            media_info: MediaInfo::from_track(&track),
            tracks: vec![track],
            metadata: MetadataLog::default(),
            configuration,
            waiting: None,
            frames: 0,
        };
        reader.waiting = Some(reader.packet(data));
        Ok(reader)
    }

    fn packet(&mut self, data: Box<[u8]>) -> Packet {
        let at = Timestamp::from(i64::try_from(self.frames).unwrap_or(i64::MAX));
        self.frames += FRAMES_PER_PACKET;
        Packet::new(0, at, Duration::from(FRAMES_PER_PACKET), data)
    }
}

/// Reads the next frame. One that differs from `current` counts only if another like it follows: the bytes of damaged
/// sound can look like a header.
fn read_frame(
    stream: &mut MediaSourceStream<'_>,
    current: Option<Configuration>,
) -> Result<(Configuration, Box<[u8]>)> {
    let mut bytes = [0; HEADER_BYTES];
    stream.read_buf_exact(&mut bytes)?;
    loop {
        if let Some(header) = Header::parse(bytes) {
            if header.has_checksum {
                stream.ignore_bytes(CHECKSUM_BYTES as u64)?;
            }
            let data = stream.read_boxed_slice_exact(header.payload_bytes)?;
            if current.is_none_or(|current| current == header.configuration) || is_repeated(stream, &header) {
                return Ok((header.configuration, data));
            }
        }
        bytes.rotate_left(1);
        bytes[HEADER_BYTES - 1] = stream.read_u8()?;
    }
}

fn is_repeated(stream: &mut MediaSourceStream<'_>, header: &Header) -> bool {
    let at = stream.pos();
    let mut bytes = [0; HEADER_BYTES];
    let next = stream.read_buf_exact(&mut bytes).ok().and_then(|()| Header::parse(bytes));
    stream.seek_buffered(at);
    next.is_some_and(|next| next.configuration == header.configuration)
}

impl FormatReader for AdtsReader<'_> {
    fn format_info(&self) -> &FormatInfo {
        &INFO
    }

    fn media_info(&self) -> &MediaInfo {
        &self.media_info
    }

    fn metadata(&mut self) -> Metadata<'_> {
        self.metadata.metadata()
    }

    fn chapters(&self) -> Option<&ChapterGroup> {
        None
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// [`Error::ResetRequired`] where the configuration changes; the packet behind the change comes next.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        if let Some(packet) = self.waiting.take() {
            return Ok(Some(packet));
        }
        let (configuration, data) = match read_frame(&mut self.stream, Some(self.configuration)) {
            Ok(frame) => frame,
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let packet = self.packet(data);
        if configuration == self.configuration {
            return Ok(Some(packet));
        }
        self.configuration = configuration;
        self.tracks = vec![configuration.track()];
        self.waiting = Some(packet);
        reset_error()
    }

    fn seek(&mut self, _: SeekMode, _: SeekTo) -> Result<SeekedTo> {
        seek_error(SeekErrorKind::Unseekable)
    }

    fn into_inner<'s>(self: Box<Self>) -> MediaSourceStream<'s>
    where
        Self: 's,
    {
        self.stream
    }
}
