//! Declarations of a file: type, size, hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest;

use crate::Error;

/// The kind of a media file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaType {
    /// Audio.
    Audio,
    /// An image.
    Image,
    /// A video. Only its audio is used.
    Video,
}

impl MediaType {
    /// `audio`, `image` or `video`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Image => "image",
            Self::Video => "video",
        }
    }
}

macro_rules! content_types {
    ($($variant:ident => $text:literal, $kind:ident, $extension:literal;)*) => {
        /// A supported MIME type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ContentType {
            $(#[doc = $text] #[serde(rename = $text)] $variant,)*
        }

        impl ContentType {
            /// Every type.
            pub const ALL: &[ContentType] = &[$(Self::$variant),*];

            /// The MIME type.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The kind of media file.
            pub fn media_type(self) -> MediaType {
                match self { $(Self::$variant => MediaType::$kind),* }
            }

            /// The extension of the object key, without the dot.
            pub fn extension(self) -> &'static str {
                match self { $(Self::$variant => $extension),* }
            }
        }
    };
}

content_types! {
    AudioOpus => "audio/opus", Audio, "opus";
    AudioWav => "audio/wav", Audio, "wav";
    AudioMpeg => "audio/mpeg", Audio, "mp3";
    AudioMp4 => "audio/mp4", Audio, "m4a";
    AudioWebm => "audio/webm", Audio, "webm";
    AudioOgg => "audio/ogg", Audio, "ogg";
    AudioFlac => "audio/flac", Audio, "flac";
    AudioAac => "audio/aac", Audio, "aac";
    AudioXWav => "audio/x-wav", Audio, "wav";
    AudioWave => "audio/wave", Audio, "wav";
    AudioVndWave => "audio/vnd.wave", Audio, "wav";
    AudioMp3 => "audio/mp3", Audio, "mp3";
    AudioM4a => "audio/m4a", Audio, "m4a";
    AudioXM4a => "audio/x-m4a", Audio, "m4a";
    AudioXFlac => "audio/x-flac", Audio, "flac";
    Audio3gpp => "audio/3gpp", Audio, "3gp";
    ImageJpeg => "image/jpeg", Image, "jpg";
    ImagePng => "image/png", Image, "png";
    VideoMp4 => "video/mp4", Video, "mp4";
    VideoWebm => "video/webm", Video, "webm";
    VideoQuicktime => "video/quicktime", Video, "mov";
}

impl ContentType {
    /// The most widely known name of the same format: `audio/wav` for `audio/x-wav`, `audio/mp4` for `audio/3gpp`.
    #[must_use]
    pub fn usual(self) -> Self {
        match self {
            Self::AudioXWav | Self::AudioWave | Self::AudioVndWave => Self::AudioWav,
            Self::AudioMp3 => Self::AudioMpeg,
            Self::AudioM4a | Self::AudioXM4a | Self::Audio3gpp => Self::AudioMp4,
            Self::AudioXFlac => Self::AudioFlac,
            Self::VideoWebm => Self::AudioWebm,
            Self::VideoQuicktime => Self::VideoMp4,
            usual => usual,
        }
    }

    /// The type that a client declared by kind, MIME type, both or neither.
    ///
    /// # Errors
    /// [`Error::FileTypeInvalid`] for a type that Capstan does not take or that is not of the declared kind.
    pub fn declared(kind: Option<MediaType>, mime_type: Option<&str>) -> Result<Self, Error> {
        let Some(mime_type) = mime_type else {
            return Ok(match kind {
                None | Some(MediaType::Audio) => Self::AudioOpus,
                Some(MediaType::Image) => Self::ImageJpeg,
                Some(MediaType::Video) => Self::VideoMp4,
            });
        };
        // Browsers name the codec as well: `audio/webm;codecs=opus`.
        let essence = mime_type.split(';').next().unwrap_or_default().trim();
        let known = Self::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(essence));
        match (known, kind) {
            (Some(known), None) => Ok(known),
            (Some(known), Some(kind)) if known.media_type() == kind => Ok(known),
            (_, kind) => {
                let taken: Vec<_> = Self::ALL
                    .iter()
                    .filter(|known| kind.is_none_or(|kind| known.media_type() == kind))
                    .map(|known| known.as_str())
                    .collect();
                let of_kind = kind.map_or(String::new(), |kind| format!(" for {}", kind.as_str()));
                Err(Error::file_type(format!("must be one of {}{of_kind}", taken.join(", "))))
            }
        }
    }
}

impl ContentType {
    /// The type by the extension of an object key; MP4 video, as meetings are recorded, for an unknown extension.
    pub fn of_key(key: &str) -> Self {
        let is_it =
            |known: &&Self| key.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case(known.extension()));
        Self::ALL.iter().find(is_it).copied().unwrap_or(Self::VideoMp4)
    }
}

