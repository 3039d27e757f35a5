//! What the client says of its file.

use std::collections::BTreeMap;

use capstan_domain::{
    ClaimedPart, EntityTag, Error, ExternalId, FileDetails, FileId, FileType, Md5, Name, PartNumber, RecorderKind,
    Recording, SerialNumber, Sha256, Timestamp,
};
use capstan_http::Request;
use capstan_store::Store;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A file to complete.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UploadedFile)]
pub(crate) struct Body {
    /// As returned for the upload. Required.
    #[schema(value_type = String, pattern = "^file_")]
    file_id: Option<FileId>,
    /// As returned for the upload. Required.
    #[schema(value_type = String)]
    upload_id: Option<String>,
    /// Every part with the ETag of S3's response. Required. Field names are accepted in any case, with or without an
    /// underscore.
    #[schema(value_type = Vec<PartClaim>)]
    part_list: Option<Vec<BTreeMap<String, Value>>>,
    /// As declared for the upload. Required.
    #[schema(value_type = String)]
    filetype: Option<FileType>,
    /// Kind of the device, `notepin` by default.
    #[schema(value_type = Option<String>, pattern = "^(note|notepin|notepro|other)$")]
    sn_type: Option<RecorderKind>,
    /// Serial number of the device. Required unless `owner_id` is sent or a device token is used.
    #[schema(value_type = Option<String>)]
    sn: Option<SerialNumber>,
    /// `external_id` or identifier of the end user.
    #[schema(value_type = Option<String>)]
    owner_id: Option<ExternalId>,
    /// Name.
    #[schema(value_type = Option<String>, max_length = 255)]
    filename: Option<Name>,
    /// Same as `full_text`.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Name>,
    /// MD5 as 32 hexadecimal digits, to compare with the stored bytes.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{32}$")]
    file_md5: Option<Md5>,
    /// Start of the take, in milliseconds since 1970.
    start_time: Option<i64>,
    /// End of the take, in milliseconds since 1970.
    end_time: Option<i64>,
    /// Duration, in the client's unit.
    duration: Option<i64>,
    /// Time zone, in hours from UTC.
    timezone: Option<i64>,
    /// Minutes of the time zone beyond its hours.
    zonemins: Option<i64>,
}

/// A part that the client has uploaded.
#[derive(Debug, ToSchema)]
#[schema(as = FilePartClaim)]
#[allow(dead_code, reason = "describes the part in the OpenAPI document")]
pub(crate) struct PartClaim {
    /// Number of the part.
    #[schema(rename = "PartNumber")]
    part_number: u16,
    /// `ETag` header of S3's response, with or without quotes.
    #[schema(rename = "ETag")]
    etag: String,
}

/// The same, checked.
pub(crate) struct Claim {
    pub(crate) file_id: FileId,
    pub(crate) upload_id: String,
    pub(crate) parts: Vec<ClaimedPart>,
    pub(crate) file_type: FileType,
    pub(crate) name: Option<Name>,
    pub(crate) md5: Option<Md5>,
    pub(crate) details: FileDetails,
    /// The hash of the whole body, by which its exact repeat is known.
    pub(crate) body: Sha256,
    /// Whether it came to the partners' interface, which knows neither recorders nor owners.
    pub(crate) by_partner: bool,
}

impl Claim {
    /// The claim, and the recording that it is of.
    pub(crate) async fn read(
        request: &Request,
        by_partner: bool,
        store: &Store,
    ) -> Result<(Self, Option<Recording>), Error> {
        let claim = Self::of(request, by_partner)?;
        let recording = store.recording(&claim.file_id.recording_id()).await?;
        Ok((claim, recording))
    }

    fn of(request: &Request, by_partner: bool) -> Result<Self, Error> {
        let body: Body = request.json()?;
        let parts = body.part_list.ok_or_else(|| Error::required("part_list"))?;
        if parts.is_empty() {
            return Err(Error::invalid("part_list", "must name every part"));
        }
        let parts = parts.iter().enumerate().map(|(place, part)| claimed(place, part)).collect::<Result<_, _>>()?;
        let details = FileDetails {
            recorder_kind: body.sn_type.unwrap_or_default(),
            serial_number: body.sn,
            owner_id: body.owner_id,
            start_time: body.start_time,
            end_time: body.end_time,
            duration: body.duration,
            timezone: body.timezone,
            zonemins: body.zonemins,
        };
        Ok(Self {
            file_id: body.file_id.ok_or_else(|| Error::required("file_id"))?,
            upload_id: body.upload_id.ok_or_else(|| Error::required("upload_id"))?,
            parts,
            file_type: body.filetype.ok_or_else(|| Error::required("filetype"))?,
            name: body.filename.or(body.name),
            md5: body.file_md5,
            details,
            body: Sha256::of(request.body()),
            by_partner,
        })
    }
}

/// Clients write `PartNumber`, `partNumber` and `part_number`, and `ETag` in as many ways.
fn claimed(place: usize, part: &BTreeMap<String, Value>) -> Result<ClaimedPart, Error> {
    let field = |wanted: &str| {
        let is_it = |name: &str| name.replace('_', "").eq_ignore_ascii_case(wanted);
        part.iter().find(|(name, _)| is_it(name)).map(|(_, value)| value)
    };
    let number = field("partnumber").and_then(|number| match number {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(PartNumber::new),
    });
    let etag = field("etag").and_then(Value::as_str).filter(|etag| !etag.is_empty());
    Ok(ClaimedPart {
        number: number.ok_or_else(|| Error::invalid(format!("part_list[{place}].PartNumber"), PartNumber::RULE))?,
        etag: EntityTag::new(etag.ok_or_else(|| Error::required(&format!("part_list[{place}].ETag")))?),
    })
}

/// Start and end of the take.
///
/// # Errors
/// [`Error::Invalid`] for a time outside the calendar, and for an end before the start.
pub(crate) fn times(details: &FileDetails) -> Result<(Option<Timestamp>, Option<Timestamp>), Error> {
    let start = time("start_time", details.start_time)?;
    let end = time("end_time", details.end_time)?;
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        return Err(Error::invalid("end_time", "must not be before start_time"));
    }
    Ok((start, end))
}

fn time(field: &str, milliseconds: Option<i64>) -> Result<Option<Timestamp>, Error> {
    let rule = || Error::invalid(field, "must be milliseconds since 1970");
    milliseconds.map(|milliseconds| Timestamp::from_milliseconds(milliseconds).ok_or_else(rule)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_in_order() {
        let times = |start_time, end_time| times(&FileDetails { start_time, end_time, ..FileDetails::default() });
        let (start, end) = times(Some(1_736_931_600_000), Some(1_736_931_601_500)).unwrap();
        assert_eq!(start.unwrap().to_string(), "2025-01-15T09:00:00Z");
        assert_eq!(end.unwrap().to_string(), "2025-01-15T09:00:01.500Z");
        assert_eq!(times(None, None).unwrap(), (None, None));
        assert_eq!(times(Some(2), Some(1)).unwrap_err().to_string(), "end_time: must not be before start_time");
        assert!(times(Some(i64::MAX), None).is_err());
    }
}
