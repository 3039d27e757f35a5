//! Where long sound is cut, and that nothing is lost between the chunks.

use std::io::Cursor;
use std::ops::ControlFlow::{Break, Continue};

use crate::harness::samples;
use capstan_audio::{AudioError, Chunk, CutJob, Cutting, cut};
use proptest::prelude::*;

const RATE: usize = 16_000;
const PER_MS: usize = RATE / 1000;

/// The chunks with their samples, which are decoded apart from the crate's own code, checksums and all.
fn chunks_of(file: &[u8], longest_ms: u64, largest_bytes: u64) -> Vec<(Chunk, Vec<i16>)> {
    let scratch = tempfile::tempdir().unwrap();
    let job = CutJob { scratch: scratch.path(), longest_ms, largest_bytes };
    let mut chunks = Vec::new();
    let end_ms = cut(Cursor::new(file), file.len() as u64, &job, &mut |news| {
        if let Cutting::Chunk(chunk) = news {
            let flac = std::fs::read(&chunk.path).unwrap();
            assert_eq!(flac.len() as u64, chunk.size_bytes);
            // Whoever is done with a chunk may remove it.
            std::fs::remove_file(&chunk.path).unwrap();
            chunks.push((chunk, samples(flac)));
        }
        Continue(())
    });
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing else is left behind");
    assert_eq!(chunks.last().unwrap().0.end_ms, end_ms.unwrap());
    chunks
}

fn wav(samples: &[i16]) -> Vec<u8> {
    let size = u32::try_from(samples.len() * 2).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    file.extend(size.to_le_bytes());
    samples.iter().for_each(|sample| file.extend(sample.to_le_bytes()));
    file
}

/// The shipped sample of real speech, again and again.
fn speech(seconds: usize) -> Vec<i16> {
    let ogg = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/local/sample/spoken.ogg")).unwrap();
    let once = chunks_of(&ogg, u64::MAX, u64::MAX).remove(0).1;
    once.iter().copied().cycle().take(seconds * RATE).collect()
}

fn noise(count: usize, seed: u32) -> Vec<i16> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16 / 2
    })
    .take(count)
    .collect()
}

fn level_db(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|sample| (f64::from(*sample) / 32_768.0).powi(2)).sum();
    10.0 * (energy / samples.len() as f64).max(1e-12).log10()
}

/// Every chunk is the part of the whole that it says it is, and together they are all of it.
fn assert_whole(whole: &[i16], chunks: &[(Chunk, Vec<i16>)]) {
    let mut end = 0;
    for (chunk, samples) in chunks {
        let start = usize::try_from(chunk.start_ms).unwrap() * PER_MS;
        assert!(start <= end, "a gap before {chunk:?}");
        end = start + samples.len();
        assert_eq!(chunk.end_ms, end.div_ceil(PER_MS) as u64);
        assert!(samples[..] == whole[start..end], "other sound in {chunk:?}");
    }
    assert_eq!(end, whole.len());
}

#[test]
fn speech_is_cut_at_pauses() {
    let whole = speech(900);
    let loud = level_db(&whole);
    for longest_ms in [30_000, 100_000, 400_000] {
        let chunks = chunks_of(&wav(&whole), longest_ms, u64::MAX);
        assert_whole(&whole, &chunks);
        assert!(chunks.len() >= whole.len() / PER_MS / usize::try_from(longest_ms).unwrap());
        for pair in chunks.windows(2) {
            assert_eq!(pair[0].0.end_ms, pair[1].0.start_ms, "no overlap where there is a pause");
            let at = usize::try_from(pair[1].0.start_ms).unwrap() * PER_MS;
            // At least 300 ms of pause, cut in its middle.
            let around = level_db(&whole[at - 140 * PER_MS..at + 140 * PER_MS]);
            assert!(around < loud - 20.0, "{around} dB at {} ms, speech has {loud} dB", pair[1].0.start_ms);
        }
        for (chunk, _) in &chunks {
            assert!(chunk.end_ms - chunk.start_ms <= longest_ms);
        }
        let samples: usize = chunks.iter().map(|(_, samples)| samples.len()).sum();
        assert_eq!(samples, whole.len());
    }
}