/// The size of a file: 1 byte to 10,000 parts of 5 GiB, S3's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u64", try_from = "u64")]
pub struct FileSize(u64);

impl From<FileSize> for u64 {
    fn from(size: FileSize) -> Self {
        size.0
    }
}

impl TryFrom<u64> for FileSize {
    type Error = Error;

    fn try_from(bytes: u64) -> Result<Self, Error> {
        Self::new(bytes)
    }
}

impl FileSize {
    /// Largest size in bytes, 48.8 TiB.
    pub const MAX: u64 = 10_000 * Self::MAX_BY_PUT;
    /// Largest size of one PUT in bytes, 5 GiB.
    pub const MAX_BY_PUT: u64 = 5 * 1024 * 1024 * 1024;

    /// A size in bytes.
    ///
    /// # Errors
    /// [`Error::FileSizeInvalid`] outside 1 to [`Self::MAX`].
    pub fn new(bytes: u64) -> Result<Self, Error> {
        if (1..=Self::MAX).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(Error::file_size(format!("must be 1 to {} bytes", Self::MAX)))
        }
    }

    /// A size from JSON.
    ///
    /// # Errors
    /// [`Error::FileSizeInvalid`] for what is no whole number, and as [`Self::new`].
    pub fn from_json(number: &serde_json::Number) -> Result<Self, Error> {
        // Zero stands for every number that is no size: the rule is the same.
        Self::new(number.as_u64().unwrap_or(0))
    }

    /// The same size, if one PUT can upload it.
    ///
    /// # Errors
    /// [`Error::FileSizeInvalid`] over [`Self::MAX_BY_PUT`].
    pub fn by_one_put(self) -> Result<Self, Error> {
        if self.0 <= Self::MAX_BY_PUT {
            return Ok(self);
        }
        let rule = format!("must be 1 to {} bytes (5 GiB) unless multipart is true", Self::MAX_BY_PUT);
        Err(Error::file_size(rule))
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// From the bytes of a hash.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl FromStr for Sha256 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "must be a SHA-256 as 64 hexadecimal digits")?;
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_defaults_from_the_kind_and_the_kind_from_the_type() {
        assert_eq!(ContentType::declared(None, None).unwrap(), ContentType::AudioOpus);
        assert_eq!(ContentType::declared(Some(MediaType::Video), None).unwrap(), ContentType::VideoMp4);
        assert_eq!(ContentType::declared(None, Some("image/png")).unwrap().media_type(), MediaType::Image);
        assert_eq!(ContentType::declared(None, Some("Audio/WebM; codecs=opus")).unwrap(), ContentType::AudioWebm);
    }

    #[test]
    fn accepts_the_names_that_browsers_and_phones_use() {
        for (name, usual) in [
            ("audio/x-wav", ContentType::AudioWav),
            ("audio/wave", ContentType::AudioWav),
            ("audio/vnd.wave", ContentType::AudioWav),
            ("audio/mp3", ContentType::AudioMpeg),
            ("audio/x-m4a", ContentType::AudioMp4),
            ("audio/m4a", ContentType::AudioMp4),
            ("audio/3gpp", ContentType::AudioMp4),
            ("audio/x-flac", ContentType::AudioFlac),
            ("video/webm", ContentType::AudioWebm),
            ("video/quicktime", ContentType::VideoMp4),
        ] {
            let declared = ContentType::declared(None, Some(name)).unwrap();
            assert_eq!((declared.as_str(), declared.usual()), (name, usual));
        }
        assert_eq!(ContentType::of_key("meeting.webm"), ContentType::AudioWebm);
    }

    #[test]
    fn refuses_a_type_of_another_kind_and_names_those_that_fit() {
        let error = ContentType::declared(Some(MediaType::Image), Some("audio/wav")).unwrap_err();
        assert_eq!(error.to_string(), "file type: must be one of image/jpeg, image/png for image");
        assert!(ContentType::declared(None, Some("audio/midi")).is_err());
    }

    #[test]
    fn accepts_sizes_from_1_byte_to_50_tib() {
        assert!(FileSize::new(0).is_err());
        assert!(FileSize::new(1).is_ok());
        assert!(FileSize::new(FileSize::MAX).is_ok());
        assert!(FileSize::new(FileSize::MAX + 1).is_err());
        assert!(serde_json::from_str::<FileSize>("0").is_err());
        assert!(FileSize::new(FileSize::MAX_BY_PUT).unwrap().by_one_put().is_ok());
        assert!(FileSize::new(FileSize::MAX_BY_PUT + 1).unwrap().by_one_put().is_err());
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits_in_either_case() {
        let empty = Sha256::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(empty.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(empty));
        assert!(text[1..].parse::<Sha256>().is_err());
    }
}
