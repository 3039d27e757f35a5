//! What is made, and whether it is what it says.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::harness::{Run, expected, fixture, made, run, run_as, run_bytes, samples};
use capstan_audio::RenditionKind::{Peaks, Playback, Transcription};
use capstan_audio::TranscriptionRendition::{Always, WhenNeeded};
use capstan_audio::{Job, process};

fn flac_of(name: &str) -> Vec<i16> {
    let flac = made(&run_as(name, Always), Transcription).unwrap();
    assert_eq!(&flac[..4], b"fLaC");
    // MD5 of STREAMINFO: 16 bytes behind 4 + 4 + 18 (RFC 9639, section 8.2). 0 would be "unknown".
    assert_ne!(&flac[26..42], &[0; 16], "{name}");
    samples(flac)
}

/// Signal to noise in dB of `ours` against `reference`.
fn snr(ours: &[i16], reference: &[i16]) -> f64 {
    let signal: f64 = reference.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    let noise: f64 = ours.iter().zip(reference).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (signal / noise.max(1e-9)).log10()
}

#[test]
fn lossless_audio_keeps_every_bit_in_the_transcription_rendition() {
    let speech = samples(fixture("flac-16k-mono.flac"));
    for name in ["flac-16k-mono.flac", "flac.ogg", "alac.m4a"] {
        assert_eq!(flac_of(name), speech, "{name}");
    }
    assert_eq!(flac_of("wav-s16.wav"), speech[..24_000]);
}

#[test]
fn the_transcription_rendition_matches_ffmpeg() {
    for (name, least_db) in [
        ("mp3-16k-mono.mp3", 90.0),
        ("aac-16k-mono.m4a", 90.0),
        ("vorbis-16k-mono.ogg", 90.0),
        // ffmpeg decodes this in floating point at 48 kHz and resamples.
        ("opus-16k-mono.ogg", 40.0),
        // Resampled from 44.1 kHz by filters that differ between 7 and 8 kHz.
        ("mp3-44k-mono.mp3", 35.0),
    ] {
        let reference = expected()[name].reference.clone().unwrap();
        let (ours, theirs) = (flac_of(name), samples(fixture(&reference)));
        assert!(ours.len().abs_diff(theirs.len()) <= 1024, "{name}: {} and {}", ours.len(), theirs.len());
        let db = snr(&ours, &theirs);
        assert!(db >= least_db, "{name}: {db:.1} dB");
    }
}

#[test]
fn the_transcription_rendition_is_as_long_as_the_recording() {
    for name in ["mp3-44k-vbr.mp3", "wav-8-channels.wav", "flac-192k.flac", "opus-48k-stereo.ogg", "wav-u8.wav"] {
        let run = run_as(name, Always);
        let seconds = run.0.as_ref().unwrap().analysis.duration_ms as f64 / 1000.0;
        let count = samples(made(&run, Transcription).unwrap()).len() as f64;
        assert!((count / 16_000.0 - seconds).abs() < 0.001, "{name}: {count} samples, {seconds} s");
    }
}

#[test]
fn no_transcription_rendition_if_providers_take_the_original() {
    for (name, needed) in [
        ("opus-16k-mono.ogg", false),
        ("opus.webm", false),
        ("wav-s16.wav", false),
        ("mp3-16k-mono.mp3", false),
        ("flac-16k-mono.flac", false),
        ("aac-16k-mono.m4a", false),
        ("video-aac.mp4", false),
        ("aac-adts.aac", true),
        ("vorbis-16k-mono.ogg", true),
        ("vorbis.webm", true),
        ("opus-51.ogg", true),
        ("wav-8-channels.wav", true),
        ("wav-adpcm.wav", true),
        ("alac.m4a", true),
        ("opus.mka", true),
    ] {
        assert_eq!(made(&run_as(name, WhenNeeded), Transcription).is_some(), needed, "{name}");
        assert!(made(&run_as(name, Always), Transcription).is_some(), "{name}");
    }
}

