//! From bytes to blocks of sound: one pass over the packets of the first audio track.

use std::io::{ErrorKind, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known as format;
use symphonia::core::formats::{FormatReader, Track};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;

use crate::AudioError;
use crate::container::{Container, matroska_kind, mend_wav, refuse_foreign};
use crate::layout::{Form, roles_of};
use crate::mp4;
use crate::opus::{OpusHead, OpusTrack};
use crate::plan::Codec;
use crate::source::{Source, SourceState};
use crate::timeline::Timeline;

const MOST_CHANNELS: usize = 8;
const HIGHEST_RATE: u32 = 192_000;
/// Nothing records below this; a header that says so would blow up in resampling.
const LOWEST_RATE: u32 = 4_000;
/// Far beyond any recorder's battery. A few megabytes can be made to decode to weeks.
const LONGEST_HOURS: u64 = 48;
/// Samples beyond 36 dB over full scale are noise of a damaged file.
const LOUDEST: f32 = 64.0;
/// Errors in a row after which a demuxer is taken to be stuck.
const MOST_ERRORS: u32 = 1_000;

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusTrack>),
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    pub(crate) container: Container,
    pub(crate) codec: Codec,
    /// As ffprobe prints it: Opus is always 48 kHz.
    pub(crate) rate: u32,
    pub(crate) channels: usize,
}

/// An opened file.
pub(crate) struct Input<'s> {
    reader: Box<dyn FormatReader + 's>,
    state: Arc<SourceState>,
    described: Described,
    track: u32,
    decoder: Decoder,
    timeline: Timeline,
    /// The Opus decoding rate of the first link of a chain holds for all of them.
    opus_rate: Option<u32>,
    /// What is to be heard of the last packet.
    decoded: Vec<f32>,
    /// Its form, while it waits behind a gap.
    ready: Option<Form>,
    seconds: f64,
    good: u64,
    bad: u64,
}

/// Runs third-party parsing of untrusted bytes. Those libraries do not promise never to panic;
/// unwinding here costs nothing and keeps one bad file from ending the process. What panicked is
/// not used again.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

