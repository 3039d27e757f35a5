//! Reading fixtures and running them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use capstan_audio::{AudioError, Job, Processed, RenditionKind, TranscriptionRendition, process};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::TrackType;
use symphonia::core::io::MediaSourceStream;
use tempfile::TempDir;

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Expected {
    pub(crate) codec: String,
    pub(crate) sample_rate_hz: u32,
    pub(crate) channels: u16,
    /// What decoding with ffmpeg yields; the containers of some round or leave out the padding.
    pub(crate) decoded_s: f64,
    pub(crate) loudness_lufs: Option<f64>,
    pub(crate) reference: Option<String>,
}

pub(crate) type Run = (Result<Processed, AudioError>, TempDir);

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// Long enough for all of them.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// The names of all media files.
pub(crate) fn fixtures() -> Vec<String> {
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains('.') && ![".sh", ".py", ".json"].iter().any(|end| name.ends_with(end))).collect()
}

pub(crate) fn expected() -> BTreeMap<String, Expected> {
    serde_json::from_slice(&fixture("expected.json")).unwrap()
}

pub(crate) fn run_bytes(data: Vec<u8>, transcription: TranscriptionRendition) -> Run {
    let scratch = tempfile::tempdir().unwrap();
    let length = data.len() as u64;
    let job = Job { scratch: scratch.path(), longest: LONGEST, transcription };
    (process(Cursor::new(data), length, &job, &mut |_| std::ops::ControlFlow::Continue(())), scratch)
}

thread_local! {
    static OWN_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Processes `data`, and panics if the crate's own code panicked, although [`process`] reports that as a damaged file.
pub(crate) fn run_without_own_panic(data: Vec<u8>, transcription: TranscriptionRendition) -> Run {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match panic.location() {
            Some(at) if at.file().contains("shared/audio/src") => {
                OWN_PANIC.with_borrow_mut(|own| *own = Some(panic.to_string()));
            }
            Some(at) if at.file().contains("/tests/") => usual(panic),
            _ => {}
        }));
    });
    OWN_PANIC.take();
    let run = run_bytes(data, transcription);
    assert_eq!(OWN_PANIC.take(), None);
    // It would be tried again for nothing: the bytes are all there.
    assert!(!matches!(run.0, Err(AudioError::Source(_) | AudioError::Scratch(_))), "{:?}", run.0);
    run
}

pub(crate) fn run_as(name: &str, transcription: TranscriptionRendition) -> Run {
    run_bytes(fixture(name), transcription)
}

pub(crate) fn run(name: &str) -> Run {
    run_as(name, TranscriptionRendition::WhenNeeded)
}

/// The bytes of a rendition, if it was made. Their number must be the stated one.
pub(crate) fn made(run: &Run, kind: RenditionKind) -> Option<Vec<u8>> {
    let renditions = &run.0.as_ref().unwrap().renditions;
    let rendition = renditions.iter().find(|rendition| rendition.kind == kind)?;
    let bytes = std::fs::read(&rendition.path).unwrap();
    assert_eq!(bytes.len() as u64, rendition.size_bytes);
    Some(bytes)
}

/// Decodes FLAC or WAV to 16-bit samples with its checksum verified, apart from the crate's own code.
pub(crate) fn samples(data: Vec<u8>) -> Vec<i16> {
    let stream = MediaSourceStream::new(Box::new(std::io::Cursor::new(data)), Default::default());
    let probe = symphonia::default::get_probe();
    let mut reader = probe.probe(&Default::default(), stream, Default::default(), Default::default()).unwrap();
    let track = reader.default_track(TrackType::Audio).unwrap();
    let params = track.codec_params.as_ref().unwrap().audio().unwrap();
    assert_eq!((params.sample_rate, params.channels.as_ref().unwrap().count()), (Some(16_000), 1));
    let options = AudioDecoderOptions::default().verify(true);
    let stated = track.num_frames;
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(params, &options).unwrap();
    let (mut all, mut block) = (Vec::new(), Vec::<i16>::new());
    while let Some(packet) = reader.next_packet().unwrap() {
        decoder.decode(&packet).unwrap().copy_to_vec_interleaved(&mut block);
        all.extend_from_slice(&block);
    }
    // `Some(false)` would be a wrong MD5; WAV has none.
    assert_ne!(decoder.finalize().verify_ok, Some(false));
    assert_eq!(stated, Some(all.len() as u64), "samples stated in the header");
    all
}
