//! A file of the Plaud-shaped API: a recording with one audio file that is uploaded in parts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ContentType, ExternalId, Model, SerialNumber};

/// The type of a file in the Plaud-shaped API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileType {
    /// Ogg Opus.
    Opus,
    /// MP3.
    Mp3,
    /// WAV.
    Wav,
    /// AAC in MP4.
    M4a,
    /// Ogg.
    Ogg,
    /// FLAC.
    Flac,
    /// WebM.
    Webm,
    /// AAC in ADTS.
    Aac,
}

impl FileType {
    /// Every type.
    pub const ALL: [FileType; 8] =
        [Self::Opus, Self::Mp3, Self::Wav, Self::M4a, Self::Ogg, Self::Flac, Self::Webm, Self::Aac];

    /// As the Plaud-shaped API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
            Self::M4a => "m4a",
            Self::Ogg => "ogg",
            Self::Flac => "flac",
            Self::Webm => "webm",
            Self::Aac => "aac",
        }
    }

    /// The MIME type of such files.
    pub fn content_type(self) -> ContentType {
        match self {
            Self::Opus => ContentType::AudioOpus,
            Self::Mp3 => ContentType::AudioMpeg,
            Self::Wav => ContentType::AudioWav,
            Self::M4a => ContentType::AudioMp4,
            Self::Ogg => ContentType::AudioOgg,
            Self::Flac => ContentType::AudioFlac,
            Self::Webm => ContentType::AudioWebm,
            Self::Aac => ContentType::AudioAac,
        }
    }
}

impl FromStr for FileType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            let taken = Self::ALL.map(Self::as_str).join(", ");
            format!("must be one of {taken}")
        })
    }
}

impl<'de> Deserialize<'de> for FileType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The kind of a device in the Plaud-shaped API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecorderKind {
    /// On the back of a phone.
    Note,
    /// Worn.
    #[default]
    Notepin,
    /// On the back of a phone, with a display.
    Notepro,
    /// Any other.
    Other,
}

impl RecorderKind {
    /// Every kind.
    pub const ALL: [RecorderKind; 4] = [Self::Note, Self::Notepin, Self::Notepro, Self::Other];

    /// The kind of a device of this model.
    pub fn of_model(model: &Model) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == model.as_str()).unwrap_or(Self::Other)
    }

    /// The model of a device by its kind.
    pub fn model(self) -> Option<Model> {
        self.as_str().parse().ok()
    }

    /// As the Plaud-shaped API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Notepin => "notepin",
            Self::Notepro => "notepro",
            Self::Other => "other",
        }
    }
}

/// An MD5, written as 32 hexadecimal digits. It detects damage, not manipulation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5([u8; 16]);

impl Md5 {
    /// From the bytes of a hash.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Md5({self})")
    }
}

impl FromStr for Md5 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "must be an MD5 as 32 hexadecimal digits")?;
        Ok(Self(bytes))
    }
}

impl Serialize for Md5 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Md5 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a Plaud-shaped client sends when it completes an upload. It is returned unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDetails {
    /// Kind of the device.
    pub recorder_kind: RecorderKind,
    /// Serial number of the device.
    pub serial_number: Option<SerialNumber>,
    /// The owner, as named by the client.
    pub owner_id: Option<ExternalId>,
    /// When it began, in milliseconds since 1970.
    pub start_time: Option<i64>,
    /// When it ended, in milliseconds since 1970.
    pub end_time: Option<i64>,
    /// Duration in the client's own unit.
    pub duration: Option<i64>,
    /// Time zone in hours from UTC.
    pub timezone: Option<i64>,
    /// The minutes of the time zone beyond its hours.
    pub zonemins: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_type_in_any_case_and_lists_the_types_otherwise() {
        assert_eq!("OPUS".parse(), Ok(FileType::Opus));
        assert_eq!(
            "amr".parse::<FileType>(),
            Err("must be one of opus, mp3, wav, m4a, ogg, flac, webm, aac".to_owned())
        );
    }

    #[test]
    fn prints_an_md5_in_lower_case() {
        let md5: Md5 = "D41D8CD98F00B204E9800998ECF8427E".parse().unwrap();
        assert_eq!(md5.to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        assert!("d41d8cd9".parse::<Md5>().is_err());
    }
}