impl<'s> Input<'s> {
    /// Finds out what the bytes are and prepares to decode them.
    pub(crate) fn open<S>(source: S, length: u64) -> Result<Self, AudioError>
    where
        S: Read + Seek + Send + Sync + 's,
    {
        let mut source = Source::open(source, length).map_err(AudioError::Source)?;
        refuse_foreign(source.head())?;
        let state = source.state();
        let mut edit = None;
        if source.head().get(4..8) == Some(b"ftyp") {
            source.set_seekable();
            edit = mp4::prepare(&mut source, length)?;
        }
        mend_wav(&mut source, length);
        let matroska = matroska_kind(source.head());
        let known = known_start(source.head());
        let wav = source.head().get(8..12) == Some(b"WAVE");

        let stream = MediaSourceStream::new(Box::new(source), Default::default());
        let opened = guarded(move || {
            symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default())
        });
        if let Some(error) = state.take_error() {
            return Err(AudioError::Source(error));
        }
        let reader = match opened {
            Some(Ok(reader)) => reader,
            Some(Err(Error::Unsupported(_))) if wav => return Err(AudioError::UNKNOWN_CODING),
            _ if known => return Err(AudioError::NO_AUDIO_BYTES),
            Some(Err(_)) => return Err(AudioError::UNKNOWN_TYPE),
            None => return Err(AudioError::DAMAGED),
        };
        let container = match reader.format_info().format {
            format::FORMAT_ID_OGG => Container::Ogg,
            format::FORMAT_ID_WAVE => Container::Wav,
            format::FORMAT_ID_MP3 => Container::Mpeg,
            format::FORMAT_ID_ADTS => Container::Adts,
            format::FORMAT_ID_ISOMP4 => Container::Mp4,
            format::FORMAT_ID_MKV => matroska,
            format::FORMAT_ID_FLAC => Container::Flac,
            _ => return Err(AudioError::UNKNOWN_TYPE),
        };
        let mut opus_rate = None;
        let selected = select(reader.tracks(), container, edit, &mut opus_rate)?;
        Ok(Self {
            reader,
            state,
            described: selected.described,
            track: selected.track,
            decoder: selected.decoder,
            timeline: selected.timeline,
            opus_rate,
            decoded: Vec::new(),
            ready: None,
            seconds: 0.0,
            good: 0,
            bad: 0,
        })
    }

    pub(crate) fn described(&self) -> Described {
        self.described
    }

    /// How far reading has come, in bytes.
    pub(crate) fn position(&self) -> u64 {
        self.state.position()
    }

    /// Puts the next block of sound into `out`, which may stay empty; `None` at the end.
    pub(crate) fn read(&mut self, out: &mut Vec<f32>) -> Result<Option<Form>, AudioError> {
        out.clear();
        let form = match self.ready.clone() {
            Some(form) => form,
            None => match self.next_packet()? {
                Some(packet) => self.decode(&packet)?,
                None => return Ok(None),
            },
        };
        if self.timeline.fill_gap(&form, out) {
            // The packet behind the gap waits until all of the silence has been taken.
            self.ready = Some(form.clone());
        } else {
            self.ready = None;
            self.timeline.emit(&self.decoded, form.channels(), out);
        }
        self.seconds += out.len() as f64 / form.channels() as f64 / f64::from(form.rate);
        if self.seconds > (LONGEST_HOURS * 3600) as f64 {
            return Err(AudioError::unsupported("Recordings longer than 48 hours are not supported"));
        }
        Ok(Some(form))
    }

    /// The next packet of the track, past whatever cannot be read.
    fn next_packet(&mut self) -> Result<Option<Packet>, AudioError> {
        let mut errors = 0;
        while errors <= MOST_ERRORS && !self.timeline.is_over() {
            self.state.renew_leash();
            match guarded(|| self.reader.next_packet()) {
                Some(Ok(Some(packet))) if packet.track_id == self.track => return Ok(Some(packet)),
                Some(Ok(Some(_))) => {}
                Some(Err(Error::ResetRequired)) => {
                    // The next link of a chained stream.
                    let Ok(selected) = self.select() else { break };
                    self.track = selected.track;
                    self.decoder = selected.decoder;
                    self.timeline = selected.timeline.after(&self.timeline);
                }
                Some(Err(Error::IoError(error))) if error.kind() == ErrorKind::UnexpectedEof => break,
                Some(Err(_)) => errors += 1,
                Some(Ok(None)) | None => break,
            }
        }
        match self.state.take_error() {
            Some(error) => Err(AudioError::Source(error)),
            None => Ok(None),
        }
    }

    fn select(&mut self) -> Result<Selected, AudioError> {
        select(self.reader.tracks(), self.described.container, None, &mut self.opus_rate)
    }

    /// # Errors
    /// When less than half of what was in the file could be decoded.
    pub(crate) fn verdict(&self) -> Result<(), AudioError> {
        if self.good == 0 && self.bad == 0 {
            Err(AudioError::NO_AUDIO_BYTES)
        } else if self.bad > self.good {
            Err(AudioError::DAMAGED)
        } else {
            Ok(())
        }
    }

    /// Decodes into `self.decoded` what is to be heard of a packet, or silence of its length.
    fn decode(&mut self, packet: &Packet) -> Result<Form, AudioError> {
        let Self { decoder, decoded, .. } = self;
        let result = match decoder {
            Decoder::Opus(opus) => guarded(|| opus.decode(&packet.data, decoded).then(|| opus.form.clone())),
            Decoder::Symphonia(decoder) => guarded(|| {
                let buffer = decoder.decode(packet).ok()?;
                buffer.copy_to_vec_interleaved(decoded);
                for sample in decoded.iter_mut() {
                    // Floats in a file can be anything; nothing later expects infinity or NaN.
                    let sane = sample.abs() <= LOUDEST;
                    *sample = if sane { *sample } else { 0.0 };
                }
                let spec = buffer.spec();
                Some(Form { rate: spec.rate(), roles: roles_of(spec.channels()) })
            }),
        };
        if result.is_none() {
            self.decoder = self.select()?.decoder;
        }
        let decoded = result.flatten();
        let good = decoded.is_some();
        let form = decoded.unwrap_or_else(|| self.timeline.form().clone());
        check(form.rate, form.channels())?;
        if good {
            self.good += 1;
        } else {
            self.bad += 1;
            let frames = match &self.decoder {
                Decoder::Opus(opus) => opus.last_frames(),
                Decoder::Symphonia(_) => self.timeline.frames_of(packet),
            };
            self.decoded.clear();
            self.decoded.resize(frames * form.channels(), 0.0);
        }
        // Symphonia's decoders trim what the container says; Opus and silence are trimmed here.
        let trimmed = good && matches!(self.decoder, Decoder::Symphonia(_));
        if !trimmed {
            self.timeline.trim(packet, &form, &mut self.decoded);
        }
        self.timeline.place(packet, &form, self.decoded.len());
        Ok(form)
    }
}

