//! WAV, RF64 and BW64.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: capstan_fuzz::init(), |data: &[u8]| -> Corpus {
    let is_of_this_kind = |data: &[u8]| [b"RIFF", b"RF64", b"BW64"].iter().any(|magic| data.starts_with(*magic));
    capstan_fuzz::audio(data, is_of_this_kind)
});
