//! What the demuxer does not do for MP4 (ISO/IEC 14496-12): honour the edit list, and leave the
//! video track unread.

use std::io::{self, Read, Seek, SeekFrom};

use crate::AudioError;
use crate::source::Source;

/// Boxes looked at before giving up; a real file has a few dozen.
const MOST_BOXES: u32 = 10_000;

/// The part of the sound track that is to be heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Start within the media, and the units per second that counts in.
    pub(crate) start: u64,
    pub(crate) start_scale: u32,
    /// Length, and the units per second that counts in. Fragmented files leave it open.
    pub(crate) length: Option<u64>,
    pub(crate) length_scale: u32,
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

    /// The box at `at`, which may not visibility beyond `limit`; a box cut short ends there.
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

    /// The time scale of `mvhd` or `mdhd`, which lay it out alike.
    fn scale(&mut self, header: Area) -> io::Result<u32> {
        let [version] = self.bytes(header.start)?;
        self.u32(header.start + if version == 1 { 20 } else { 12 })
    }

    fn edit(&mut self, list: Area, start_scale: u32, length_scale: u32) -> io::Result<Option<Edit>> {
        let [version] = self.bytes(list.start)?;
        let count = self.u32(list.start + 4)?;
        let mut at = list.start + 8;
        let mut found = None;
        for _ in 0..count.min(16) {
            let (length, start) = if version == 1 {
                (u64::from_be_bytes(self.bytes(at)?), i64::from_be_bytes(self.bytes(at + 8)?))
            } else {
                (u64::from(self.u32(at)?), i64::from(i32::from_be_bytes(self.bytes(at + 4)?)))
            };
            at += if version == 1 { 20 } else { 12 };
            // Negative starts are silence before the sound.
            let Ok(start) = u64::try_from(start) else { continue };
            if found.is_some() {
                // A cut film. Hearing all of it beats hearing the first scene only.
                return Ok(None);
            }
            found = Some(Edit { start, start_scale, length: (length > 0).then_some(length), length_scale });
        }
        Ok(found.filter(|_| start_scale > 0 && length_scale > 0))
    }
}

/// Reads the movie header, hides every track but the first sound track, mends the size of media
/// that were cut off, and returns the edit of the sound.
///
/// # Errors
/// `Unsupported` when the file has tracks and none of them is sound.
pub(crate) fn prepare<S: Read + Seek>(source: &mut Source<S>, length: u64) -> Result<Option<Edit>, AudioError> {
    let result = find(&mut Walker { source: &mut *source, boxes: 0 }, length);
    // Only noted: no byte moves. The demuxer starts at the beginning.
    let _ = source.seek(SeekFrom::Start(0));
    match result {
        Ok(Movie::Audio { edit, hidden, cut_short }) => {
            for at in hidden {
                source.patch(at, *b"free");
            }
            if let Some(at) = cut_short {
                // Size 0: up to the end of the file.
                source.patch(at, [0; 4]);
            }
            Ok(edit)
        }
        Ok(Movie::Silent) => Err(AudioError::unsupported("This video has no sound")),
        // Broken boxes are the demuxer's to judge.
        Ok(Movie::Unknown) | Err(_) => Ok(None),
    }
}

enum Movie {
    /// `hidden`: types of the tracks to hide. `cut_short`: size of a media box that the end of a
    /// truncated file cuts.
    Audio {
        edit: Option<Edit>,
        hidden: Vec<u64>,
        cut_short: Option<u64>,
    },
    Silent,
    Unknown,
}

fn find<S: Read + Seek>(walker: &mut Walker<'_, S>, length: u64) -> io::Result<Movie> {
    let mut at = 0;
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
                if &kind == b"soun" && sound.is_none() {
                    sound = Some((child, media));
                } else if !fragmented {
                    hidden.push(child.kind_at);
                }
            }
            _ => {}
        }
    }
    let Some((track, media)) = sound else {
        return Ok(if tracks > 0 { Movie::Silent } else { Movie::Unknown });
    };
    let mut edit = None;
    if let Some(edits) = walker.child(track, b"edts")?
        && let Some(list) = walker.child(edits, b"elst")?
        && let Some(header) = walker.child(media, b"mdhd")?
    {
        let scale = walker.scale(header)?;
        edit = walker.edit(list, scale, movie_scale)?;
    }
    let cut_short = media_cut_short(walker, moov.end, length);
    Ok(Movie::Audio { edit, hidden, cut_short })
}

/// Finds a media box behind the movie header that claims to visibility beyond the end of the file.
fn media_cut_short<S: Read + Seek>(walker: &mut Walker<'_, S>, mut at: u64, length: u64) -> Option<u64> {
    while at + 8 <= length {
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
