//! From bytes to blocks of sound: one pass over the packets of the first audio track.

use std::io::{ErrorKind, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track};
use symphonia::core::io::ReadBytes;
use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;

use crate::container::Container;
use crate::layout::{Form, roles_of};
use crate::lookahead::Lookahead;
use crate::open::{Opened, Reopened, open};
use crate::opus::{OpusHead, OpusTrack};
use crate::plan::Codec;
use crate::source::SourceState;
use crate::timeline::Timeline;
use crate::{Analysis, AudioError, aac, mp4};

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

impl Described {
    /// The error for a file without any sound. A WAV is that short when the recorder was stopped at once; other
    /// containers without sound are cut off.
    pub(crate) fn without_sound(&self) -> AudioError {
        if self.container != Container::Wav {
            return AudioError::NO_AUDIO_BYTES;
        }
        let analysis = Analysis {
            duration_ms: 0,
            codec: self.codec,
            sample_rate_hz: self.rate,
            channels: u16::try_from(self.channels).unwrap_or(u16::MAX),
            loudness_lufs: None,
        };
        AudioError::TooShort { analysis: Box::new(analysis) }
    }
}

/// An opened file.
pub(crate) struct Input<'s> {
    /// `None` once nothing is left to read. Packets that are held back may still follow.
    reader: Option<Box<dyn FormatReader + 's>>,
    reopen: Box<dyn FnMut(u64) -> Option<Reopened<'s>> + Send + 's>,
    state: Arc<SourceState>,
    described: Described,
    /// Tracks of the link whose packets are being decoded. The reader may be further.
    tracks: Vec<Track>,
    track: u32,
    decoder: Decoder,
    timeline: Timeline,
    lookahead: Lookahead,
    /// Edit list of the file, or of the file joined to it that is being read.
    edits: Vec<mp4::Edit>,
    /// What follows the packets that are held back.
    then: Then,
    /// The Opus decoding rate of the first link of a chain holds for all of them.
    opus_rate: Option<u32>,
    /// What is to be heard of the last packet.
    decoded: Vec<f32>,
    /// Its form, while it waits behind a gap.
    ready: Option<Form>,
    /// Version, layer, rate and mono or not of the last MP3 frame.
    mpeg_kind: Option<[u8; 3]>,
    seconds: f64,
    good: u64,
    bad: u64,
}

/// What follows the packets that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    MorePackets,
    /// The next link of a chained stream, or a file that was joined to this one.
    NextLink,
    TheEnd,
}

/// Runs third-party parsing of untrusted bytes. Those libraries do not promise never to panic;
/// unwinding here costs nothing and keeps one bad file from ending the process. What panicked is
/// not used again.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Runs a whole step. A panic in it is a property of the bytes: trying again cannot help.
pub(crate) fn panic_is_damage<T>(step: impl FnOnce() -> Result<T, AudioError>) -> Result<T, AudioError> {
    guarded(step).unwrap_or(Err(AudioError::DAMAGED))
}

