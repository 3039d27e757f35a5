//! Cuts long audio into chunks that a transcription service accepts: FLAC of 16 kHz mono, cut in pauses of the speech.
//!
//! The end of a chunk is sought only when the chunk has become as long or as large as it may: in the last minute of it,
//! which is all that is kept in memory. Where that minute has no pause, two chunks overlap by a few seconds, so that a
//! word that one cuts in two is whole in the other.

use std::io::{self, ErrorKind, Read, Seek};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use crate::AudioError;
use crate::decode::{Input, panic_is_damage};
use crate::flac::Flac;
use crate::mono::{Mono, RATE};

const SAMPLES_PER_MS: usize = RATE as usize / 1000;
/// In which a pause is sought, at most.
const WINDOW_MS: usize = 60_000;
/// By which chunks overlap where there is no pause: several words.
const OVERLAP_MS: usize = 5_000;
/// Services refuse sound that is much shorter.
const SHORTEST_MS: usize = 1_000;
/// The pauses between words are shorter, those between sentences longer.
const PAUSE_MS: usize = 300;
const FRAME_MS: usize = 20;
/// Below it there is nothing to be heard whatever is around it.
const INAUDIBLE_DB: f32 = -60.0;
/// Speech is at least so much louder than its pauses, or they are none.
const CONTRAST_DB: f32 = 15.0;
/// By which the noise of a room varies.
const NOISE_DB: f32 = 6.0;
/// Larger than a FLAC frame that could not be compressed, with the header of the file.
const SLACK_BYTES: u64 = 16 * 1024;

/// Limits of the chunks, and where to put them.
#[derive(Debug, Clone, Copy)]
pub struct CutJob<'a> {
    /// An existing directory for the chunks, `chunk-0.flac` and so on. The caller removes it, also after an error.
    pub scratch: &'a Path,
    /// Longest chunk in milliseconds, at least 10,000.
    pub longest_ms: u64,
    /// Largest chunk in bytes, at least 1,000,000.
    pub largest_bytes: u64,
}

/// One chunk, whole and on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Path of the file.
    pub path: PathBuf,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Where it begins in the whole, in milliseconds. Before the end of the one before it where the two overlap.
    pub start_ms: u64,
    /// Where it ends in the whole, in milliseconds.
    pub end_ms: u64,
}

/// Progress of [`cut`].
#[derive(Debug)]
pub enum Cutting {
    /// The read fraction of the file (0.0 to 1.0), many times a second.
    Progress(f64),
    /// A chunk is complete. The callback may remove it: ten hours are half a gigabyte.
    Chunk(Chunk),
}

/// Decodes `source` once and cuts it. Returns the length of the whole in milliseconds.
///
/// `source` and `length` are as for [`crate::process`]. Constant memory, a few megabytes.
///
/// # Errors
/// As [`crate::process`], but short sound is one short chunk. A `each` that breaks is [`AudioError::Source`].
pub fn cut<S>(
    source: S,
    length: u64,
    job: &CutJob<'_>,
    each: &mut dyn FnMut(Cutting) -> ControlFlow<()>,
) -> Result<u64, AudioError>
where
    S: Read + Seek + Send + Sync,
{
    let mut input = panic_is_damage(|| Input::open(source, length))?;
    let mut mono = Mono::default();
    let (mut block, mut samples) = (Vec::new(), Vec::new());
    let mut cutter = Cutter::create(job).map_err(AudioError::Scratch)?;
    while let Some(form) = panic_is_damage(|| input.read(&mut block))? {
        samples.clear();
        mono.push(&form, &block, &mut samples).map_err(AudioError::Scratch)?;
        cutter.add(&samples).map_err(AudioError::Scratch)?;
        let read = input.position() as f64 / length.max(1) as f64;
        report(cutter.complete.drain(..).map(Cutting::Chunk).chain([Cutting::Progress(read)]), each)?;
    }
    input.verdict()?;
    samples.clear();
    mono.finish(&mut samples);
    cutter.add(&samples).map_err(AudioError::Scratch)?;
    let complete = cutter.finish().map_err(AudioError::Scratch)?;
    let end_ms = complete.last().map_or(0, |last| last.end_ms);
    if end_ms == 0 {
        return Err(AudioError::NO_AUDIO_BYTES);
    }
    report(complete.into_iter().map(Cutting::Chunk), each)?;
    Ok(end_ms)
}

fn report(
    mut news: impl Iterator<Item = Cutting>,
    each: &mut dyn FnMut(Cutting) -> ControlFlow<()>,
) -> Result<(), AudioError> {
    let broke = news.any(|news| each(news).is_break());
    if broke { Err(AudioError::Source(ErrorKind::Interrupted.into())) } else { Ok(()) }
}

struct Cutter<'a> {
    scratch: &'a Path,
    longest: usize,
    largest_bytes: u64,
    window: usize,
    flac: Flac,
    chunks: usize,
    /// Where the chunk begins, in samples of the whole.
    start: usize,
    /// Samples that are not in the file yet. The end of the chunk is among them.
    held: Vec<i16>,
    /// Where that begins, in samples of the whole; always at a whole millisecond.
    held_start: usize,
    complete: Vec<Chunk>,
}

