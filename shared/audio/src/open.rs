//! From the bytes of a file to a demuxer for it, and to further ones behind a seam or a damaged stretch.

use std::io::{self, BufReader, Read, Seek};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::errors::Error;
use symphonia::core::formats::FormatReader;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known as format;
use symphonia::core::io::{MediaSource, MediaSourceStream};

use crate::AudioError;
use crate::adts::{self, AdtsReader};
use crate::container::{Container, matroska_kind, refuse_foreign};
use crate::decode::guarded;
use crate::ogg_streams::OggStream;
use crate::source::{HEAD_BYTES, Source, SourceState};
use crate::view::{Extent, SharedSource, View};
use crate::{mp4, native_flac, tags, wav};

/// ID3v2 tags before the sound; editors that add one without removing the other leave two.
const MOST_TAGS: u32 = 16;
/// Demuxers for one file. A damaged file is not read for ever.
const MOST_DEMUXERS: u32 = 1_000;
/// Bytes that identify the format: two frames of ADTS, or the first pages of an Ogg file.
const SNIFFED_BYTES: u64 = 16 << 10;
const BUFFER_BYTES: usize = 8 << 10;
/// Bytes that are searched at once for the next readable element.
const SEARCH_BYTES: u64 = 1 << 20;
/// EBML header and Cluster (RFC 9559, section 5.1).
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];
const CLUSTER: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];

/// An opened file.
pub(crate) struct Opened<'s> {
    pub(crate) reader: Box<dyn FormatReader + 's>,
    pub(crate) container: Container,
    pub(crate) edits: Vec<mp4::Edit>,
    pub(crate) state: Arc<SourceState>,
    /// Opens the file again behind the position at which a demuxer gave up.
    pub(crate) reopen: Box<dyn FnMut(u64) -> Option<Reopened<'s>> + Send + 's>,
}

/// A demuxer for the rest of a file.
pub(crate) struct Reopened<'s> {
    pub(crate) reader: Box<dyn FormatReader + 's>,
    /// Whether it is another file, with tracks and times of its own, and not the rest of the one before.
    pub(crate) is_joined: bool,
    pub(crate) edits: Vec<mp4::Edit>,
}

/// A container that this crate reads itself, in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnReader {
    Adts,
    Ogg,
}

/// What is known of a file before its demuxer sees it.
struct Prepared {
    extent: Extent,
    edits: Vec<mp4::Edit>,
    own_reader: Option<OwnReader>,
    /// The elements before the first cluster of a Matroska file.
    matroska_header: Vec<u8>,
    matroska: Container,
    /// Whether the file starts like a supported container, so that what is wrong is its rest.
    is_known: bool,
}

/// Opens `source`, which is `length` bytes long.
pub(crate) fn open<'s, S>(source: S, length: u64) -> Result<Opened<'s>, AudioError>
where
    S: Read + Seek + Send + Sync + 's,
{
    let mut source = Source::open(source, length).map_err(AudioError::Source)?;
    let state = source.state();
    let prepared = prepare(&mut source, length);
    if let Some(error) = state.take_error() {
        return Err(AudioError::Source(error));
    }
    let Prepared { extent, edits, own_reader, matroska_header, matroska, is_known } = prepared?;
    let source = Arc::new(Mutex::new(source));
    state.renew_leash();
    let opened = demuxer(&source, extent.clone(), own_reader);
    if let Some(error) = state.take_error() {
        return Err(AudioError::Source(error));
    }
    let reader = match opened {
        Some(Ok(reader)) => reader,
        Some(Err(Error::Unsupported(_))) if !extent.header.is_empty() => return Err(AudioError::unknown_coding()),
        _ if is_known => return Err(AudioError::NO_AUDIO_BYTES),
        Some(Err(_)) => return Err(AudioError::unknown_type()),
        None => return Err(AudioError::DAMAGED),
    };
    let container = match reader.format_info().format {
        format::FORMAT_ID_OGG => Container::Ogg,
        format::FORMAT_ID_WAVE => Container::Wav,
        format::FORMAT_ID_MP3 => Container::Mpeg,
        format::FORMAT_ID_ADTS => Container::Adts,
        format::FORMAT_ID_ISOMP4 => Container::Mp4,
        format::FORMAT_ID_MKV => matroska,
        format::FORMAT_ID_FLAC => Container::Flac,
        _ => return Err(AudioError::unknown_type()),
    };
    let mut searcher = Searcher { source, extent, header: matroska_header, length, demuxers: 1 };
    let reopen = Box::new(move |position| match container {
        Container::WebM | Container::Matroska => searcher.reopen_matroska(position),
        Container::Mp4 => searcher.open_joined_mp4(),
        _ => None,
    });
    Ok(Opened { reader, container, edits, state, reopen })
}

fn demuxer<'s, S>(
    source: &SharedSource<S>,
    extent: Extent,
    own_reader: Option<OwnReader>,
) -> Option<Result<Box<dyn FormatReader + 's>, Error>>
where
    S: Read + Seek + Send + Sync + 's,
{
    let view = View::new(Arc::clone(source), extent);
    let media: Box<dyn MediaSource + 's> = match own_reader {
        // Pages are read in small steps. Without the buffer, each step would lock the source.
        Some(OwnReader::Ogg) => Box::new(OggStream::new(BufReader::with_capacity(BUFFER_BYTES, view))),
        Some(OwnReader::Adts) | None => Box::new(view),
    };
    let stream = MediaSourceStream::new(media, Default::default());
    guarded(move || -> Result<Box<dyn FormatReader + 's>, Error> {
        match own_reader {
            Some(OwnReader::Adts) => Ok(Box::new(AdtsReader::open(stream)?)),
            Some(OwnReader::Ogg) | None => {
                symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default())
            }
        }
    })
}

