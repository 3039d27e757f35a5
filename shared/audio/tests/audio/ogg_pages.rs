//! Ogg pages with other times, missing, or of several streams, made from a fixture.

use capstan_audio::TranscriptionRendition::WhenNeeded;

use crate::harness::{fixture, run_without_own_panic};

const GRANULE: std::ops::Range<usize> = 6..14;
const SERIAL: std::ops::Range<usize> = 14..18;
const FIRST_PAGE: u8 = 2;

/// The pages of a file (RFC 3533, section 6).
fn pages(data: &[u8]) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let segments = usize::from(rest[26]);
        let content: usize = rest[27..27 + segments].iter().map(|length| usize::from(*length)).sum();
        let (page, behind) = rest.split_at(27 + segments + content);
        pages.push(page.to_vec());
        rest = behind;
    }
    pages
}

fn granule(page: &[u8]) -> i64 {
    i64::from_le_bytes(page[GRANULE].try_into().unwrap())
}

fn with_checksum(mut page: Vec<u8>) -> Vec<u8> {
    page[22..26].fill(0);
    let checksum = page.iter().fold(0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    });
    page[22..26].copy_from_slice(&checksum.to_le_bytes());
    page
}

/// The fixture with another granule position on every page of sound, by the number of the page and its own.
fn retimed(name: &str, time: impl Fn(usize, i64) -> i64) -> Vec<u8> {
    let retime = |(index, mut page): (usize, Vec<u8>)| {
        if granule(&page) > 0 {
            let granule = time(index, granule(&page));
            page[GRANULE].copy_from_slice(&granule.to_le_bytes());
        }
        with_checksum(page)
    };
    pages(&fixture(name)).into_iter().enumerate().flat_map(retime).collect()
}

fn duration_ms(what: &str, data: Vec<u8>) -> u64 {
    run_without_own_panic(data, WhenNeeded).0.unwrap_or_else(|error| panic!("{what}: {error}")).analysis.duration_ms
}

#[test]
fn a_wrong_clock_or_none_changes_no_duration() {
    // Of 2.5 s; the padding at the end, at most a packet, is not known then.
    let expected = 2490..=2570;
    for (what, data) in [
        ("no granule position on any page", retimed("opus-16k-mono.ogg", |_, _| -1)),
        ("none on one page", retimed("opus-16k-mono.ogg", |index, own| if index == 3 { -1 } else { own })),
        ("zero on every page", retimed("opus-16k-mono.ogg", |_, _| 0)),
        ("packets of 60 ms counted as 20", retimed("opus-16k-mono.ogg", |_, own| own / 3)),
        ("bytes", retimed("opus-16k-mono.ogg", |_, own| own / 16)),
        ("beyond any time", retimed("opus-16k-mono.ogg", |_, own| own + (1 << 60))),
        ("Vorbis without granule positions", retimed("vorbis-16k-mono.ogg", |_, _| -1)),
        ("Vorbis at zero", retimed("vorbis-16k-mono.ogg", |_, _| 0)),
        ("lost pages", fixture("opus-gapped.ogg")),
    ] {
        let duration = duration_ms(what, data);
        assert!(expected.contains(&duration), "{what}: {duration} ms");
    }
}

#[test]
fn a_clock_that_runs_fast_on_every_page_is_wrong() {
    // Pages of five packets. Their checksums are right here.
    for factor in [2, 3, 6] {
        let duration = duration_ms("fast", retimed("opus-bad-page.ogg", |_, own| own * factor));
        assert!((2490..=2520).contains(&duration), "{factor}: {duration} ms");
    }
}

#[test]
fn files_of_writers_with_known_faults_keep_their_sound() {
    let own = pages(&fixture("opus-16k-mono.ogg"));
    // pschatzmann/arduino-audio-tools, issue 2369: the page of the tags is marked as a first page.
    let mut tags_first = own.clone();
    tags_first[1][5] |= FIRST_PAGE;
    // The same: an empty packet on the last page.
    let mut empty_end = own.clone();
    let last = empty_end.last_mut().unwrap();
    let segments = usize::from(last[26]);
    last[26] += 1;
    last.insert(27 + segments, 0);
    for (what, data) in [
        ("tags marked as first", tags_first.into_iter().flat_map(with_checksum).collect()),
        ("empty last packet", empty_end.into_iter().flat_map(with_checksum).collect()),
        // LMS-Community/slimserver, issue 837: every position lacks the first packet.
        ("a packet behind", retimed("opus-bad-page.ogg", |_, own| own - 960)),
        // xiph/opusfile, issue 43: the first page holds more than its position says.
        ("8 samples short", retimed("opus-16k-mono.ogg", |index, own| if index == 2 { own - 8 } else { own })),
        // amishshah/prism-media, issue 114: of several frames in a packet one is counted.
        ("a third", retimed("opus-bad-page.ogg", |_, own| own / 3)),
        // Gagravarr/VorbisJava, issues 26 and 39: no position at all.
        ("none", retimed("opus-bad-page.ogg", |_, _| 0)),
    ] {
        let duration = duration_ms(what, data);
        assert!((2480..=2520).contains(&duration), "{what}: {duration} ms");
    }
}

#[test]
fn an_isolated_jump_is_a_loss() {
    let jump = retimed("opus-gapped.ogg", |index, own| if index > 6 { own + 48_000 } else { own });
    assert_eq!(duration_ms("a second more", jump), 3500);
}

/// A page of a stream that no decoder reads.
fn foreign_page(flags: u8, sequence: u32, content: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(0_i64.to_le_bytes());
    page.extend(0x0dd_u32.to_le_bytes());
    page.extend(sequence.to_le_bytes());
    page.extend([0; 4]);
    page.extend([1, content.len() as u8]);
    page.extend(content);
    with_checksum(page)
}

#[test]
fn another_stream_beside_the_sound_is_left_out() {
    let own = pages(&fixture("opus-16k-mono.ogg"));
    assert_eq!(own[0][5], FIRST_PAGE);
    let with = |foreign_at: usize, first_at: usize| -> Vec<u8> {
        let mut all = Vec::new();
        for (index, page) in own.iter().enumerate() {
            if index == first_at {
                all.extend(foreign_page(FIRST_PAGE, 0, b"marks of a recorder"));
            } else if index >= foreign_at {
                all.extend(foreign_page(0, index as u32, b"a mark"));
            }
            all.extend(page);
        }
        all
    };
    for (what, data) in [
        ("begun before the sound", with(2, 0)),
        ("begun behind the first page", with(2, 1)),
        ("begun in the middle", with(4, 4)),
        ("without a first page", with(3, usize::MAX)),
    ] {
        assert_eq!(duration_ms(what, data), 2500, "{what}");
    }
    assert_ne!(own[0][SERIAL], 0x0dd_u32.to_le_bytes());
}
