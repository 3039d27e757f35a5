//! Every file of `fixtures/` against what ffprobe and ffmpeg say of it (`expected.json`).

use crate::harness::{expected, fixture, fixtures, made, run, run_as};
use capstan_audio::{AudioError, RenditionKind, TranscriptionRendition};

/// The longest frame of the codecs: AAC at 16 kHz has 64 ms, MP3 and Opus less.
const FRAME_MS: f64 = 64.0;

/// Damaged on purpose, or read in another way than ffmpeg does; each has its own test.
fn is_plain(name: &str) -> bool {
    !["damaged", "bad-page", "gapped", "truncated", "chained", "he-aac", "short"].iter().any(|kind| name.contains(kind))
}

#[test]
fn reads_duration_codec_rate_and_channels_of_every_fixture() {
    let mut seen = 0;
    for (name, expected) in expected() {
        if !is_plain(&name) {
            continue;
        }
        let (done, _scratch) = run(&name);
        let analysis = done.unwrap_or_else(|error| panic!("{name}: {error}")).analysis;
        let off = (analysis.duration_ms as f64 - expected.decoded_s * 1000.0).abs();
        assert!(off <= FRAME_MS, "{name}: {} ms, ffmpeg decodes {} s", analysis.duration_ms, expected.decoded_s);
        assert_eq!(analysis.codec.as_str(), expected.codec, "{name}");
        assert_eq!(analysis.sample_rate_hz, expected.sample_rate_hz, "{name}");
        assert_eq!(analysis.channels, expected.channels, "{name}");
        seen += 1;
    }
    assert!(seen >= 35, "only {seen} fixtures");
}

#[test]
fn encoder_delay_and_padding_are_cut_to_the_millisecond() {
    for name in [
        "opus-16k-mono.ogg",
        "opus-48k-stereo.ogg",
        "opus-51.ogg",
        "opus.mp4",
        "mp3-16k-mono.mp3",
        "mp3-44k-vbr.mp3",
        "aac-16k-mono.m4a",
        "aac-moov-at-end.m4a",
        "video-aac.mp4",
        "vorbis-16k-mono.ogg",
    ] {
        assert_eq!(run(name).0.unwrap().analysis.duration_ms, 2500, "{name}");
    }
}

#[test]
fn loudness_agrees_with_ffmpeg_within_half_a_unit() {
    for (name, expected) in expected() {
        if !is_plain(&name) {
            continue;
        }
        let loudness = run(&name).0.unwrap().analysis.loudness_lufs;
        match (loudness, expected.loudness_lufs) {
            (Some(ours), Some(theirs)) => assert!((ours - theirs).abs() <= 0.5, "{name}: {ours} and {theirs}"),
            (ours, theirs) => assert_eq!(ours, theirs, "{name}"),
        }
    }
}

#[test]
fn silence_has_no_loudness() {
    let analysis = run("silence.ogg").0.unwrap().analysis;
    assert_eq!((analysis.loudness_lufs, analysis.duration_ms), (None, 2000));
}

#[test]
fn the_output_gain_of_an_opus_header_is_applied() {
    let plain = run("opus-16k-mono.ogg").0.unwrap().analysis.loudness_lufs.unwrap();
    let quieter = run("opus-gain.ogg").0.unwrap().analysis.loudness_lufs.unwrap();
    assert!((plain - quieter - 6.0).abs() < 0.05, "{plain} and {quieter}");
}

#[test]
fn links_of_a_chained_ogg_follow_each_other() {
    assert_eq!(run("opus-chained.ogg").0.unwrap().analysis.duration_ms, 5000);
}

#[test]
fn content_decides_not_the_name() {
    assert_eq!(run("mislabelled-mp3.wav").0.unwrap().analysis.codec.as_str(), "mp3");
}

#[test]
fn a_truncated_file_is_processed_to_its_end() {
    for (name, at_least, below) in [
        ("opus-truncated.ogg", 1700, 1900),
        ("mp3-truncated.mp3", 1650, 1800),
        ("flac-truncated.flac", 1600, 1800),
        ("mp4-truncated.m4a", 1800, 2000),
        ("webm-truncated.webm", 1700, 1900),
        ("wav-4gb-claim.wav", 1500, 1501),
        ("wav-unfinished.wav", 1500, 1501),
        ("wav-rf64.wav", 1500, 1501),
    ] {
        let length = run(name).0.unwrap().analysis.duration_ms;
        assert!((at_least..below).contains(&length), "{name}: {length} ms");
    }
}

