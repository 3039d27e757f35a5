//! Files of every kind and in every condition, all the way: sent, completed, and processed or failed with a reason.

use std::path::Path;

use capstan_domain::Sha256;
use serde_json::json;

use super::ended;
use super::world::{OPUS, World, YEAR};

/// What becomes of a file: the codec and about how long it is, or the code of its failure.
enum End {
    Audio(&'static str, std::ops::Range<u64>),
    Image,
    Failed(&'static str),
}
use End::{Audio, Failed, Image};

fn audio(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/audio/fixtures").join(name)).unwrap()
}

fn image(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/image/fixtures").join(name)).unwrap()
}

/// Each type that is taken, and what a file that is declared as it may turn out to be.
fn cases() -> Vec<(&'static str, &'static str, Vec<u8>, End)> {
    let whole = 2400..2700;
    let of = |content_type, name: &'static str, end| (content_type, name, audio(name), end);
    let mut cases = vec![
        // As declared.
        of("audio/opus", "opus-16k-mono.ogg", Audio("opus", whole.clone())),
        of("audio/ogg", "vorbis-16k-mono.ogg", Audio("vorbis", whole.clone())),
        of("audio/ogg", "opus-51.ogg", Audio("opus", whole.clone())),
        of("audio/ogg", "opus-chained.ogg", Audio("opus", 4900..5100)),
        of("audio/ogg", "silence.ogg", Audio("opus", 1990..2010)),
        of("audio/wav", "wav-s24.wav", Audio("pcm_s24le", 1190..1210)),
        of("audio/wav", "wav-8-channels.wav", Audio("pcm_s16le", 1000..3000)),
        of("audio/wav", "wav-adpcm.wav", Audio("adpcm_ima_wav", 1000..3000)),
        of("audio/mpeg", "mp3-44k-vbr.mp3", Audio("mp3", whole.clone())),
        of("audio/mp4", "aac-moov-at-end.m4a", Audio("aac", whole.clone())),
        of("audio/mp4", "alac.m4a", Audio("alac", whole.clone())),
        of("audio/webm", "opus.webm", Audio("opus", whole.clone())),
        of("audio/flac", "flac-192k.flac", Audio("flac", 1190..1210)),
        of("audio/aac", "aac-adts.aac", Audio("aac", whole.clone())),
        of("video/mp4", "video-aac.mp4", Audio("aac", whole.clone())),
        ("image/jpeg", "photo-offset.jpg", image("photo-offset.jpg"), Image),
        ("image/png", "photo.png", image("photo.png"), Image),
        // Cut off, with a gap, damaged inside: what is there counts.
        of("audio/opus", "opus-truncated.ogg", Audio("opus", 1700..1900)),
        of("audio/opus", "opus-gapped.ogg", Audio("opus", whole.clone())),
        of("audio/opus", "opus-bad-page.ogg", Audio("opus", whole.clone())),
        of("audio/mpeg", "mp3-truncated.mp3", Audio("mp3", 1650..1800)),
        of("audio/mpeg", "mp3-damaged-inside.mp3", Audio("mp3", 2400..2501)),
        of("audio/flac", "flac-truncated.flac", Audio("flac", 1600..1800)),
        of("audio/flac", "flac-damaged-inside.flac", Audio("flac", whole.clone())),
        of("audio/mp4", "mp4-truncated.m4a", Audio("aac", 1800..2000)),
        of("audio/webm", "webm-truncated.webm", Audio("opus", 1700..1900)),
        of("audio/wav", "wav-4gb-claim.wav", Audio("pcm_s16le", 1500..1501)),
        of("audio/wav", "wav-unfinished.wav", Audio("pcm_s16le", 1500..1501)),
        // Something else than declared: the bytes decide.
        of("audio/wav", "mislabelled-mp3.wav", Audio("mp3", whole.clone())),
        of("audio/mpeg", "wav-s16.wav", Audio("pcm_s16le", 1000..3000)),
        of("video/mp4", "flac-16k-mono.flac", Audio("flac", whole)),
        ("image/png", "photo.jpg", image("photo.jpg"), Image),
        ("audio/opus", "photo.png", image("photo.png"), Failed("unsupported_format")),
        of("image/jpeg", "opus-16k-mono.ogg", Failed("unsupported_format")),
        // No use.
        of("audio/wav", "short.wav", Failed("audio_too_short")),
        of("audio/opus", "opus-headers-only.ogg", Failed("audio_corrupt")),
        of("audio/mp4", "mp4-no-moov.m4a", Failed("audio_corrupt")),
        of("video/mp4", "video-silent.mp4", Failed("unsupported_format")),
        of("audio/mp4", "he-aac.m4a", Audio("he_aac", 2500..2501)),
        ("image/jpeg", "half a head", image("photo.jpg")[..100].to_vec(), Failed("unsupported_format")),
        ("image/png", "a signature only", image("photo.png")[..8].to_vec(), Failed("unsupported_format")),
        // Hostile.
        of("audio/wav", "hostile-wav-0-channels.wav", Failed("audio_corrupt")),
        of("audio/wav", "hostile-wav-65535-channels.wav", Failed("audio_corrupt")),
        of("audio/wav", "hostile-wav-0-hz.wav", Failed("audio_corrupt")),
        of("audio/wav", "hostile-wav-4ghz.wav", Failed("unsupported_format")),
        of("audio/wav", "hostile-wav-unknown-codec.wav", Failed("unsupported_format")),
        of("audio/mp4", "hostile-mp4-sample-count.m4a", Failed("audio_corrupt")),
        of("audio/mp4", "hostile-mp4-sample-size.m4a", Failed("audio_corrupt")),
        of("audio/mp4", "hostile-mp4-box-size.m4a", Failed("unsupported_format")),
        of("audio/webm", "hostile-webm-giant-element.webm", Failed("audio_corrupt")),
    ];
    // Nothing of any type that is taken.
    for content_type in [
        "audio/opus",
        "audio/wav",
        "audio/mpeg",
        "audio/mp4",
        "audio/webm",
        "audio/ogg",
        "audio/flac",
        "audio/aac",
        "video/mp4",
        "image/jpeg",
        "image/png",
    ] {
        for name in ["random.bin", "zeros.bin", "text.bin"] {
            cases.push(of(content_type, name, Failed("unsupported_format")));
        }
        let empty = if content_type.starts_with("image") { "unsupported_format" } else { "audio_corrupt" };
        cases.push(of(content_type, "empty.bin", Failed(empty)));
    }
    cases
}

/// Sends a file of an unknown size and completes; gives the recording's path.
async fn send(world: &World, content_type: &str, bytes: &[u8]) -> String {
    let path = world.create().await;
    let signed = world.sign(&path, json!({"content_type": content_type})).await;
    assert_eq!(super::world::put(&signed, bytes).await, 200);
    world.complete(&path).await.expect("200");
    path
}

async fn assert_serves(world: &World) {
    let path = send(world, "audio/opus", OPUS).await;
    assert_eq!(ended("the next one", || world.get(&path)).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_ends_as_documented_and_the_stack_serves_on() {
    let world = World::start().await;
    let mut sent = Vec::new();
    for (content_type, name, bytes, end) in cases() {
        let path = send(&world, content_type, &bytes).await;
        sent.push((format!("{name} as {content_type}"), path, bytes, end));
    }
    for (what, path, bytes, end) in &sent {
        let recording = ended(what, || world.get(path)).await;
        let media = &recording["media"][0];
        assert_eq!((&media["status"], &media["file_size_bytes"]), (&json!("uploaded"), &json!(bytes.len())), "{what}");
        let error = &recording["error"];
        match end {
            Failed(code) => {
                assert_eq!((&recording["status"], &error["code"]), (&json!("failed"), &json!(code)), "{what}: {error}");
                assert_eq!(&media["error"], error, "{what}");
                let message = error["message"].as_str().unwrap();
                assert!(message.starts_with(|c: char| c.is_uppercase()) && message.len() < 200, "{what}: {message}");
                assert_eq!(media["renditions"], json!([]), "{what}");
            }
            Audio(codec, milliseconds) => {
                assert_eq!((&recording["status"], error), (&json!("completed"), &json!(null)), "{what}");
                assert_eq!(media["codec"], *codec, "{what}");
                let duration = recording["duration_ms"].as_u64().unwrap();
                assert!(milliseconds.contains(&duration), "{what}: {duration} ms");
                let kinds: Vec<_> = media["renditions"].as_array().unwrap().iter().map(|made| &made["kind"]).collect();
                assert!(kinds.contains(&&json!("peaks")), "{what}: {kinds:?}");
            }
            Image => {
                assert_eq!((&recording["status"], error), (&json!("completed"), &json!(null)), "{what}");
                assert_eq!((&media["width"], &media["height"]), (&json!(64), &json!(48)), "{what}");
            }
        }
    }
    world.stack.bus().settle().await;
    for (what, path, bytes, end) in &sent {
        assert_eq!(world.get(path).await["content_sha256"], Sha256::of(bytes).to_string(), "{what}");
        let ends = (world.published(path, "recording.completed"), world.published(path, "recording.failed"));
        assert_eq!(ends, if matches!(end, Failed(_)) { (0, 1) } else { (1, 0) }, "{what}");
    }
    assert_eq!(world.left_after_urls().await, 0);
    assert_serves(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defective_file_does_not_fail_the_recording() {
    let world = World::start().await;
    let path = world.create().await;
    for (content_type, bytes) in
        [("image/png", audio("random.bin")), ("audio/ogg", OPUS.to_vec()), ("audio/wav", vec![0])]
    {
        let signed = world.sign(&path, json!({"content_type": content_type})).await;
        assert_eq!(super::world::put(&signed, &bytes).await, 200);
    }
    world.complete(&path).await.expect("200");
    let recording = ended("three files", || world.get(&path)).await;
    assert_eq!((&recording["status"], &recording["error"]), (&json!("completed"), &json!(null)));
    let errors: Vec<_> = recording["media"].as_array().unwrap().iter().map(|media| &media["error"]["code"]).collect();
    assert_eq!(errors, [&json!("unsupported_format"), &json!(null), &json!("unsupported_format")]);
    assert_eq!(recording["mime_type"], "audio/ogg");
}

/// Ogg pages of one stream that say the same packet over and over, behind the headers of `silence.ogg`.
fn long_ogg(seconds: u64) -> Vec<u8> {
    let source = audio("silence.ogg");
    let pages = pages(&source);
    let mut file = [pages[0].0, pages[1].0].concat();
    let (page, body) = pages[2];
    let packet = &body[..usize::from(page[27])];
    let serial = &page[14..18];
    // 20 ms at 48 kHz, as many a page as it may hold.
    let (samples, packets) = (960_u64, seconds * 50);
    let mut sequence = 2_u32;
    let mut done = 0;
    while done < packets {
        let count = (packets - done).min(250);
        done += count;
        let flags = if done == packets { 4 } else { 0 };
        let mut page = [b"OggS\0".as_slice(), &[flags], &(done * samples).to_le_bytes(), serial].concat();
        page.extend(sequence.to_le_bytes());
        page.extend([0; 4]);
        page.push(u8::try_from(count).unwrap());
        page.extend(vec![u8::try_from(packet.len()).unwrap(); usize::try_from(count).unwrap()]);
        for _ in 0..count {
            page.extend_from_slice(packet);
        }
        let sum = checksum(&page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        file.extend(page);
        sequence += 1;
    }
    file
}

/// The pages of an Ogg file, each with its body.
fn pages(file: &[u8]) -> Vec<(&[u8], &[u8])> {
    let (mut pages, mut rest) = (Vec::new(), file);
    while rest.starts_with(b"OggS") {
        let segments = usize::from(rest[26]);
        let body: usize = rest[27..27 + segments].iter().map(|&length| usize::from(length)).sum();
        let (page, next) = rest.split_at(27 + segments + body);
        pages.push((page, &page[27 + segments..]));
        rest = next;
    }
    pages
}

/// Ogg's CRC-32 (RFC 3533): polynomial 04c11db7, not reflected, from zero.
fn checksum(page: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| (0..8).fold(byte << 24, |sum, _| if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }))
        .collect();
    page.iter().fold(0, |sum, byte| sum << 8 ^ table[usize::from((sum >> 24) as u8 ^ byte)])
}

#[tokio::test(flavor = "multi_thread")]
async fn four_hours_are_processed_whole_while_the_stack_serves_others() {
    let world = World::start().await;
    let hours = 4 * 3600;
    let path = send(&world, "audio/opus", &long_ogg(hours)).await;
    assert_serves(&world).await;
    let recording = ended("four hours", || world.get(&path)).await;
    assert_eq!((&recording["status"], &recording["error"]), (&json!("completed"), &json!(null)));
    let duration = recording["duration_ms"].as_u64().unwrap();
    assert!((hours * 1000 - 100..=hours * 1000).contains(&duration), "{duration} ms");
    world.stack.bus().settle().await;
    assert_eq!((world.published(&path, "recording.completed"), world.due_within(YEAR).await), (1, 0));
}
