//! What the client says of its file.

use std::collections::BTreeMap;

use capstan_domain::{
    ClaimedPart, EntityTag, Error, ExternalId, FileDetails, FileId, FileType, Md5, Name, PartNumber, RecorderKind,
    Recording, SerialNumber, Sha256,
};
use capstan_http::Request;
use capstan_store::Store;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A file that was uploaded.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UploadedFile)]
pub(crate) struct Body {
    /// As it was given for the upload. Required.
    #[schema(value_type = String, pattern = "^file_")]
    file_id: Option<FileId>,
    /// As it was given for the upload. Required.
    #[schema(value_type = String)]
    upload_id: Option<String>,
    /// Every part with the ETag that S3 answered. Required. The names of the fields count in any case, with or without
    /// an underscore.
    #[schema(value_type = Vec<PartClaim>)]
    part_list: Option<Vec<BTreeMap<String, Value>>>,
    /// As it was said for the upload. Required.
    #[schema(value_type = String)]
    filetype: Option<FileType>,
    /// The kind of the recorder; `notepin` unless given.
    #[schema(value_type = Option<String>, pattern = "^(note|notepin|notepro|other)$")]
    sn_type: Option<RecorderKind>,
    /// The serial number of the recorder. This or `owner_id`, unless a device token says whose it is.
    #[schema(value_type = Option<String>)]
    sn: Option<SerialNumber>,
    /// What the project's own system calls whose it is, or an end user's id.
    #[schema(value_type = Option<String>)]
    owner_id: Option<ExternalId>,
    /// What it is called.
    #[schema(value_type = Option<String>, max_length = 255)]
    filename: Option<Name>,
    /// The same.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Name>,
    /// MD5 of the file as 32 hexadecimal digits, to be compared with the stored bytes.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{32}$")]
    file_md5: Option<Md5>,
    /// When it began, in milliseconds since 1970.
    start_time: Option<i64>,
    /// When it ended, in milliseconds since 1970.
    end_time: Option<i64>,
    /// How long it is.
    duration: Option<i64>,
    /// The time zone it was made in.
    timezone: Option<i64>,
    /// The minutes of the time zone.
    zonemins: Option<i64>,
}

/// A part as the client knows it.
#[derive(Debug, ToSchema)]
#[schema(as = FilePartClaim)]
#[allow(dead_code, reason = "describes the part in the OpenAPI document")]
pub(crate) struct PartClaim {
    /// Which.
    #[schema(rename = "PartNumber")]
    part_number: u16,
    /// The `ETag` header of S3's answer, with or without its quotes.
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
