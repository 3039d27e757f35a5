//! Everything that one decode feeds.

use std::io;
use std::path::PathBuf;

use crate::decode::Described;
use crate::layout::{Downmix, Form};
use crate::loudness::Loudness;
use crate::peaks::Peaks;
use crate::plan::{needs_playback, needs_transcription};
use crate::playback::Playback;
use crate::resample::Resampler;
use crate::transcription::Transcription;
use crate::{Analysis, Job, Processed, Rendition, RenditionKind};

pub(crate) struct Outputs {
    /// The form of the first block, which every output is made for.
    form: Form,
    directory: PathBuf,
    frames: u64,
    loudness: Loudness,
    peaks: Peaks,
    playback: Option<Box<Playback>>,
    transcription: Option<Box<Transcription>>,
    conform: Option<Conform>,
}

impl Outputs {
    pub(crate) fn create(job: &Job<'_>, described: &Described, form: &Form) -> io::Result<Self> {
        let Described { container, codec, channels, .. } = *described;
        let path = |kind| path_of(job.scratch, kind);
        let peaks = Peaks::create(&path(RenditionKind::Peaks), form.rate, form.channels());
        let playback = needs_playback(container, codec, channels)
            .then(|| Playback::create(&path(RenditionKind::Playback), form).map(Box::new))
            .transpose()?;
        let transcription = needs_transcription(job.transcription, container, codec, channels)
            .then(|| Transcription::create(&path(RenditionKind::Transcription), form).map(Box::new))
            .transpose()?;
        Ok(Self {
            form: form.clone(),
            directory: job.scratch.to_owned(),
            frames: 0,
            loudness: Loudness::new(form),
            peaks,
            playback,
            transcription,
            conform: None,
        })
    }

    pub(crate) fn add(&mut self, form: &Form, samples: &[f32]) -> io::Result<()> {
        if self.conform.as_ref().is_some_and(|conform| conform.from != *form) {
            self.end_conform()?;
        }
        if *form == self.form {
            return self.take(samples);
        }
        let mut conform = match self.conform.take() {
            Some(conform) => conform,
            None => Conform::new(form, &self.form)?,
        };
        let conformed = conform.run(samples);
        self.conform = Some(conform);
        self.take(&conformed)
    }

    /// Encodes no more for playback, and forgets what was.
    pub(crate) fn leave_out_playback(&mut self) {
        self.playback = None;
    }

    fn end_conform(&mut self) -> io::Result<()> {
        let Some(mut conform) = self.conform.take() else { return Ok(()) };
        let mut rest = Vec::new();
        conform.resampler.finish(&mut rest);
        self.take(&rest)
    }

    fn take(&mut self, samples: &[f32]) -> io::Result<()> {
        self.frames += (samples.len() / self.form.channels()) as u64;
        self.loudness.add(samples);
        self.peaks.add(samples);
        if let Some(playback) = &mut self.playback {
            playback.add(samples)?;
        }
        if let Some(transcription) = &mut self.transcription {
            transcription.add(samples)?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self, described: &Described) -> io::Result<Processed> {
        self.end_conform()?;
        let mut renditions = Vec::new();
        let mut made = |kind, size_bytes| {
            renditions.push(Rendition { kind, path: path_of(&self.directory, kind), size_bytes });
        };
        made(RenditionKind::Peaks, self.peaks.finish()?);
        if let Some(playback) = self.playback {
            made(RenditionKind::Playback, playback.finish()?);
        }
        if let Some(transcription) = self.transcription {
            made(RenditionKind::Transcription, transcription.finish()?);
        }
        let rate = u64::from(self.form.rate);
        let analysis = Analysis {
            duration_ms: (self.frames * 1000 + rate / 2) / rate,
            codec: described.codec,
            sample_rate_hz: described.rate,
            channels: u16::try_from(described.channels).unwrap_or(u16::MAX),
            loudness_lufs: self.loudness.integrated(),
        };
        Ok(Processed { analysis, renditions })
    }
}

fn path_of(directory: &std::path::Path, kind: RenditionKind) -> PathBuf {
    directory.join(kind.as_str()).with_extension(kind.extension())
}

/// Brings a later link of a chained stream, or a frame of another kind, to the form of the first.
struct Conform {
    from: Form,
    channels: usize,
    downmix: Option<Downmix>,
    resampler: Resampler,
    mixed: Vec<f32>,
}

impl Conform {
    fn new(from: &Form, to: &Form) -> io::Result<Self> {
        let channels = to.channels();
        let resampler = Resampler::new(from.rate, to.rate, channels)
            .ok_or_else(|| io::Error::other("sample rates that cannot be converted"))?;
        let downmix = (channels <= 2).then(|| Downmix::new(&from.roles, channels));
        Ok(Self { from: from.clone(), channels, downmix, resampler, mixed: Vec::new() })
    }

    fn run(&mut self, samples: &[f32]) -> Vec<f32> {
        self.mixed.clear();
        match &self.downmix {
            Some(downmix) => downmix.append(samples, &mut self.mixed),
            // Between layouts of many channels nothing is right for all: keep the first ones.
            None => {
                for frame in samples.chunks_exact(self.from.channels()) {
                    let kept = frame.len().min(self.channels);
                    self.mixed.extend_from_slice(&frame[..kept]);
                    self.mixed.extend(std::iter::repeat_n(0.0, self.channels - kept));
                }
            }
        }
        let mut conformed = Vec::new();
        self.resampler.push(&self.mixed, &mut conformed);
        conformed
    }
}
