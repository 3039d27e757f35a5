//! Names of fields in the Plaud-shaped API.

use capstan_domain::Field;

/// The name of a field in the Plaud-shaped API; `None` if it has no other name.
pub(crate) fn field_name(field: &Field) -> Option<String> {
    match field {
        Field::FileSize => Some("filesize".to_owned()),
        Field::FileType => Some("filetype".to_owned()),
        Field::Parts => Some("part_list".to_owned()),
        Field::PartNumber(index) => Some(format!("part_list[{index}].PartNumber")),
        Field::PartTag(index) => Some(format!("part_list[{index}].ETag")),
        Field::Named(_) | Field::MediaId | Field::Multipart | Field::EndUserId | Field::ExternalId => None,
    }
}
