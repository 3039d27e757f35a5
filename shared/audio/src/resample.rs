//! A streaming resampler without delay: the first output frame is the first input frame.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// Input frames per step; rubato rounds up to what the two rates divide.
const STEP: usize = 1024;

pub(crate) struct Resampler {
    /// `None` where both rates are equal.
    fft: Option<Fft<f32>>,
    channels: usize,
    from: u32,
    to: u32,
    waiting: Vec<f32>,
    step: Vec<f32>,
    /// Output frames still to be dropped: the filter's delay.
    delay: usize,
    frames_in: u64,
    frames_out: u64,
}

impl Resampler {
    /// `None` when the rates are out of all proportion.
    pub(crate) fn new(from: u32, to: u32, channels: usize) -> Option<Self> {
        let fft = if from == to {
            None
        } else {
            Some(Fft::new(from as usize, to as usize, STEP, channels, FixedSync::Both).ok()?)
        };
        let delay = fft.as_ref().map_or(0, rubato::Resampler::output_delay);
        let step = vec![0.0; fft.as_ref().map_or(0, rubato::Resampler::output_frames_max) * channels];
        Some(Self { fft, channels, from, to, waiting: Vec::new(), step, delay, frames_in: 0, frames_out: 0 })
    }

    /// Takes interleaved frames and appends what is ready to `out`.
    pub(crate) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.frames_in += (samples.len() / self.channels) as u64;
        if self.fft.is_none() {
            out.extend_from_slice(samples);
            return;
        }
        self.waiting.extend_from_slice(samples);
        self.drain(out, u64::MAX);
    }

    /// Appends the rest, so that the whole output is as long as the input.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) {
        let Some(fft) = &self.fft else { return };
        let due = (self.frames_in * u64::from(self.to)).div_ceil(u64::from(self.from));
        let step = fft.input_frames_next() * self.channels;
        while self.frames_out < due {
            let missing = step - self.waiting.len() % step;
            self.waiting.extend(std::iter::repeat_n(0.0, missing));
            self.drain(out, due);
        }
    }

    fn drain(&mut self, out: &mut Vec<f32>, due: u64) {
        let Some(fft) = &mut self.fft else { return };
        let need = fft.input_frames_next() * self.channels;
        let mut used = 0;
        while let Some(input) = self.waiting.get(used..used + need) {
            used += need;
            let frames = fft.output_frames_next();
            let written = InterleavedSlice::new(input, self.channels, need / self.channels).ok().and_then(|input| {
                let mut output = InterleavedSlice::new_mut(&mut self.step, self.channels, frames).ok()?;
                fft.process_into_buffer(&input, &mut output, None).ok()
            });
            // The sizes are those that rubato asks for, so this cannot fail.
            let frames = written.map_or(0, |(_, frames)| frames);
            let skip = self.delay.min(frames);
            self.delay -= skip;
            let wanted = usize::try_from(due - self.frames_out).unwrap_or(usize::MAX).min(frames - skip);
            out.extend_from_slice(&self.step[skip * self.channels..(skip + wanted) * self.channels]);
            self.frames_out += wanted as u64;
        }
        self.waiting.drain(..used);
    }
}