#[test]
fn no_playback_rendition_if_browsers_play_the_original() {
    for (name, needed) in [
        ("opus-16k-mono.ogg", false),
        ("opus.webm", false),
        ("mp3-44k-vbr.mp3", false),
        ("aac-16k-mono.m4a", false),
        ("video-aac.mp4", false),
        ("aac-adts.aac", false),
        ("wav-s16.wav", true),
        ("flac-16k-mono.flac", true),
        ("alac.m4a", true),
        ("vorbis-44k-stereo.ogg", true),
        ("opus-51.ogg", true),
        ("opus.mka", true),
    ] {
        assert_eq!(made(&run(name), Playback).is_some(), needed, "{name}");
    }
}

#[test]
fn very_long_audio_gets_no_playback_rendition() {
    let scratch = tempfile::tempdir().unwrap();
    let data = fixture("wav-s16.wav");
    let length = data.len() as u64;
    let job = Job { scratch: scratch.path(), longest: Duration::ZERO, transcription: Always };
    let in_haste = process(Cursor::new(data), length, &job, &mut |_| ControlFlow::Continue(())).unwrap();
    let kinds: Vec<_> = in_haste.renditions.iter().map(|rendition| rendition.kind).collect();
    assert_eq!(kinds, [Peaks, Transcription]);
    assert_eq!(in_haste.analysis, run("wav-s16.wav").0.unwrap().analysis);
}

#[test]
fn the_playback_rendition_keeps_length_and_loudness() {
    for (name, channels) in [
        ("wav-s16.wav", 1),
        ("wav-s16-stereo.wav", 2),
        ("wav-u8.wav", 1),
        ("wav-f32.wav", 1),
        ("flac-192k.flac", 1),
        ("vorbis-44k-stereo.ogg", 2),
        ("wav-8-channels.wav", 2),
    ] {
        let run = run(name);
        let original = run.0.as_ref().unwrap().analysis.clone();
        let playback = made(&run, Playback).unwrap();
        let again = run_bytes(playback, WhenNeeded).0.unwrap().analysis;
        assert_eq!(again.duration_ms, original.duration_ms, "{name}");
        assert_eq!((again.codec.as_str(), again.channels), ("opus", channels), "{name}");
        // A downmix of eight channels is quieter by its headroom.
        if original.channels <= 2 {
            let (a, b) = (again.loudness_lufs.unwrap(), original.loudness_lufs.unwrap());
            assert!((a - b).abs() < 1.0, "{name}: {a} and {b}");
        }
    }
}

fn peaks_of(run: &Run) -> serde_json::Value {
    serde_json::from_slice(&made(run, Peaks).unwrap()).unwrap()
}

#[test]
fn peaks_are_those_of_the_audiowaveform_algorithm() {
    for name in ["wav-s16", "wav-s16-stereo"] {
        let stated: serde_json::Value = serde_json::from_slice(&fixture(&format!("peaks-{name}.json"))).unwrap();
        assert_eq!(peaks_of(&run(&format!("{name}.wav"))), stated, "{name}");
    }
}

#[test]
fn peaks_state_as_many_points_as_they_have() {
    for name in ["opus-16k-mono.ogg", "mp3-44k-vbr.mp3", "wav-8-channels.wav"] {
        let peaks = peaks_of(&run(name));
        let points = peaks["data"].as_array().unwrap().len() as u64 / 2;
        assert_eq!(peaks["length"].as_u64(), Some(points), "{name}");
        let seconds =
            points as f64 * peaks["samples_per_pixel"].as_f64().unwrap() / peaks["sample_rate"].as_f64().unwrap();
        let length = run(name).0.unwrap().analysis.duration_ms as f64 / 1000.0;
        assert!((seconds - length).abs() <= 0.05, "{name}: {seconds} s of {length} s");
    }
}
