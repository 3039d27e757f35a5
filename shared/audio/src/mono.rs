//! Sound in the form that speech recognisers are trained on: 16 kHz, mono, 16 bits. More is thrown away by them.

use std::io;

use crate::layout::{Downmix, Form};
use crate::resample::Resampler;

/// Samples a second.
pub(crate) const RATE: u32 = 16_000;

/// Turns sound of any form into that.
#[derive(Default)]
pub(crate) struct Mono {
    from: Option<From>,
    mixed: Vec<f32>,
    resampled: Vec<f32>,
}

struct From {
    form: Form,
    downmix: Downmix,
    resampler: Resampler,
}

impl Mono {
    /// Appends what is ready of `samples` to `out`. Where the form changes, what was before is completed.
    pub(crate) fn push(&mut self, form: &Form, samples: &[f32], out: &mut Vec<i16>) -> io::Result<()> {
        if self.from.as_ref().is_some_and(|from| from.form != *form) {
            self.finish(out);
        }
        let from = match &mut self.from {
            Some(from) => from,
            none => none.insert(From {
                form: form.clone(),
                downmix: Downmix::new(&form.roles, 1),
                resampler: Resampler::new(form.rate, RATE, 1)
                    .ok_or_else(|| io::Error::other("a sample rate that cannot be converted"))?,
            }),
        };
        self.mixed.clear();
        from.downmix.append(samples, &mut self.mixed);
        self.resampled.clear();
        from.resampler.push(&self.mixed, &mut self.resampled);
        self.append(out);
        Ok(())
    }

    /// Appends the rest, so that `out` is as long as what came in.
    pub(crate) fn finish(&mut self, out: &mut Vec<i16>) {
        if let Some(mut from) = self.from.take() {
            self.resampled.clear();
            from.resampler.finish(&mut self.resampled);
            self.append(out);
        }
    }

    fn append(&self, out: &mut Vec<i16>) {
        // `as` saturates and maps NaN to 0.
        out.extend(self.resampled.iter().map(|sample| (sample * 32_768.0).round() as i16));
    }
}
