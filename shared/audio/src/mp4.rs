//! What the demuxer does not do for MP4 (ISO/IEC 14496-12): honour the edit list, and leave the
//! video track unread.

use std::io::{self, Read, Seek, SeekFrom};

use crate::AudioError;
use crate::source::Source;

/// Boxes looked at before giving up; a real file has a few dozen.
const MOST_BOXES: u32 = 10_000;

/// Entries of an edit list that are honoured; a phone writes one per cut.
const MOST_EDITS: u32 = 1_000;

/// A part of the sound track that is to be heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Start within the media, and the units per second that counts in.
    pub(crate) start: u64,
    pub(crate) start_scale: u32,
    /// Length, and the units per second that counts in. Fragmented files leave it open.
    pub(crate) length: Option<u64>,
    pub(crate) length_scale: u32,
}

impl Edit {
    fn ends_before(&self, next: &Self) -> bool {
        let Some(length) = self.length else { return false };
        // One tick of the longer of both scales is rounding.
        let scale = |value: u64, scale: u32| u128::from(value) * 1_000_000 / u128::from(scale.max(1));
        let end = scale(self.start, self.start_scale) + scale(length, self.length_scale);
        end <= scale(next.start, next.start_scale) + 2_000
    }
}

#[derive(Clone, Copy)]
struct Area {
    kind: [u8; 4],
    /// Position of the four letters of the type.
    kind_at: u64,
    start: u64,
    end: u64,
}

struct Walker<'a, S> {
    source: &'a mut Source<S>,
    boxes: u32,
}

impl<S: Read + Seek> Walker<'_, S> {
    fn bytes<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.seek(SeekFrom::Start(at))?;
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self, at: u64) -> io::Result<u32> {
        Ok(u32::from_be_bytes(self.bytes(at)?))
    }

    /// The box at `at`, which may not reach beyond `limit`; a box cut short ends there.
    fn area(&mut self, at: u64, limit: u64) -> io::Result<Area> {
        self.boxes += 1;
        if self.boxes > MOST_BOXES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let head: [u8; 8] = self.bytes(at)?;
        let [a, b, c, d, kind @ ..] = head;
        let (header, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (8, limit - at),
            1 => (16, u64::from_be_bytes(self.bytes(at + 8)?)),
            size => (8, u64::from(size)),
        };
        if size < header {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Area { kind, kind_at: at + 4, start: at + header, end: at.saturating_add(size).min(limit) })
    }

    fn children(&mut self, parent: Area) -> io::Result<Vec<Area>> {
        let mut children = Vec::new();
        let mut at = parent.start;
        while at + 8 <= parent.end {
            let child = self.area(at, parent.end)?;
            at = child.end;
            children.push(child);
        }
        Ok(children)
    }

    fn child(&mut self, parent: Area, kind: &[u8; 4]) -> io::Result<Option<Area>> {
        Ok(self.children(parent)?.into_iter().find(|child| &child.kind == kind))
    }

    /// The kind of the first sample entry of a track.
    fn sample_entry(&mut self, media: Area) -> io::Result<Option<[u8; 4]>> {
        let mut area = media;
        for kind in [b"minf", b"stbl", b"stsd"] {
            let Some(child) = self.child(area, kind)? else { return Ok(None) };
            area = child;
        }
        // Version, flags and the number of entries stand before the first entry, and its size before its kind.
        if area.end.saturating_sub(area.start) < 16 { Ok(None) } else { self.bytes(area.start + 12).map(Some) }
    }

    fn is_readable(&mut self, media: Area) -> io::Result<bool> {
        Ok(self.sample_entry(media)?.is_some_and(|entry| READABLE.contains(&&entry)))
    }

    /// The time scale of `mvhd` or `mdhd`, which lay it out alike.
    fn scale(&mut self, header: Area) -> io::Result<u32> {
        let [version] = self.bytes(header.start)?;
        self.u32(header.start + if version == 1 { 20 } else { 12 })
    }

    /// The entries of an edit list, in the order of the media. Empty where they cannot be followed forwards.
    fn edits(&mut self, list: Area, start_scale: u32, length_scale: u32) -> io::Result<Vec<Edit>> {
        let [version] = self.bytes(list.start)?;
        let count = self.u32(list.start + 4)?;
        let mut at = list.start + 8;
        let mut edits: Vec<Edit> = Vec::new();
        for _ in 0..count.min(MOST_EDITS) {
            let (length, start) = if version == 1 {
                (u64::from_be_bytes(self.bytes(at)?), i64::from_be_bytes(self.bytes(at + 8)?))
            } else {
                (u64::from(self.u32(at)?), i64::from(i32::from_be_bytes(self.bytes(at + 4)?)))
            };
            at += if version == 1 { 20 } else { 12 };
            // Negative starts are silence before the sound.
            let Ok(start) = u64::try_from(start) else { continue };
            let edit = Edit { start, start_scale, length: (length > 0).then_some(length), length_scale };
            if edits.last().is_some_and(|last| !last.ends_before(&edit)) {
                // Repeated or reordered scenes: hearing everything once beats hearing the first scenes only.
                return Ok(Vec::new());
            }
            edits.push(edit);
        }
        if start_scale == 0 || length_scale == 0 {
            edits.clear();
        }
        Ok(edits)
    }
}

/// Where the file that begins at `start` ends: at the beginning of another that was joined to it, or at the end of all.
/// Fragmented files are not searched, since that would read all of them.
pub(crate) fn end_of_file<S: Read + Seek>(source: &mut Source<S>, start: u64, length: u64) -> u64 {
    let mut walker = Walker { source, boxes: 0 };
    let mut at = start;
    while at + 8 <= length {
        let Ok(area) = walker.area(at, length) else { break };
        match &area.kind {
            b"ftyp" if at > start => return at,
            b"moof" => break,
            _ => at = area.end,
        }
    }
    length
}

