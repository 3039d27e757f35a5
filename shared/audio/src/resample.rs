//! A streaming resampler without delay: the first output frame is the first input frame.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// Input frames per step, at least.
const STEP: usize = 1024;
/// Rates that have next to nothing in common with the wanted one need steps of their whole length.
/// Beyond this one they are taken for a multiple of four, wrong by less than 0.01%.
const LONGEST_PERIOD: usize = 48_000;

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
            let (from, to) = (from as usize, to as usize);
            // The smallest step that divides both rates, an even number of times: the filter of an
            // odd step would delay by half a frame, which could not be taken back.
            let from = if from / greatest_common_divisor(from, to) > LONGEST_PERIOD { from / 4 * 4 } else { from };
            let smallest = from / greatest_common_divisor(from, to);
            let step = smallest * STEP.div_ceil(2 * smallest) * 2;
            Some(Fft::new(from, to, step, channels, FixedSync::Both).ok()?)
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
            let before = (self.frames_out, self.delay);
            self.drain(out, due);
            if before == (self.frames_out, self.delay) {
                return;
            }
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

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a.max(1) } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: u32, frames: usize) -> Vec<f32> {
        (0..frames)
            .map(|index| (0.5 * (std::f64::consts::TAU * 1000.0 * index as f64 / f64::from(rate)).sin()) as f32)
            .collect()
    }

    #[test]
    fn resampling_keeps_position_and_shape_of_a_tone() {
        for (from, to) in
            [(44_100, 16_000), (48_000, 16_000), (11_025, 16_000), (8_000, 16_000), (22_050, 24_000), (192_000, 48_000)]
        {
            let input = sine(from, from as usize * 2);
            let mut resampler = Resampler::new(from, to, 1).unwrap();
            let mut output = Vec::new();
            // Chunks of uneven length, as packets come.
            for chunk in input.chunks(777) {
                resampler.push(chunk, &mut output);
            }
            resampler.finish(&mut output);
            let ideal = sine(to, to as usize * 2);
            assert_eq!(output.len(), ideal.len(), "{from} to {to}");
            // The filter rings at the hard edges; in between it must be the same tone.
            let inner = to as usize / 10..to as usize * 19 / 10;
            let power = |samples: &mut dyn Iterator<Item = f64>| samples.map(|value| value * value).sum::<f64>();
            let noise = power(&mut inner.clone().map(|index| f64::from(output[index] - ideal[index])));
            let signal = power(&mut inner.map(|index| f64::from(ideal[index])));
            let db = 10.0 * (signal / noise).log10();
            assert!(db > 90.0, "{from} to {to}: {db:.1} dB");
        }
    }
}
