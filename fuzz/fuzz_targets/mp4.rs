//! MP4: AAC, ALAC, Opus, FLAC, MP3 and PCM.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: capstan_fuzz::init(), |data: &[u8]| -> Corpus {
    let is_of_this_kind = |data: &[u8]| data.get(4..8) == Some(b"ftyp");
    capstan_fuzz::audio(data, is_of_this_kind)
});