struct Selected {
    described: Described,
    track: u32,
    decoder: Decoder,
    timeline: Timeline,
}

/// Chooses the first audio track and builds its decoder.
fn select(
    tracks: &[Track],
    container: Container,
    edit: Option<mp4::Edit>,
    opus_rate: &mut Option<u32>,
) -> Result<Selected, AudioError> {
    let audio = tracks.iter().find_map(|track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track, params)),
        _ => None,
    });
    let Some((track, params)) = audio else {
        return Err(AudioError::unsupported("This file has no sound of a supported kind"));
    };
    let Some(codec) = Codec::of(params.codec) else {
        return Err(AudioError::UNKNOWN_CODING);
    };
    check_declared(params)?;
    let base = track.time_base;
    if codec == Codec::Opus {
        let head = params.extra_data.as_deref().and_then(OpusHead::parse).ok_or(AudioError::NO_AUDIO_BYTES)?;
        check(48_000, usize::from(head.channels()))?;
        let rate = *opus_rate.get_or_insert_with(|| head.decoding_rate());
        let opus = guarded(|| OpusTrack::new(&head, rate)).ok_or(AudioError::DAMAGED)??;
        // An edit list counts the pre-skip among what it cuts.
        let pre_skip = if edit.is_some() { 0 } else { u64::from(head.pre_skip) };
        let timeline = Timeline::new(container, opus.form.clone(), base, edit, pre_skip);
        let described = Described { container, codec, rate: 48_000, channels: usize::from(head.channels()) };
        return Ok(Selected { described, track: track.id, decoder: Decoder::Opus(Box::new(opus)), timeline });
    }
    let registry = symphonia::default::get_codecs();
    let decoder = guarded(|| registry.make_audio_decoder(params, &Default::default())).ok_or(AudioError::DAMAGED)?;
    let decoder = decoder.map_err(|error| {
        if !matches!(error, Error::Unsupported(_)) {
            AudioError::DAMAGED
        } else if codec == Codec::Aac {
            AudioError::unsupported("This kind of AAC is not supported: only AAC-LC with one or two channels is")
        } else {
            AudioError::UNKNOWN_CODING
        }
    })?;
    let known = decoder.codec_params();
    let rate = known.sample_rate.or(params.sample_rate).unwrap_or(0);
    let roles = known.channels.as_ref().or(params.channels.as_ref()).map(roles_of).unwrap_or_default();
    let described = Described { container, codec, rate, channels: roles.len() };
    let timeline = Timeline::new(container, Form { rate, roles }, base, edit, 0);
    Ok(Selected { described, track: track.id, decoder: Decoder::Symphonia(decoder), timeline })
}

/// Refuses absurd declarations before a decoder allocates for them.
fn check_declared(params: &AudioCodecParameters) -> Result<(), AudioError> {
    let rate = params.sample_rate.unwrap_or(HIGHEST_RATE);
    let channels = params.channels.as_ref().map_or(1, symphonia::core::audio::Channels::count);
    check(rate, channels)
}

fn check(rate: u32, channels: usize) -> Result<(), AudioError> {
    if channels > MOST_CHANNELS {
        return Err(AudioError::unsupported(format!("Sound with {channels} channels is not supported: at most 8 are")));
    }
    if rate == 0 || channels == 0 {
        return Err(AudioError::DAMAGED);
    }
    if !(LOWEST_RATE..=HIGHEST_RATE).contains(&rate) {
        return Err(AudioError::unsupported(format!(
            "Sound with {rate} samples per second is not supported: 4000 to 192000 are"
        )));
    }
    Ok(())
}

/// Whether the file starts like a supported container, so that what is wrong is its rest.
fn known_start(head: &[u8]) -> bool {
    [&b"OggS"[..], b"RIFF", b"RF64", b"BW64", b"fLaC", b"ID3", b"\x1a\x45\xdf\xa3"]
        .iter()
        .any(|magic| head.starts_with(magic))
        || head.get(4..8) == Some(b"ftyp")
}

/// Converts ticks of a track to frames.
pub(crate) fn frames(ticks: u64, base: TimeBase, rate: u32) -> u64 {
    let frames = u128::from(ticks) * u128::from(base.numer.get()) * u128::from(rate) / u128::from(base.denom.get());
    u64::try_from(frames).unwrap_or(u64::MAX)
}