impl<'s> Input<'s> {
    /// Finds out what the bytes are and prepares to decode them.
    pub(crate) fn open<S>(source: S, length: u64) -> Result<Self, AudioError>
    where
        S: Read + Seek + Send + Sync + 's,
    {
        let Opened { reader, container, edits, state, reopen } = open(source, length)?;
        let mut opus_rate = None;
        let tracks = reader.tracks().to_vec();
        let selected = select(&tracks, container, &edits, &mut opus_rate)?;
        Ok(Self {
            reader: Some(reader),
            reopen,
            state,
            described: selected.described,
            tracks,
            track: selected.track,
            decoder: selected.decoder,
            timeline: selected.timeline,
            lookahead: selected.lookahead,
            edits,
            then: Then::MorePackets,
            opus_rate,
            decoded: Vec::new(),
            ready: None,
            mpeg_kind: None,
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
        loop {
            // Behind the last edit nothing is heard, but a file may follow.
            if self.timeline.is_over() && self.then == Then::MorePackets {
                self.lookahead.clear();
                self.then = self.reopen()?;
                continue;
            }
            if let Some(packet) = self.lookahead.pop() {
                return Ok(Some(packet));
            }
            match self.then {
                Then::MorePackets => self.then = self.read_packet()?,
                Then::NextLink => self.then = self.begin_link(),
                Then::TheEnd => return Ok(None),
            }
            if self.then != Then::MorePackets {
                self.lookahead.end();
            }
        }
    }

    /// Reads one packet into the lookahead.
    fn read_packet(&mut self) -> Result<Then, AudioError> {
        let mut errors = 0;
        while errors <= MOST_ERRORS {
            let Some(reader) = &mut self.reader else { break };
            self.state.renew_leash();
            match guarded(|| reader.next_packet()) {
                // An empty packet holds no sound. Some writers end a stream with one.
                Some(Ok(Some(packet))) if packet.track_id == self.track && !packet.data.is_empty() => {
                    self.lookahead.push(packet);
                    return Ok(Then::MorePackets);
                }
                Some(Ok(Some(_))) => {}
                Some(Err(Error::ResetRequired)) => return Ok(Then::NextLink),
                Some(Err(Error::IoError(error))) if error.kind() == ErrorKind::UnexpectedEof => break,
                Some(Err(_)) => errors += 1,
                Some(Ok(None)) | None => break,
            }
        }
        if let Some(error) = self.state.take_error() {
            return Err(AudioError::Source(error));
        }
        self.reopen()
    }

    /// Goes on behind the position at which the demuxer gave up, if anything there can be read.
    fn reopen(&mut self) -> Result<Then, AudioError> {
        let Some(position) = self.reader.take().and_then(|reader| guarded(|| reader.into_inner().pos())) else {
            return Ok(Then::TheEnd);
        };
        let reopened = (self.reopen)(position);
        if let Some(error) = self.state.take_error() {
            return Err(AudioError::Source(error));
        }
        Ok(match reopened {
            Some(Reopened { reader, is_joined, edits }) => {
                self.reader = Some(reader);
                self.edits = edits;
                if is_joined { Then::NextLink } else { Then::MorePackets }
            }
            None => Then::TheEnd,
        })
    }

    fn begin_link(&mut self) -> Then {
        let Some(reader) = &self.reader else { return Then::TheEnd };
        self.tracks = reader.tracks().to_vec();
        let Ok(selected) = self.select() else { return Then::TheEnd };
        self.track = selected.track;
        self.decoder = selected.decoder;
        self.lookahead = selected.lookahead;
        self.timeline = selected.timeline.after(&self.timeline);
        Then::MorePackets
    }

    fn select(&mut self) -> Result<Selected, AudioError> {
        select(&self.tracks, self.described.container, &self.edits, &mut self.opus_rate)
    }

    /// Builds a new decoder when an MP3 frame has another version, layer, rate or number of channels than the one before:
    /// symphonia's decoder takes one kind only.
    fn follow_mpeg(&mut self, packet: &Packet) -> Result<(), AudioError> {
        let &[_, version, rate, mode, ..] = &*packet.data else { return Ok(()) };
        let is_mono = u8::from(mode >> 6 == 3);
        let kind = [version & 0b1_1110, rate & 0b1100, is_mono];
        if self.mpeg_kind.replace(kind).is_some_and(|last| last != kind) {
            self.decoder = self.select()?.decoder;
        }
        Ok(())
    }

    /// # Errors
    /// When less than half of what was in the file could be decoded.
    pub(crate) fn verdict(&self) -> Result<(), AudioError> {
        if self.good == 0 && self.bad == 0 {
            Err(self.described.without_sound())
        } else if self.bad > self.good {
            Err(AudioError::DAMAGED)
        } else {
            Ok(())
        }
    }

    /// Decodes into `self.decoded` what is to be heard of a packet, or silence of its length.
    fn decode(&mut self, packet: &Packet) -> Result<Form, AudioError> {
        if self.described.container == Container::Mpeg {
            self.follow_mpeg(packet)?;
        }
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
            if self.described.channels == 0 {
                // The container does not say.
                self.described.channels = form.channels();
            }
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
    lookahead: Lookahead,
}

/// Chooses the first audio track that can be decoded and builds its decoder.
fn select(
    tracks: &[Track],
    container: Container,
    edits: &[mp4::Edit],
    opus_rate: &mut Option<u32>,
) -> Result<Selected, AudioError> {
    let audio = |track: &'_ Track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track.id, track.time_base, params.clone())),
        _ => None,
    };
    let is_known = |params: &AudioCodecParameters| Codec::of(params.codec).is_some();
    let mut found = tracks.iter().filter_map(audio);
    let first = found.next();
    let decodable = first.iter().cloned().chain(found).find(|(.., params)| is_known(params));
    let Some((track, base, mut params)) = decodable.or(first) else {
        return Err(AudioError::unsupported("This file has no audio of a supported kind"));
    };
    let Some(mut codec) = Codec::of(params.codec) else {
        return Err(AudioError::unknown_coding());
    };
    if codec == Codec::Aac {
        codec = aac::to_low_complexity(&mut params)?;
    }
    check_declared(&params)?;
    let lookahead = Lookahead::new(container, base);
    if codec == Codec::Opus {
        let head = params.extra_data.as_deref().and_then(OpusHead::parse).ok_or(AudioError::NO_AUDIO_BYTES)?;
        check(48_000, usize::from(head.channels()))?;
        let rate = *opus_rate.get_or_insert_with(|| head.decoding_rate());
        let opus = guarded(|| OpusTrack::new(&head, rate)).ok_or(AudioError::DAMAGED)??;
        // An edit list counts the pre-skip among what it cuts.
        let pre_skip = if edits.is_empty() { u64::from(head.pre_skip) } else { 0 };
        let timeline = Timeline::new(container, opus.form.clone(), base, edits, pre_skip);
        let described = Described { container, codec, rate: 48_000, channels: usize::from(head.channels()) };
        return Ok(Selected { described, track, decoder: Decoder::Opus(Box::new(opus)), timeline, lookahead });
    }
    let registry = symphonia::default::get_codecs();
    let decoder = guarded(|| registry.make_audio_decoder(&params, &Default::default())).ok_or(AudioError::DAMAGED)?;
    let decoder = decoder.map_err(|error| {
        if !matches!(error, Error::Unsupported(_)) {
            AudioError::DAMAGED
        } else if matches!(codec, Codec::Aac | Codec::HeAac) {
            AudioError::unsupported("This kind of AAC is not supported: only AAC-LC with one or two channels is")
        } else {
            AudioError::unknown_coding()
        }
    })?;
    let known = decoder.codec_params();
    let rate = known.sample_rate.or(params.sample_rate).unwrap_or(0);
    let roles = known.channels.as_ref().or(params.channels.as_ref()).map(roles_of).unwrap_or_default();
    let described = Described { container, codec, rate, channels: roles.len() };
    let timeline = Timeline::new(container, Form { rate, roles }, base, edits, 0);
    Ok(Selected { described, track, decoder: Decoder::Symphonia(decoder), timeline, lookahead })
}

/// Refuses absurd declarations before a decoder allocates for them.
fn check_declared(params: &AudioCodecParameters) -> Result<(), AudioError> {
    let rate = params.sample_rate.unwrap_or(HIGHEST_RATE);
    let channels = params.channels.as_ref().map_or(1, symphonia::core::audio::Channels::count);
    check(rate, channels)
}

fn check(rate: u32, channels: usize) -> Result<(), AudioError> {
    if channels > MOST_CHANNELS {
        return Err(AudioError::unsupported(format!("Audio with {channels} channels is not supported: at most 8 are")));
    }
    if rate == 0 || channels == 0 {
        return Err(AudioError::DAMAGED);
    }
    if !(LOWEST_RATE..=HIGHEST_RATE).contains(&rate) {
        return Err(AudioError::unsupported(format!(
            "Audio with {rate} samples per second is not supported: 4000 to 192000 are"
        )));
    }
    Ok(())
}

/// Converts ticks of a track to frames.
pub(crate) fn frames(ticks: u64, base: TimeBase, rate: u32) -> u64 {
    let frames = u128::from(ticks) * u128::from(base.numer.get()) * u128::from(rate) / u128::from(base.denom.get());
    u64::try_from(frames).unwrap_or(u64::MAX)
}