impl<'a> Cutter<'a> {
    fn create(job: &CutJob<'a>) -> io::Result<Self> {
        let longest_ms =
            usize::try_from(job.longest_ms.clamp(10_000, u64::from(u32::MAX))).map_err(io::Error::other)?;
        let largest_bytes = job.largest_bytes.max(1_000_000);
        // Of a chunk that may only be short, the last quarter.
        let ms_of_largest = usize::try_from(largest_bytes / (2 * SAMPLES_PER_MS as u64)).map_err(io::Error::other)?;
        let window_ms = WINDOW_MS.min(longest_ms / 4).min(ms_of_largest / 4);
        Ok(Self {
            scratch: job.scratch,
            longest: longest_ms * SAMPLES_PER_MS,
            largest_bytes,
            window: window_ms * SAMPLES_PER_MS,
            flac: Flac::create(&path_of(job.scratch, 0))?,
            chunks: 0,
            start: 0,
            held: Vec::new(),
            held_start: 0,
            complete: Vec::new(),
        })
    }

    fn add(&mut self, mut samples: &[i16]) -> io::Result<()> {
        while !samples.is_empty() {
            let room = self.longest - (self.held_end() - self.start);
            let step = samples.len().min(room).min(FRAME_MS * SAMPLES_PER_MS);
            // What is held could turn out to be noise, which FLAC does not make smaller.
            let bytes = self.flac.size_bytes() + 2 * (self.held.len() + step) as u64;
            if room == 0 || bytes + SLACK_BYTES > self.largest_bytes {
                self.end_chunk()?;
                continue;
            }
            self.held.extend_from_slice(&samples[..step]);
            samples = &samples[step..];
            // In portions, so that what remains is not moved for every few samples.
            let surplus = self.held.len().saturating_sub(self.window);
            if surplus > RATE as usize {
                self.write(surplus - surplus % SAMPLES_PER_MS)?;
            }
        }
        Ok(())
    }

    fn held_end(&self) -> usize {
        self.held_start + self.held.len()
    }

    /// Moves so many samples from memory to the file.
    fn write(&mut self, count: usize) -> io::Result<()> {
        self.flac.add(&self.held[..count])?;
        self.held.drain(..count);
        self.held_start += count;
        Ok(())
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        let shortest = SHORTEST_MS * SAMPLES_PER_MS;
        let end = match pause(&self.held, shortest..self.held.len().saturating_sub(shortest)) {
            Some(end) => {
                self.write(end)?;
                self.held_start
            }
            None => {
                let overlap = (OVERLAP_MS * SAMPLES_PER_MS).min(self.window / 2);
                let kept = self.held.len() - overlap;
                let end = self.held_end();
                self.write(kept - kept % SAMPLES_PER_MS)?;
                self.flac.add(&self.held)?;
                end
            }
        };
        let path = path_of(self.scratch, self.chunks);
        self.chunks += 1;
        let next = Flac::create(&path_of(self.scratch, self.chunks))?;
        let complete = chunk(std::mem::replace(&mut self.flac, next), path, self.start..end)?;
        self.complete.push(complete);
        self.start = self.held_start;
        Ok(())
    }

    /// Completes the last chunk and returns those that were not reported yet.
    fn finish(mut self) -> io::Result<Vec<Chunk>> {
        self.flac.add(&self.held)?;
        let last = chunk(self.flac, path_of(self.scratch, self.chunks), self.start..self.held_start + self.held.len())?;
        self.complete.push(last);
        Ok(self.complete)
    }
}

fn chunk(flac: Flac, path: PathBuf, samples: Range<usize>) -> io::Result<Chunk> {
    let ms = |samples: usize| samples.div_ceil(SAMPLES_PER_MS) as u64;
    Ok(Chunk { path, size_bytes: flac.finish()?, start_ms: ms(samples.start), end_ms: ms(samples.end) })
}

fn path_of(scratch: &Path, index: usize) -> PathBuf {
    scratch.join(format!("chunk-{index}.flac"))
}

/// The middle of the longest pause in `within`, the last of several: an index at a whole millisecond.
///
/// What is a pause follows from the sound around it: as quiet as its quietest twentieth, and clearly quieter than its
/// loudest tenth.
fn pause(samples: &[i16], within: Range<usize>) -> Option<usize> {
    let frame = FRAME_MS * SAMPLES_PER_MS;
    let levels: Vec<f32> = samples.chunks_exact(frame).map(level_db).collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let (quiet, loud) = (*sorted.get(sorted.len() / 20)?, *sorted.get(sorted.len() * 9 / 10)?);
    let threshold = if loud - quiet >= CONTRAST_DB { quiet + NOISE_DB } else { INAUDIBLE_DB };
    let threshold = threshold.max(INAUDIBLE_DB);
    let (mut best, mut run) = (0..0, 0..0);
    for (index, level) in levels.iter().enumerate() {
        let inside = within.start <= index * frame && (index + 1) * frame <= within.end;
        run = match inside && *level <= threshold {
            true if run.end == index => run.start..index + 1,
            true => index..index + 1,
            false => 0..0,
        };
        if run.len() >= best.len().max(1) {
            best = run.clone();
        }
    }
    (best.len() * FRAME_MS >= PAUSE_MS).then(|| (best.start + best.end) * frame / 2)
}

/// Of full scale. Digital silence is far below anything else, and finite.
fn level_db(frame: &[i16]) -> f32 {
    let energy: f32 = frame.iter().map(|sample| (f32::from(*sample) / 32_768.0).powi(2)).sum();
    10.0 * (energy / frame.len() as f32).max(1e-12).log10()
}
