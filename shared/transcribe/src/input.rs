//! Which of the files of a media file a provider is given.

use capstan_domain::{AudioFacts, ContentType, Offset, Rendition, RenditionKind};

/// Limits of a provider. Every provider accepts FLAC, the format of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The formats, as they should be.
    pub content_types: &'static [ContentType],
    /// The largest file, in bytes.
    pub largest_bytes: u64,
    /// The longest audio.
    pub longest: Offset,
}

/// An audio file, as far as the choice needs it.
#[derive(Clone, Copy, Debug)]
pub struct SourceAudio<'a> {
    /// Usual name of the declared type of the original.
    pub content_type: ContentType,
    /// How large the original is.
    pub size_bytes: u64,
    /// Content.
    pub facts: &'a AudioFacts,
    /// Renditions of it.
    pub renditions: &'a [Rendition],
}

/// The file that a provider gets of a media file.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// The original.
    Original,
    /// This rendition of it.
    Rendition(&'a Rendition),
    /// Chunks that are yet to be cut, from the original; one, where it is only the format that does not fit.
    Cut,
}

/// The smallest file that the provider takes whole, or chunks where there is none.
pub fn input_for<'a>(limits: &Limits, source_audio: &SourceAudio<'a>) -> Input<'a> {
    if source_audio.facts.duration_ms > limits.longest.milliseconds() {
        return Input::Cut;
    }
    let fits = |content_type, size_bytes: u64| {
        size_bytes <= limits.largest_bytes && limits.content_types.contains(&content_type)
    };
    let original = (is_what_it_says(source_audio.content_type, source_audio.facts)
        && fits(source_audio.content_type, source_audio.size_bytes))
    .then_some((source_audio.size_bytes, Input::Original));
    let renditions = source_audio.renditions.iter().filter_map(|rendition| {
        let fits = fits(rendition_content_type(rendition.kind)?, rendition.size_bytes);
        fits.then_some((rendition.size_bytes, Input::Rendition(rendition)))
    });
    // The original first: of files of one size it is the one that lost nothing.
    let all = original.into_iter().chain(renditions);
    all.min_by_key(|(size_bytes, _)| *size_bytes).map_or(Input::Cut, |(_, input)| input)
}

/// The type of a rendition, if it is audio.
pub fn rendition_content_type(kind: RenditionKind) -> Option<ContentType> {
    match kind {
        RenditionKind::Peaks => None,
        RenditionKind::Playback => Some(ContentType::AudioOgg),
        RenditionKind::Transcription => Some(ContentType::AudioFlac),
    }
}

/// Whether the content is what the type says, in a form that every provider takes: the usual codec of such a file, and at
/// most two channels.
fn is_what_it_says(content_type: ContentType, facts: &AudioFacts) -> bool {
    let codec = facts.codec.as_str();
    let usual = match content_type {
        ContentType::AudioOpus | ContentType::AudioOgg | ContentType::AudioWebm => codec == "opus",
        ContentType::AudioWav => matches!(codec, "pcm_u8" | "pcm_s16le" | "pcm_s24le" | "pcm_s32le" | "pcm_f32le"),
        ContentType::AudioMpeg => codec == "mp3",
        ContentType::AudioMp4 | ContentType::VideoMp4 | ContentType::AudioAac => codec == "aac",
        ContentType::AudioFlac => codec == "flac",
        _ => false,
    };
    usual && facts.channels <= 2
}

#[cfg(test)]
mod tests {
    use capstan_domain::MediaId;

    use super::*;

    const MB: u64 = 1_000_000;
    const LIMITS: Limits = Limits {
        content_types: &[ContentType::AudioOpus, ContentType::AudioOgg, ContentType::AudioFlac, ContentType::AudioWav],
        largest_bytes: 25 * MB,
        longest: Offset::from_milliseconds(2 * 3_600_000),
    };

    /// The name of what is chosen of a media file: declared type, codec, channels, minutes, MB, renditions with their MB.
    fn chosen(
        content_type: ContentType,
        (codec, channels, minutes, megabytes): (&str, u16, u64, u64),
        renditions: &[(RenditionKind, u64)],
    ) -> &'static str {
        let facts = AudioFacts {
            duration_ms: minutes * 60_000,
            codec: codec.to_owned(),
            sample_rate_hz: 48_000,
            channels,
            loudness_lufs: None,
        };
        let media_id: MediaId = "med_1".parse().unwrap();
        let renditions: Vec<_> =
            renditions.iter().map(|(kind, size)| Rendition::new(&media_id, *kind, size * MB)).collect();
        let source_audio =
            SourceAudio { content_type, size_bytes: megabytes * MB, facts: &facts, renditions: &renditions };
        match input_for(&LIMITS, &source_audio) {
            Input::Original => "original",
            Input::Rendition(rendition) => rendition.kind.as_str(),
            Input::Cut => "cut",
        }
    }

    #[test]
    fn the_smallest_file_that_fits_is_taken_or_pieces() {
        use ContentType::{AudioAac, AudioMpeg, AudioOgg, AudioOpus, AudioWav};
        use RenditionKind::{Peaks, Playback, Transcription};
        let peaks = (Peaks, 1);
        for (media_file, facts, renditions, expected) in [
            (AudioOpus, ("opus", 1, 30, 5), vec![peaks], "original"),
            (AudioOpus, ("opus", 1, 30, 5), vec![peaks, (Transcription, 22)], "original"),
            (AudioOpus, ("opus", 1, 119, 25), vec![peaks], "original"),
            (AudioOpus, ("opus", 2, 119, 26), vec![peaks], "cut"),
            (AudioOpus, ("opus", 1, 121, 20), vec![peaks, (Transcription, 9)], "cut"),
            (AudioWav, ("pcm_s16le", 1, 10, 19), vec![peaks, (Playback, 2)], "playback"),
            (AudioWav, ("pcm_s16le", 1, 30, 57), vec![peaks, (Playback, 6)], "playback"),
            (AudioWav, ("pcm_s16le", 1, 30, 57), vec![peaks, (Transcription, 22)], "transcription"),
            (AudioWav, ("pcm_s16le", 1, 30, 57), vec![peaks], "cut"),
            // The declared type is wrong.
            (AudioWav, ("mp3", 1, 10, 5), vec![peaks], "cut"),
            (AudioWav, ("mp3", 1, 10, 5), vec![peaks, (Transcription, 9)], "transcription"),
            (AudioWav, ("pcm_s16le", 8, 10, 5), vec![peaks, (Playback, 2)], "playback"),
            (AudioOgg, ("vorbis", 2, 10, 5), vec![peaks, (Playback, 6), (Transcription, 9)], "playback"),
            // This provider does not take those at all.
            (AudioMpeg, ("mp3", 1, 10, 5), vec![peaks], "cut"),
            (AudioAac, ("aac", 1, 10, 5), vec![peaks, (Transcription, 9)], "transcription"),
        ] {
            assert_eq!(chosen(media_file, facts, &renditions), expected, "{media_file:?} {facts:?} {renditions:?}");
        }
    }

    #[test]
    fn prefers_the_original_among_files_of_equal_size() {
        let renditions = [(RenditionKind::Playback, 5)];
        assert_eq!(chosen(ContentType::AudioOpus, ("opus", 1, 30, 5), &renditions), "original");
    }
}
