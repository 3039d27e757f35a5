//! Files with the peculiarities of real recorders, phone apps, browsers and telephony (`fixtures/recorders`).

use capstan_audio::{AudioError, Processed, TranscriptionRendition};

use crate::harness::{fixture, run, run_bytes};

fn processed(name: &str) -> Processed {
    run(&format!("recorders/{name}")).0.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Asserts the duration in milliseconds of every file, and lists all that differ.
fn assert_durations(expected: &[(&str, std::ops::RangeInclusive<u64>)]) {
    let differ: Vec<_> = expected
        .iter()
        .map(|(name, range)| (name, range, run(&format!("recorders/{name}")).0.map(|done| done.analysis.duration_ms)))
        .filter(|(_, range, duration)| !duration.as_ref().is_ok_and(|duration| range.contains(duration)))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn wrong_granule_positions_neither_cut_nor_stretch() {
    assert_durations(&[
        ("opus-granules-zero.ogg", 4940..=5060),
        ("opus-granules-16k.ogg", 4940..=5060),
        ("opus-granules-doubled.ogg", 4940..=5060),
        ("vorbis-granules-zero.ogg", 4960..=5080),
    ]);
}

#[test]
fn a_wrong_frame_count_of_an_mp3_cuts_nothing() {
    assert_durations(&[("mp3-xing-zero.mp3", 4960..=5080), ("mp3-joined-one-xing.mp3", 6994..=7114)]);
}

#[test]
fn joined_files_are_decoded_to_the_end() {
    assert_durations(&[
        ("mp3-joined-rates.mp3", 10_000..=10_160),
        ("mp3-joined-mono-stereo.mp3", 6994..=7114),
        ("adts-joined-rates.aac", 6997..=7157),
        ("webm-joined.webm", 6926..=7086),
    ]);
}

#[test]
fn a_joined_mp3_may_end_right_behind_the_seam() {
    // The mono file, the Info frame of the stereo file, and three of its frames: too few to tell them from padding.
    let data = fixture("recorders/mp3-joined-mono-stereo.mp3")[..13_600].to_vec();
    let duration = run_bytes(data, TranscriptionRendition::WhenNeeded).0.unwrap().analysis.duration_ms;
    assert!((2000..=2200).contains(&duration), "{duration} ms");
}

#[test]
fn joined_mp4_files_are_decoded_to_the_end() {
    let (first, second) = (fixture("aac-moov-at-end.m4a"), fixture("aac-16k-mono.m4a"));
    for (what, data) in [
        ("moov at the end, then at the start", [&first[..], &second].concat()),
        ("at the start, then at the end", [&second[..], &first].concat()),
        ("the same twice", [&first[..], &first].concat()),
    ] {
        let done = run_bytes(data, TranscriptionRendition::WhenNeeded).0.unwrap();
        assert_eq!(done.analysis.duration_ms, 5000, "{what}");
    }
}

#[test]
fn damaged_metadata_costs_no_sound() {
    assert_durations(&[
        ("wav-bad-list.wav", 4995..=5005),
        ("flac-bad-comment.flac", 4960..=5040),
        ("flac-id3v1.flac", 4999..=5001),
        ("mp4-zero-tail.m4a", 4940..=5060),
    ]);
}

#[test]
fn the_samples_of_a_wav_are_found_whatever_its_sizes_say() {
    assert_durations(&[
        ("wav-rf64-trailer.wav", 4995..=5005),
        ("wav-stale-size.wav", 4995..=5005),
        ("wav-size-0-long-list.wav", 2400..=5000),
    ]);
    let loudness = processed("wav-rf64-trailer.wav").analysis.loudness_lufs.unwrap();
    assert!((loudness + 20.0).abs() <= 0.5, "{loudness} LUFS: the chunks behind the samples are not sound");
}

#[test]
fn a_wav_format_chunk_may_have_any_length() {
    assert_durations(&[
        ("wav-alaw-short-fmt.wav", 4995..=5005),
        ("wav-mulaw-extensible.wav", 4995..=5005),
        ("wav-long-fmt.wav", 4995..=5005),
    ]);
}

#[test]
fn an_mp4_states_rate_track_channels_and_profile_in_the_stream() {
    assert_durations(&[
        ("aac-96k.m4a", 1160..=1240),
        ("mp4-ac3-then-aac.mp4", 4900..=5100),
        ("mp3-in.mp4", 4960..=5040),
        ("he-aac-explicit.m4a", 4900..=5100),
    ]);
    assert_eq!(processed("mp3-in.mp4").analysis.channels, 1);
    assert_eq!(processed("aac-96k.m4a").analysis.sample_rate_hz, 96_000);
    assert_eq!(processed("he-aac-explicit.m4a").analysis.codec.as_str(), "he_aac");
}

#[test]
fn what_an_edit_list_cuts_out_is_not_heard() {
    assert_durations(&[("mp4-edits.m4a", 1960..=2080)]);
}

#[test]
fn a_refusal_names_the_format_and_the_remedy() {
    for (name, named) in
        [("aac-main.aac", "AAC Main"), ("mpeg-ts.aac", "MPEG transport stream"), ("speex.ogg", "Speex")]
    {
        let error = run(&format!("recorders/{name}")).0.unwrap_err();
        assert!(matches!(error, AudioError::Unsupported(_)), "{name}: {error}");
        let message = error.to_string();
        assert!(message.contains(named) && message.contains("Send"), "{name}: {message}");
    }
}

#[test]
fn a_wav_without_samples_is_too_short() {
    assert_eq!(fixture("recorders/wav-no-samples.wav").len(), 36);
    assert!(matches!(run("recorders/wav-no-samples.wav").0, Err(AudioError::TooShort { .. })));
}

#[test]
fn metadata_of_any_size_may_stand_before_the_sound() {
    const COVER: usize = 40 << 20;
    let id3 = |data: Vec<u8>| {
        let size: Vec<u8> = (0..4).rev().map(|byte| (COVER >> (7 * byte) & 0x7f) as u8).collect();
        [b"ID3\x04\0\0", &size[..], &vec![1; COVER], &data].concat()
    };
    let junk = |data: Vec<u8>| {
        let (head, rest) = data.split_at(12);
        [head, b"JUNK", &(COVER as u32).to_le_bytes(), &vec![1; COVER], rest].concat()
    };
    let pictures = |data: Vec<u8>| {
        let mut all = data[..42].to_vec();
        for _ in 0..3 {
            all.extend([6, 0xff, 0xff, 0xff]);
            all.extend(vec![1; 0xff_ffff]);
        }
        [&all[..], &data[42..]].concat()
    };
    let cover = |data: Vec<u8>| {
        // A box in the movie header, which is the last of the file.
        let at = data.windows(4).position(|kind| kind == b"moov").unwrap() - 4;
        let size = u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
        assert_eq!(at + size as usize, data.len());
        let larger = (size + 8 + COVER as u32).to_be_bytes();
        [&data[..at], &larger, &data[at + 4..], &(8 + COVER as u32).to_be_bytes(), b"udta", &vec![1; COVER]].concat()
    };
    for (what, data) in [
        ("MP3", id3(fixture("mp3-16k-mono.mp3"))),
        ("FLAC behind ID3", id3(fixture("flac-16k-mono.flac"))),
        ("WAV", junk(fixture("wav-s16.wav"))),
        ("FLAC", pictures(fixture("flac-16k-mono.flac"))),
        ("MP4", cover(fixture("aac-moov-at-end.m4a"))),
    ] {
        let done = run_bytes(data, TranscriptionRendition::WhenNeeded).0;
        let duration = done.unwrap_or_else(|error| panic!("{what}: {error}")).analysis.duration_ms;
        assert!((1500..=2500).contains(&duration), "{what}: {duration} ms");
    }
}

#[test]
fn a_damaged_stretch_of_a_webm_costs_itself_only() {
    let mut data = fixture("recorders/webm-joined.webm");
    let whole = processed("webm-joined.webm").analysis.duration_ms;
    let at = data.len() / 4;
    data[at..at + 1500].fill(0);
    let duration = run_bytes(data, TranscriptionRendition::WhenNeeded).0.unwrap().analysis.duration_ms;
    assert!(duration > whole - 3500, "{duration} of {whole} ms");
}

#[test]
fn wav_files_of_writers_with_known_faults_keep_their_sound() {
    let own = fixture("wav-s16.wav");
    let data = own.windows(4).position(|word| word == b"data").unwrap();
    let size = u32::from_le_bytes(own[data + 4..data + 8].try_into().unwrap());
    let sized = |size: u32| [&own[..data + 4], &size.to_le_bytes(), &own[data + 8..]].concat();
    // AVAudioFile aligns the samples by a chunk of 4 KB.
    let unfinished = {
        let all = sized(0);
        [&all[..12], b"JUNK", &4096_u32.to_le_bytes(), &[0; 4096], &all[12..]].concat()
    };
    let mut wrong_rate = own.clone();
    wrong_rate[28..32].copy_from_slice(&1_u32.to_le_bytes());
    let whole = run("wav-s16.wav").0.unwrap().analysis;
    for (what, data) in [
        // island-io/mila, issue 151; silverstein/minutes, issue 519.
        ("size 0 behind JUNK, after a crash", unfinished),
        // llfbandit/record, issue 96.
        ("size of the file", sized(own.len() as u32)),
        // chaosparrot/parrot.py, pull request 69.
        ("twice the size", sized(size * 2)),
        // meetecho/janus-gateway, pull request 262.
        ("wrong average of bytes", wrong_rate),
        ("size of hound until it is finalised", sized(u32::MAX)),
    ] {
        let analysis = run_bytes(data, TranscriptionRendition::WhenNeeded).0.unwrap().analysis;
        assert_eq!(analysis, whole, "{what}");
    }
}