fn prepare<S: Read + Seek>(source: &mut Source<S>, length: u64) -> Result<Prepared, AudioError> {
    let start = behind_tags(source, length).map_err(AudioError::Source)?;
    source.hold(start, (length - start).min(HEAD_BYTES)).map_err(AudioError::Source)?;
    let head = source.read_range(start..length.min(start + SNIFFED_BYTES)).map_err(AudioError::Source)?;
    refuse_foreign(&head)?;
    let mut edits = Vec::new();
    let mut own_reader = None;
    let extent = if wav::is_wav(&head) && start == 0 {
        wav::extent(source, length)?
    } else if head.get(4..8) == Some(b"ftyp") && start == 0 {
        let end = mp4::end_of_file(source, 0, length);
        edits = mp4::prepare(source, 0, end)?;
        Extent { seekable: true, ..Extent::of(0..end) }
    } else if let Some(extent) = native_flac::extent(source, start, length).map_err(AudioError::Source)? {
        extent
    } else {
        if adts::is_adts(&head) {
            own_reader = Some(OwnReader::Adts);
        } else if head.starts_with(b"OggS") {
            own_reader = Some(OwnReader::Ogg);
        }
        let may_end_in_tags = !is_container(&head);
        Extent { may_end_in_tags, ..Extent::of(start..length) }
    };
    let matroska_header = if head.starts_with(&EBML) { before_clusters(source, length)? } else { Vec::new() };
    Ok(Prepared {
        is_known: start > 0 || is_container(&head),
        matroska: matroska_kind(&head),
        matroska_header,
        extent,
        edits,
        own_reader,
    })
}

/// The elements before the first cluster of a Matroska file; empty if there is none in its head.
fn before_clusters<S: Read + Seek>(source: &mut Source<S>, length: u64) -> Result<Vec<u8>, AudioError> {
    let mut head = source.read_range(0..length.min(HEAD_BYTES)).map_err(AudioError::Source)?;
    head.truncate(head.windows(4).position(|word| word == CLUSTER).unwrap_or(0));
    Ok(head)
}

fn behind_tags<S: Read + Seek>(source: &mut Source<S>, length: u64) -> io::Result<u64> {
    let mut at = 0;
    for _ in 0..MOST_TAGS {
        if at + 10 > length {
            break;
        }
        let Some(tag) = tags::id3v2_length(&source.read_range(at..at + 10)?) else { break };
        at = at.saturating_add(tag);
        if at >= length {
            // A tag of a wrong length: what is behind its header may be sound.
            return Ok(10);
        }
    }
    Ok(at)
}

fn is_container(head: &[u8]) -> bool {
    [&b"OggS"[..], b"RIFF", b"RF64", b"BW64", b"fLaC", &EBML].iter().any(|magic| head.starts_with(magic))
        || head.get(4..8) == Some(b"ftyp")
}

/// Opens further demuxers for a file: behind a damaged stretch, or for the next of several joined files.
struct Searcher<S> {
    source: SharedSource<S>,
    /// What the last demuxer saw.
    extent: Extent,
    /// The elements before the first cluster, which every demuxer needs.
    header: Vec<u8>,
    length: u64,
    demuxers: u32,
}

impl<S: Read + Seek + Send + Sync> Searcher<S> {
    fn reopen_matroska<'s>(&mut self, position: u64) -> Option<Reopened<'s>>
    where
        S: 's,
    {
        // Behind the element that the last demuxer began with, so that each gets further.
        let mut from = self.extent.file_position(position).max(self.extent.range.start + 4);
        while self.demuxers < MOST_DEMUXERS {
            self.demuxers += 1;
            let (at, is_joined) = self.find(from)?;
            let header = if is_joined { Vec::new() } else { self.header.clone() };
            self.extent = Extent { header, ..Extent::of(at..self.length) };
            if let Some(Ok(reader)) = demuxer(&self.source, self.extent.clone(), None) {
                return Some(Reopened { reader, is_joined, edits: Vec::new() });
            }
            from = at + 4;
        }
        None
    }

    /// The file that was joined to the one that the last demuxer saw.
    fn open_joined_mp4<'s>(&mut self) -> Option<Reopened<'s>>
    where
        S: 's,
    {
        let start = self.extent.range.end;
        if start >= self.length || self.demuxers >= MOST_DEMUXERS {
            return None;
        }
        self.demuxers += 1;
        let (end, edits) = {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.state().renew_leash();
            let end = mp4::end_of_file(&mut source, start, self.length);
            (end, mp4::prepare(&mut source, start, end).ok()?)
        };
        self.extent = Extent { seekable: true, ..Extent::of(start..end) };
        let reader = demuxer(&self.source, self.extent.clone(), None)?.ok()?;
        Some(Reopened { reader, is_joined: true, edits })
    }

    /// The next EBML header or cluster, and whether it is the former.
    fn find(&self, mut from: u64) -> Option<(u64, bool)> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        while from + 4 <= self.length {
            source.state().renew_leash();
            let bytes = source.read_range(from..self.length.min(from + SEARCH_BYTES)).ok()?;
            let is_start = |word: &[u8]| word == EBML || word == CLUSTER && !self.header.is_empty();
            if let Some(at) = bytes.windows(4).position(is_start) {
                return Some((from + at as u64, bytes[at..].starts_with(&EBML)));
            }
            from += bytes.len() as u64 - 3;
        }
        None
    }
}
