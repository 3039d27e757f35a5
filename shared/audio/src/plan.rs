//! Which renditions a file needs.

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known as id;

use crate::TranscriptionRendition;
use crate::container::Container;

macro_rules! codecs {
    ($($variant:ident = $name:literal $(, $id:ident)?;)+) => {
        /// The codec of the sound that was decoded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        #[allow(missing_docs)] // The names are the documentation.
        pub enum Codec { $($variant,)+ }

        impl Codec {
            /// The name as ffprobe prints it in `codec_name`, such as `opus` or `pcm_s16le`. AAC-LC is `aac`, HE-AAC
            /// that says so is `he_aac`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub(crate) fn of(codec: AudioCodecId) -> Option<Self> {
                match codec { $($(id::$id => Some(Self::$variant),)?)+ _ => None }
            }
        }
    };
}

codecs! {
    Opus = "opus", CODEC_ID_OPUS;
    Vorbis = "vorbis", CODEC_ID_VORBIS;
    Mp3 = "mp3", CODEC_ID_MP3;
    Aac = "aac", CODEC_ID_AAC;
    HeAac = "he_aac";
    Alac = "alac", CODEC_ID_ALAC;
    Flac = "flac", CODEC_ID_FLAC;
    PcmU8 = "pcm_u8", CODEC_ID_PCM_U8;
    PcmS8 = "pcm_s8", CODEC_ID_PCM_S8;
    PcmS16Le = "pcm_s16le", CODEC_ID_PCM_S16LE;
    PcmS16Be = "pcm_s16be", CODEC_ID_PCM_S16BE;
    PcmS24Le = "pcm_s24le", CODEC_ID_PCM_S24LE;
    PcmS24Be = "pcm_s24be", CODEC_ID_PCM_S24BE;
    PcmS32Le = "pcm_s32le", CODEC_ID_PCM_S32LE;
    PcmS32Be = "pcm_s32be", CODEC_ID_PCM_S32BE;
    PcmF32Le = "pcm_f32le", CODEC_ID_PCM_F32LE;
    PcmF32Be = "pcm_f32be", CODEC_ID_PCM_F32BE;
    PcmF64Le = "pcm_f64le", CODEC_ID_PCM_F64LE;
    PcmF64Be = "pcm_f64be", CODEC_ID_PCM_F64BE;
    PcmAlaw = "pcm_alaw", CODEC_ID_PCM_ALAW;
    PcmMulaw = "pcm_mulaw", CODEC_ID_PCM_MULAW;
    AdpcmMs = "adpcm_ms", CODEC_ID_ADPCM_MS;
    AdpcmImaWav = "adpcm_ima_wav", CODEC_ID_ADPCM_IMA_WAV;
}

/// Whether every current browser plays the original, small enough to be streamed.
///
/// Chrome, Edge, Firefox and Safari 18.4 all play Opus in Ogg, WebM and MP4, MP3, and AAC in MP4
/// and ADTS. They do not all play Vorbis or Matroska, and more than two channels play as something
/// else on each. Lossless sound plays, at ten times the size.
pub(crate) fn needs_playback(container: Container, codec: Codec, channels: usize) -> bool {
    let plays =
        matches!(codec, Codec::Opus | Codec::Mp3 | Codec::Aac | Codec::HeAac) && container != Container::Matroska;
    !plays || channels > 2
}

/// Whether the transcription rendition is made.
///
/// The usual services take FLAC, MP3, AAC in MP4, WAV, and Opus in Ogg and WebM, each with one or
/// two channels.
pub(crate) fn needs_transcription(
    wanted: TranscriptionRendition,
    container: Container,
    codec: Codec,
    channels: usize,
) -> bool {
    let taken = match container {
        Container::Flac | Container::Mpeg => true,
        Container::Wav => {
            matches!(codec, Codec::PcmU8 | Codec::PcmS16Le | Codec::PcmS24Le | Codec::PcmS32Le | Codec::PcmF32Le)
        }
        Container::Mp4 => matches!(codec, Codec::Aac | Codec::HeAac),
        Container::Ogg | Container::WebM => codec == Codec::Opus,
        Container::Adts | Container::Matroska => false,
    };
    wanted == TranscriptionRendition::Always || !taken || channels > 2
}
