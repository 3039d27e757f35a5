//! Opus, Vorbis and FLAC in Ogg.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: capstan_fuzz::init(), |data: &[u8]| -> Corpus {
    let is_of_this_kind = |data: &[u8]| data.starts_with(b"OggS");
    capstan_fuzz::audio(data, is_of_this_kind)
});
