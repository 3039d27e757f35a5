//! One pass over the audio of a recording: duration, loudness, waveform and renditions.
//!
//! [`process`] reads the source once, forwards, and keeps a few megabytes in memory whatever the length. The bytes decide
//! what a file is; the declared type is never asked.
//!
//! Formats: Opus, Vorbis and FLAC in Ogg; WAV, RF64 and BW64 (integers of 8 to 32 bits, floats, A-law, µ-law, ADPCM, MP3);
//! MP3; AAC-LC in ADTS and MP4; ALAC, Opus, MP3, FLAC and PCM in MP4; Opus, Vorbis and others in WebM and Matroska; FLAC.
//! HE-AAC is decoded as its AAC-LC core, which has half the bandwidth. Of a video, or of several tracks, the first audio
//! track that can be decoded is read. At most 8 channels and 192 kHz.
//!
//! **The duration is what can be decoded.** Sizes, counts and times in a file are claims, which are checked:
//! `lookahead` for padding and timestamps, `wav` for sizes, `native_flac` for counts. Metadata never costs the sound:
//! tags, covers and chunks that are damaged or large are left out before a demuxer sees the file (`open`).
//!
//! What can be heard is kept. A file that was cut off is processed up to its end. Joined files are decoded one after the
//! other, in the form of the first. A packet that does not decode becomes silence of its length, and so do missing pages
//! of a stream with timestamps (gaps of at most ten minutes). Behind a damaged stretch of a Matroska file, reading goes on
//! at the next cluster. Encoder delay and padding are cut where the container states them: Opus pre-skip and granule
//! positions, LAME tags, MP4 edit lists.

mod aac;
mod adts;
mod container;
mod cut;
mod decode;
mod error;
mod flac;
mod layout;
mod lookahead;
mod loudness;
mod mono;
mod mp4;
mod native_flac;
mod ogg_streams;
mod open;
mod opus;
mod outputs;
mod peaks;
mod plan;
mod playback;
mod resample;
mod source;
mod tags;
mod timeline;
mod transcription;
mod view;
mod wav;

use std::io::{ErrorKind, Read, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use capstan_domain::{RenditionKind, TranscriptionRendition};
pub use cut::{Chunk, CutJob, Cutting, cut};
pub use error::AudioError;
pub use plan::Codec;

use decode::panic_is_damage;
use outputs::Outputs;

/// Renditions to make, and where.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// An existing directory for the renditions (`peaks.json`, `playback.ogg`,
    /// `transcription.flac`). The caller removes it, also after an error.
    pub scratch: &'a Path,
    /// Longest processing time. Audio that would take longer gets no playback rendition: encoding it takes ten times as
    /// long as everything else.
    pub longest: Duration,
    /// When to make the transcription rendition.
    pub transcription: TranscriptionRendition,
}

/// Properties of the audio.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Duration of the decoded audio, rounded to a millisecond.
    pub duration_ms: u64,
    /// Codec of the original.
    pub codec: Codec,
    /// Sample rate of the original in Hz. Always 48000 for Opus (RFC 7845).
    pub sample_rate_hz: u32,
    /// Channels of the original, 1 to 8.
    pub channels: u16,
    /// Integrated loudness (EBU R128) in LUFS. `None` when silent or shorter than 400 ms; never
    /// infinite or NaN.
    pub loudness_lufs: Option<f64>,
}

/// A finished file in the scratch directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// Kind. The media type and the extension follow from it.
    pub kind: RenditionKind,
    /// Path of the file.
    pub path: PathBuf,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// The outcome of [`process`].
#[derive(Debug, Clone, PartialEq)]
pub struct Processed {
    /// Properties of the audio.
    pub analysis: Analysis,
    /// Files that were made: always peaks, the others where needed.
    pub renditions: Vec<Rendition>,
}

/// After this fraction of the longest time, the time for the whole can be estimated.
const JUDGED_AFTER: u32 = 16;

/// Decodes `source` once and makes what `job` needs.
///
/// `source` is read forwards from its start; only an MP4 whose index stands at its end costs a
/// few seeks. `length` is its size in bytes: a source that ends before that has failed, it is not
/// a short file. `progress` is called with the read fraction of the file (0.0 to 1.0) after every
/// packet, many times a second, so that the caller can show it and renew its lease.
///
/// # Errors
/// [`AudioError::Corrupt`], [`AudioError::Unsupported`] and [`AudioError::TooShort`] are properties
/// of the bytes and final. [`AudioError::Source`] and [`AudioError::Scratch`] say nothing about
/// the file: try again.
pub fn process<S>(
    source: S,
    length: u64,
    job: &Job<'_>,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Processed, AudioError>
where
    S: Read + Seek + Send + Sync,
{
    let mut input = panic_is_damage(|| decode::Input::open(source, length))?;
    let mut outputs: Option<Outputs> = None;
    let mut samples = Vec::new();
    let began = Instant::now();
    while let Some(form) = panic_is_damage(|| input.read(&mut samples))? {
        let read = input.position() as f64 / length.max(1) as f64;
        if !samples.is_empty() {
            let outputs = match &mut outputs {
                Some(outputs) => outputs,
                empty => empty.insert(Outputs::create(job, &input.described(), &form).map_err(AudioError::Scratch)?),
            };
            panic_is_damage(|| outputs.add(&form, &samples).map_err(AudioError::Scratch))?;
            let spent = began.elapsed();
            if spent >= job.longest / JUDGED_AFTER && spent.as_secs_f64() > job.longest.as_secs_f64() * read {
                outputs.leave_out_playback();
            }
        }
        if progress(read).is_break() {
            return Err(AudioError::Source(ErrorKind::Interrupted.into()));
        }
    }
    input.verdict()?;
    let outputs = outputs.ok_or(AudioError::NO_AUDIO_BYTES)?;
    let processed = panic_is_damage(|| outputs.finish(&input.described()).map_err(AudioError::Scratch))?;
    if processed.analysis.duration_ms < 1000 {
        return Err(AudioError::TooShort { analysis: Box::new(processed.analysis) });
    }
    Ok(processed)
}
