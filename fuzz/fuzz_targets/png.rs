//! The header and the EXIF of a PNG.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: capstan_fuzz::init(), |data: &[u8]| -> Corpus {
    let is_of_this_kind = |data: &[u8]| data.starts_with(b"\x89PNG");
    capstan_fuzz::image(data, is_of_this_kind)
});