/// Reads the movie header, hides every track but the first sound track, mends the size of media
/// that were cut off, and returns the edit of the sound.
///
/// # Errors
/// `Unsupported` when the file has tracks and none of them is sound.
pub(crate) fn prepare<S: Read + Seek>(
    source: &mut Source<S>,
    start: u64,
    length: u64,
) -> Result<Vec<Edit>, AudioError> {
    let result = find(&mut Walker { source: &mut *source, boxes: 0 }, start, length);
    match result {
        Ok(Movie::Audio { edits, hidden, cut_short }) => {
            for at in hidden {
                source.patch(at, *b"free");
            }
            if let Some(at) = cut_short {
                // Size 0: up to the end of the file.
                source.patch(at, [0; 4]);
            }
            Ok(edits)
        }
        Ok(Movie::Unreadable(entry)) => {
            Err(AudioError::unsupported(format!("The audio codec is {}, which is not supported", coding(entry))))
        }
        Ok(Movie::Silent) => Err(AudioError::unsupported("This video has no audio")),
        // Broken boxes are the demuxer's to judge.
        Ok(Movie::Unknown) | Err(_) => Ok(Vec::new()),
    }
}

enum Movie {
    /// `hidden`: types of the tracks to hide. `cut_short`: size of a media box that the end of a
    /// truncated file cuts.
    Audio {
        edits: Vec<Edit>,
        hidden: Vec<u64>,
        cut_short: Option<u64>,
    },
    /// Sound in sample entries of a kind that is not decoded.
    Unreadable([u8; 4]),
    Silent,
    Unknown,
}

/// Sample entries of sound that is decoded (the four letters of `stsd` entries).
const READABLE: [&[u8; 4]; 19] = [
    b"mp4a", b"Opus", b"fLaC", b"alac", b".mp3", b"lpcm", b"ipcm", b"fpcm", b"sowt", b"twos", b"in24", b"in32",
    b"fl32", b"fl64", b"raw ", b"NONE", b"ulaw", b"alaw", b"s16l",
];

/// The name of a coding, from its sample entry.
fn coding(entry: [u8; 4]) -> String {
    let name = match &entry {
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        b"ac-4" => "AC-4",
        b"samr" => "AMR",
        b"sawb" | b"sawp" => "AMR-WB",
        b"dtsc" | b"dtse" | b"dtsh" | b"dtsl" => "DTS",
        b"mlpa" => "Dolby TrueHD",
        b"agsm" => "GSM 6.10",
        b"ima4" => "IMA ADPCM",
        b"spex" => "Speex",
        b"enca" => "encrypted audio",
        _ => return format!("\"{}\"", entry.escape_ascii()),
    };
    name.to_owned()
}

fn find<S: Read + Seek>(walker: &mut Walker<'_, S>, start: u64, length: u64) -> io::Result<Movie> {
    let mut at = start;
    let moov = loop {
        if at + 8 > length {
            return Ok(Movie::Unknown);
        }
        let area = walker.area(at, length)?;
        if &area.kind == b"moov" {
            break area;
        }
        at = area.end;
    };
    // It is gone through here and again by the demuxer.
    walker.source.hold(moov.start, moov.end - moov.start)?;
    let children = walker.children(moov)?;
    let mut movie_scale = 0;
    let mut sound = None;
    let mut hidden = Vec::new();
    // Fragments name their tracks by the movie header; hiding one there would break them.
    let fragmented = children.iter().any(|child| &child.kind == b"mvex");
    let mut tracks = 0;
    for child in children {
        match &child.kind {
            b"mvhd" => movie_scale = walker.scale(child)?,
            b"trak" => {
                tracks += 1;
                let Some(media) = walker.child(child, b"mdia")? else { continue };
                let Some(handler) = walker.child(media, b"hdlr")? else { continue };
                let kind: [u8; 4] = walker.bytes(handler.start + 8)?;
                let readable = &kind == b"soun" && walker.is_readable(media)?;
                match sound {
                    // Of sound tracks the first that can be decoded, or else the first.
                    None if &kind == b"soun" => sound = Some((child, media, readable)),
                    Some((other, _, false)) if readable => {
                        hidden.push(other.kind_at);
                        sound = Some((child, media, true));
                    }
                    _ => hidden.push(child.kind_at),
                }
            }
            _ => {}
        }
    }
    if fragmented {
        hidden.clear();
    }
    let Some((track, media, readable)) = sound else {
        return Ok(if tracks > 0 { Movie::Silent } else { Movie::Unknown });
    };
    if !readable && let Some(entry) = walker.sample_entry(media)? {
        return Ok(Movie::Unreadable(entry));
    }
    let mut edits = Vec::new();
    if let Some(edit_box) = walker.child(track, b"edts")?
        && let Some(list) = walker.child(edit_box, b"elst")?
        && let Some(header) = walker.child(media, b"mdhd")?
    {
        let scale = walker.scale(header)?;
        edits = walker.edits(list, scale, movie_scale)?;
    }
    let cut_short = media_cut_short(walker, moov.end, length);
    Ok(Movie::Audio { edits, hidden, cut_short })
}

/// Finds a media box behind the movie header that claims to reach beyond the end of the file.
fn media_cut_short<S: Read + Seek>(walker: &mut Walker<'_, S>, mut at: u64, length: u64) -> Option<u64> {
    while at.checked_add(8).is_some_and(|end| end <= length) {
        let area = walker.area(at, u64::MAX).ok()?;
        match &area.kind {
            b"mdat" => return (area.end > length).then_some(area.kind_at - 4),
            // Fragments follow, each with its own media.
            b"moof" => return None,
            _ => at = area.end,
        }
    }
    None
}
