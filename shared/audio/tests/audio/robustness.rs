//! No bytes and no source may do harm.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness::{LONGEST, fixture, fixtures, run_without_own_panic};
use capstan_audio::TranscriptionRendition::{Always, WhenNeeded};
use capstan_audio::{AudioError, Job, process};
use proptest::prelude::*;

/// Counts seeks, and fails from a given position on.
struct Watched {
    data: Cursor<Vec<u8>>,
    fails_at: u64,
    seeks: Arc<AtomicU64>,
}

impl Watched {
    fn new(name: &str, fails_at: u64) -> (Self, u64, Arc<AtomicU64>) {
        let data = fixture(name);
        let (length, seeks) = (data.len() as u64, Arc::new(AtomicU64::new(0)));
        (Self { data: Cursor::new(data), fails_at, seeks: Arc::clone(&seeks) }, length, seeks)
    }
}

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.data.position() >= self.fails_at {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        // Short reads, as a network gives.
        let room = buf.len().min(1000);
        self.data.read(&mut buf[..room])
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.seeks.fetch_add(1, Ordering::Relaxed);
        self.data.seek(to)
    }
}

fn in_scratch<S: Read + Seek + Send + Sync>(source: S, length: u64) -> Result<capstan_audio::Processed, AudioError> {
    let scratch = tempfile::tempdir().unwrap();
    process(source, length, &Job { scratch: scratch.path(), longest: LONGEST, transcription: WhenNeeded }, &mut |_| {
        std::ops::ControlFlow::Continue(())
    })
}

#[test]
fn a_failing_source_is_not_the_files_fault() {
    for name in fixtures() {
        let (source, length, _) = Watched::new(&name, 100);
        // Shorter ones come whole with the first read.
        if length <= 1000 {
            continue;
        }
        assert!(matches!(in_scratch(source, length), Err(AudioError::Source(_))), "{name}");
    }
    // The head is read at once; behind it a failure must not pass for the end of the file.
    let data = fixture("wav-8-channels.wav");
    let (source, length, _) = Watched::new("wav-8-channels.wav", data.len() as u64 * 2 / 3);
    assert!(matches!(in_scratch(source, length), Err(AudioError::Source(_))));
}

#[test]
fn a_source_that_ends_early_has_failed() {
    let mut data = fixture("wav-8-channels.wav");
    let length = data.len() as u64;
    data.truncate(data.len() * 2 / 3);
    assert!(matches!(in_scratch(Cursor::new(data), length), Err(AudioError::Source(_))));
}

#[test]
fn a_missing_scratch_directory_is_not_the_files_fault() {
    let data = fixture("wav-s16.wav");
    let length = data.len() as u64;
    let job =
        Job { scratch: std::path::Path::new("/nonexistent/scratch"), longest: LONGEST, transcription: WhenNeeded };
    assert!(matches!(
        process(Cursor::new(data), length, &job, &mut |_| std::ops::ControlFlow::Continue(())),
        Err(AudioError::Scratch(_))
    ));
}

#[test]
fn reads_forwards_with_few_seeks() {
    // Larger than the part that stays in memory, so that going back would be seen.
    for (name, most) in [("wav-8-channels.wav", 1), ("flac-192k.flac", 1), ("opus-51.ogg", 1)] {
        let (source, length, seeks) = Watched::new(name, u64::MAX);
        in_scratch(source, length).unwrap();
        assert!(seeks.load(Ordering::Relaxed) <= most, "{name}: {seeks:?}");
    }
    let mut data = fixture("aac-moov-at-end.m4a");
    // 12 MiB in the media box, as of a long recording, before the index.
    let moov = data.windows(4).position(|kind| kind == b"moov").unwrap() - 4;
    let padding = vec![0; 12 << 20];
    let mdat = data.windows(4).position(|kind| kind == b"mdat").unwrap() - 4;
    let size = u32::from_be_bytes(data[mdat..mdat + 4].try_into().unwrap()) + padding.len() as u32;
    data[mdat..mdat + 4].copy_from_slice(&size.to_be_bytes());
    data.splice(moov..moov, padding);
    let length = data.len() as u64;
    let seeks = Arc::new(AtomicU64::new(0));
    let source = Watched { data: Cursor::new(data), fails_at: u64::MAX, seeks: Arc::clone(&seeks) };
    assert_eq!(in_scratch(source, length).unwrap().analysis.duration_ms, 2500);
    assert!(seeks.load(Ordering::Relaxed) <= 4, "{seeks:?}");
}

#[test]
fn progress_grows_to_one() {
    let data = fixture("wav-8-channels.wav");
    let length = data.len() as u64;
    let scratch = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let job = Job { scratch: scratch.path(), longest: LONGEST, transcription: WhenNeeded };
    process(Cursor::new(data), length, &job, &mut |fraction| {
        seen.push(fraction);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert!(seen.is_sorted() && seen.len() > 5 && seen.first().unwrap() < &0.6, "{seen:?}");
    assert_eq!(seen.last(), Some(&1.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A panic in a demuxer or decoder makes the file fail; one in the crate itself is a fault of the crate.
    #[test]
    fn damaged_files_never_panic(
        file in any::<prop::sample::Index>(),
        cut in 0.2_f64..1.0,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        in_header in any::<bool>(),
    ) {
        let names = fixtures();
        let mut data = fixture(&names[file.index(names.len())]);
        data.truncate((data.len() as f64 * cut) as usize);
        let range = if in_header { data.len().min(300) } else { data.len() };
        if range > 0 {
            for (at, byte) in edits {
                data[at.index(range)] = byte;
            }
        }
        let done = run_without_own_panic(data, Always).0;
        if let Ok(done) = done {
            prop_assert!(done.analysis.loudness_lufs.is_none_or(f64::is_finite));
            prop_assert!(done.analysis.duration_ms < 3_600_000);
        }
    }

    #[test]
    fn random_bytes_behind_a_known_start_never_panic(
        start in prop::sample::select(vec![&b"OggS\0\x02"[..], b"RIFF\0\0\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"\0\0\0\x18ftypM4A ", b"\x1a\x45\xdf\xa3", b"ID3\x03\0\0", b"\xff\xfb\x90\0", b"\xff\xf1\x50\x80"]),
        rest in prop::collection::vec(any::<u8>(), 0..4000),
    ) {
        let mut data = start.to_vec();
        data.extend(rest);
        let _ = run_without_own_panic(data, WhenNeeded);
    }
}