#[test]
fn missing_and_damaged_parts_keep_their_time() {
    for name in ["opus-gapped.ogg", "opus-bad-page.ogg", "flac-damaged-inside.flac"] {
        assert_eq!(run(name).0.unwrap().analysis.duration_ms, 2500, "{name}");
    }
    // MP3 states no time: what cannot be found is not there.
    let length = run("mp3-damaged-inside.mp3").0.unwrap().analysis.duration_ms;
    assert!((2400..=2500).contains(&length), "{length} ms");
}

#[test]
fn a_gap_is_silence_where_the_pages_are_missing() {
    let peaks = |name| made(&run_as(name, TranscriptionRendition::WhenNeeded), RenditionKind::Peaks).unwrap();
    let data = |json: Vec<u8>| -> Vec<i8> {
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        json["data"].as_array().unwrap().iter().map(|value| value.as_i64().unwrap() as i8).collect()
    };
    let (whole, gapped) = (data(peaks("opus-16k-mono.ogg")), data(peaks("opus-gapped.ogg")));
    // Pages 12 to 16 of five packets of 20 ms, behind two header pages: 1.0 s to 1.5 s.
    // At 16 kHz, a point of 512 frames is 32 ms.
    let (from, to) = (33 * 2, 45 * 2);
    assert!(gapped[from..to].iter().all(|peak| *peak == 0), "{:?}", &gapped[from..to]);
    assert!(whole[from..to].iter().any(|peak| peak.abs() > 10));
    assert_eq!(gapped[50 * 2..], whole[50 * 2..], "sound after the gap is where it was");
}

#[test]
fn less_than_a_second_is_too_short_and_says_how_long() {
    match run("short.wav").0 {
        Err(AudioError::TooShort { analysis }) => assert_eq!(analysis.duration_ms, 600),
        other => panic!("{other:?}"),
    }
}

#[test]
fn unusable_audio_is_refused_with_a_clear_message() {
    let words = |name: &str| run(name).0.map(|done| done.analysis).map_err(|error| error.to_string());
    const CUT_OFF: &str = "The file is cut off or damaged before its audio begins: upload the whole file";
    for (name, stated) in [
        ("empty.bin", "The file is empty: upload it again"),
        ("random.bin", "This is not an audio file of a supported type"),
        ("zeros.bin", "This is not an audio file of a supported type"),
        ("text.bin", "This is not an audio file of a supported type"),
        ("opus-headers-only.ogg", CUT_OFF),
        ("mp4-no-moov.m4a", CUT_OFF),
        ("video-silent.mp4", "This video has no audio"),
        ("../../image/fixtures/photo.png", "This is a PNG image, not audio"),
        ("../../image/fixtures/photo.jpg", "This is a JPEG image, not audio"),
        ("hostile-wav-0-channels.wav", CUT_OFF),
        ("hostile-wav-65535-channels.wav", CUT_OFF),
        ("hostile-wav-0-hz.wav", "The file is damaged: less than half of its audio can be decoded"),
        ("hostile-wav-4ghz.wav", "Audio with 4294967295 samples per second is not supported: 4000 to 192000 are"),
        ("hostile-wav-0-bits.wav", CUT_OFF),
        ("hostile-wav-unknown-codec.wav", "The audio codec of this file is not supported"),
        ("hostile-mp4-sample-count.m4a", CUT_OFF),
        ("hostile-mp4-sample-size.m4a", CUT_OFF),
        ("hostile-mp4-box-size.m4a", "This file has no audio of a supported kind"),
        ("hostile-webm-giant-element.webm", CUT_OFF),
    ] {
        let error = words(name).unwrap_err();
        assert_eq!(error.strip_suffix(". Send Opus, AAC-LC, MP3, FLAC or WAV").unwrap_or(&error), stated, "{name}");
    }
    // A block size of 0 is filled in from the other fields: 128 ms of noise remain.
    assert!(matches!(run("hostile-wav-0-block.wav").0, Err(AudioError::TooShort { .. })));
}

#[test]
fn he_aac_is_decoded_as_its_core() {
    // Made from AAC-LC by a configuration that states an extension, which is not there.
    let analysis = run("he-aac.m4a").0.unwrap().analysis;
    assert_eq!((analysis.codec.as_str(), analysis.sample_rate_hz, analysis.duration_ms), ("he_aac", 16_000, 2500));
}

#[test]
fn every_fixture_is_covered_by_a_test() {
    let source = include_str!("fixtures.rs");
    let expected: Vec<String> = expected().into_keys().collect();
    for name in fixtures() {
        let covered = expected.contains(&name) || source.contains(&name) || name.starts_with("reference-");
        assert!(covered, "{name}");
        assert!(name.starts_with("empty") || !fixture(&name).is_empty());
    }
}
