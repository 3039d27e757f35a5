//! What a file is, by its name.

use std::path::Path;

/// Content types by the extensions of file names.
const TYPES: [(&str, &str); 14] = [
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("m4a", "audio/mp4"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/opus"),
    ("png", "image/png"),
    ("wave", "audio/wav"),
    ("wav", "audio/wav"),
    ("webm", "audio/webm"),
];

/// The content type by the extension, in upper or lower case.
pub(crate) fn of_name(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    TYPES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, content_type)| *content_type)
}

/// The extensions that are known, for people.
pub(crate) fn known() -> String {
    TYPES.map(|(extension, _)| extension).join(", ")
}

/// The extension for a content type.
pub(crate) fn extension(content_type: &str) -> &str {
    let of_type = TYPES.iter().rev().find(|(_, known)| *known == content_type);
    of_type.map_or_else(|| content_type.rsplit('/').next().unwrap_or("bin"), |(extension, _)| extension)
}
