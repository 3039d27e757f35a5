//! AAC in ADTS.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: capstan_fuzz::init(), |data: &[u8]| -> Corpus {
    let is_of_this_kind = |data: &[u8]| matches!(data, [0xff, 0xf0 | 0xf1 | 0xf8 | 0xf9, ..]);
    capstan_fuzz::audio(data, is_of_this_kind)
});
