//! MP3, with and without ID3 tags.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: capstan_fuzz::init(), |data: &[u8]| -> Corpus {
    let is_of_this_kind = |data: &[u8]| data.starts_with(b"ID3") || matches!(data, [0xff, 0xe2..=0xff, ..]);
    capstan_fuzz::audio(data, is_of_this_kind)
});
