//! What the fuzz targets share.
//!
//! Demuxers and decoders of other authors may panic: the crates catch that, and the file fails. A panic in the crates' own
//! code, an endless loop and too much memory are findings.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use capstan_audio::{AudioError, Job, TranscriptionRendition, process};
use libfuzzer_sys::Corpus;
use tempfile::TempDir;

static SCRATCH: LazyLock<TempDir> = LazyLock::new(|| {
    let in_memory = PathBuf::from("/dev/shm");
    let directory = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    directory.expect("a scratch directory")
});

/// Aborts on a panic in the project's code only. libFuzzer aborts on every panic, also where it is caught.
pub fn init() {
    std::panic::set_hook(Box::new(|panic| {
        let is_own =
            panic.location().is_some_and(|at| !["/registry/", "/rustc/"].iter().any(|of| at.file().contains(of)));
        if is_own {
            eprintln!("{panic}");
            std::process::abort();
        }
    }));
}

/// Processes `data` if it is of the target's kind.
pub fn audio(data: &[u8], is_of_this_kind: impl Fn(&[u8]) -> bool) -> Corpus {
    if !is_of_this_kind(data) {
        return Corpus::Reject;
    }
    let job = Job {
        scratch: SCRATCH.path(),
        // No playback rendition: its encoder takes most of the time and parses nothing.
        longest: Duration::ZERO,
        transcription: TranscriptionRendition::WhenNeeded,
    };
    let length = data.len() as u64;
    match process(Cursor::new(data), length, &job, &mut |_| ControlFlow::Continue(())) {
        Ok(done) => {
            assert!(done.analysis.channels > 0);
            assert!(done.analysis.loudness_lufs.is_none_or(f64::is_finite));
        }
        // It would be tried again for nothing: the bytes are all there.
        Err(error) => assert!(!matches!(error, AudioError::Source(_) | AudioError::Scratch(_)), "{error}"),
    }
    Corpus::Keep
}

/// Reads the header of `data` if it is of the target's kind.
pub fn image(data: &[u8], is_of_this_kind: impl Fn(&[u8]) -> bool) -> Corpus {
    if !is_of_this_kind(data) {
        return Corpus::Reject;
    }
    if let Ok(facts) = capstan_image::inspect(Cursor::new(data)) {
        assert!(facts.width > 0 && facts.height > 0);
    }
    Corpus::Keep
}