#[test]
fn chunks_overlap_without_a_pause() {
    let whole = noise(RATE * 200, 7);
    let chunks = chunks_of(&wav(&whole), 60_000, u64::MAX);
    assert_whole(&whole, &chunks);
    let overlaps: Vec<_> = chunks.windows(2).map(|pair| pair[0].0.end_ms - pair[1].0.start_ms).collect();
    assert_eq!(overlaps, [5_000; 3]);
    let samples: usize = chunks.iter().map(|(_, samples)| samples.len()).sum();
    assert_eq!(samples, whole.len() + 3 * 5 * RATE);
}

#[test]
fn no_piece_is_larger_than_asked_for_even_of_noise() {
    let whole = noise(RATE * 120, 3);
    let chunks = chunks_of(&wav(&whole), u64::MAX, 1_000_000);
    assert_whole(&whole, &chunks);
    assert!(chunks.iter().all(|(chunk, _)| chunk.size_bytes <= 1_000_000), "{:?}", chunks[0].0);
    assert!(chunks[0].0.size_bytes > 900_000, "the size is used: {:?}", chunks[0].0);
}

#[test]
fn a_pause_of_a_noisy_room_is_a_pause() {
    let mut whole = speech(120);
    for (sample, hiss) in whole.iter_mut().zip(noise(120 * RATE, 11)) {
        *sample = sample.saturating_add(hiss / 100);
    }
    let chunks = chunks_of(&wav(&whole), 40_000, u64::MAX);
    assert_whole(&whole, &chunks);
    assert!(chunks.windows(2).all(|pair| pair[0].0.end_ms == pair[1].0.start_ms));
}

#[test]
fn short_audio_is_one_chunk() {
    let whole = speech(9);
    let chunks = chunks_of(&wav(&whole), 10_000, u64::MAX);
    assert_eq!((chunks.len(), chunks[0].0.start_ms, chunks[0].0.end_ms), (1, 0, 9_000));
}

#[test]
fn whoever_breaks_is_obeyed() {
    let file = wav(&speech(60));
    let scratch = tempfile::tempdir().unwrap();
    let job = CutJob { scratch: scratch.path(), longest_ms: 10_000, largest_bytes: u64::MAX };
    let mut chunks = 0;
    let result = cut(Cursor::new(&file), file.len() as u64, &job, &mut |news| match news {
        Cutting::Chunk(_) => {
            chunks += 1;
            Break(())
        }
        Cutting::Progress(_) => Continue(()),
    });
    assert!(matches!(result, Err(AudioError::Source(_))));
    assert_eq!(chunks, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn nothing_is_lost_whatever_the_pauses(
        parts in prop::collection::vec((1u32..60_000, prop::sample::select(vec![0i16, 1, 30, 200])), 1..60),
        longest_ms in 10_000u64..60_000,
        largest_bytes in 1_000_000u64..3_000_000,
    ) {
        let whole: Vec<i16> = parts
            .iter()
            .flat_map(|(length, volume)| noise(*length as usize, *length).into_iter().map(|sample| (i32::from(sample) * i32::from(*volume) / 200) as i16))
            .collect();
        let chunks = chunks_of(&wav(&whole), longest_ms, largest_bytes);
        assert_whole(&whole, &chunks);
        for (chunk, _) in &chunks {
            prop_assert!(chunk.end_ms - chunk.start_ms <= longest_ms);
            prop_assert!(chunk.size_bytes <= largest_bytes);
        }
        for (chunk, _) in &chunks[1..] {
            prop_assert!(chunk.end_ms - chunk.start_ms >= 1_000);
        }
    }
}
