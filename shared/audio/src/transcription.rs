//! The transcription rendition: FLAC, 16 kHz, mono, 16 bits.

use std::io;
use std::path::Path;

use crate::flac::Flac;
use crate::layout::Form;
use crate::mono::Mono;

pub(crate) struct Transcription {
    form: Form,
    mono: Mono,
    samples: Vec<i16>,
    flac: Flac,
}

impl Transcription {
    pub(crate) fn create(path: &Path, form: &Form) -> io::Result<Self> {
        let flac = Flac::create(path)?;
        Ok(Self { form: form.clone(), mono: Mono::default(), samples: Vec::new(), flac })
    }

    pub(crate) fn add(&mut self, samples: &[f32]) -> io::Result<()> {
        self.samples.clear();
        self.mono.push(&self.form, samples, &mut self.samples)?;
        self.flac.add(&self.samples)
    }

    /// Completes the file and returns its size in bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.samples.clear();
        self.mono.finish(&mut self.samples);
        self.flac.add(&self.samples)?;
        self.flac.finish()
    }
}
