//! Tags around the sound: ID3v2 before it; ID3v1, Lyrics3 and APE behind it.

/// Length of the ID3v2 tag that `bytes` begin with: 10 bytes of header, 28 bits of size, perhaps a
/// footer (ID3v2.4 main structure, section 3.1).
pub(crate) fn id3v2_length(bytes: &[u8]) -> Option<u64> {
    let &[b'I', b'D', b'3', major, _, flags, a, b, c, d, ..] = bytes else { return None };
    if major == 0xff || [a, b, c, d].iter().any(|byte| *byte >= 0x80) {
        return None;
    }
    let size = [a, b, c, d].iter().fold(0_u64, |size, byte| size << 7 | u64::from(*byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + size + footer)
}

/// Length of all tags that `tail`, the end of a file, ends with.
pub(crate) fn length_at_end(tail: &[u8]) -> u64 {
    let mut sound = tail;
    let mut beyond = 0;
    while let Some(length) = last_tag(sound) {
        let inside = usize::try_from(length).unwrap_or(usize::MAX).min(sound.len());
        beyond += length - inside as u64;
        sound = &sound[..sound.len() - inside];
    }
    (tail.len() - sound.len()) as u64 + beyond
}

fn last_tag(bytes: &[u8]) -> Option<u64> {
    let from_end = |count: usize| bytes.get(bytes.len().checked_sub(count)?..);
    if from_end(128).is_some_and(|tag| tag.starts_with(b"TAG")) {
        return Some(128);
    }
    // The enhanced tag in front of an ID3v1 tag.
    if from_end(227).is_some_and(|tag| tag.starts_with(b"TAG+")) {
        return Some(227);
    }
    if let Some([size @ .., b'L', b'Y', b'R', b'I', b'C', b'S', b'2', b'0', b'0']) = from_end(15) {
        let size = std::str::from_utf8(size).ok()?.parse::<u64>().ok()?;
        return Some(size + 15);
    }
    // The footer of an APE tag states the size without the header, which a flag announces.
    let footer = from_end(32).filter(|footer| footer.starts_with(b"APETAGEX"))?;
    let number = |at: usize| u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]]);
    let header = if number(20) >> 31 == 1 { 32 } else { 0 };
    Some(u64::from(number(12).max(32)) + header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_id3v2_tag_counts_seven_bits_a_byte() {
        assert_eq!(id3v2_length(b"ID3\x04\0\0\0\0\x02\x01rest"), Some(10 + 257));
        assert_eq!(id3v2_length(b"ID3\x04\0\x10\0\0\0\0"), Some(20));
        assert_eq!(id3v2_length(b"ID3\x04\0\0\0\0\x80\0"), None);
        assert_eq!(id3v2_length(b"ID3"), None);
    }

    #[test]
    fn tags_at_the_end_are_measured_together() {
        let ape = |items: usize| {
            let mut tag = b"APETAGEX".to_vec();
            tag.extend(2000_u32.to_le_bytes());
            tag.extend((items as u32 + 32).to_le_bytes());
            tag.extend(0_u32.to_le_bytes());
            tag.extend((1_u32 << 31).to_le_bytes());
            tag.extend([0; 8]);
            tag
        };
        let mut file = vec![7; 500];
        file.extend(ape(100));
        file.extend([1; 100]);
        file.extend(ape(100));
        assert_eq!(length_at_end(&file), 32 + 100 + 32);
        file.extend(b"LYRICSBEGIN");
        file.extend(b"000011LYRICS200");
        let id3v1 = [b"TAG".as_slice(), &[0; 125]].concat();
        file.extend(&id3v1);
        assert_eq!(length_at_end(&file), 164 + 11 + 15 + 128);
        assert_eq!(length_at_end(b"sound"), 0);
        assert_eq!(length_at_end(&[]), 0);
        // Longer than what was looked at.
        assert_eq!(length_at_end(&ape(5000)), 5064);
    }
}
