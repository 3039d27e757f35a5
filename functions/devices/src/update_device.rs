//! `PATCH /v1/devices/{id}`

use capstan_domain::{Action, DeviceChange, DeviceId, Error, FirmwareVersion, Metadata, Model};
use capstan_http::{Access, DeviceBody, Refusals, Reply, Request, present};
use serde::Deserialize;
use utoipa::ToSchema;

/// Changes. Absent fields stay unchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DeviceChange)]
pub struct Body {
    /// Model. Null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    model: Option<Option<Model>>,
    /// Firmware version. Null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    firmware_version: Option<Option<FirmwareVersion>>,
    /// Replaces all metadata. Null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Metadata>>,
}

/// Updates a device.
///
/// # Errors
/// [`Error::Invalid`], [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    patch, path = "/v1/devices/{id}", operation_id = "updateDevice",
    summary = "Update a device",
    description = "Fields that are absent stay unchanged.",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"])),
    params(("id" = String, Path, description = "Identifier of the device.")),
    request_body = Body,
    responses((status = 200, description = "The updated device.", body = DeviceBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteDevices).await?;
    let id: DeviceId = request.path_id("device")?;
    let change = request.json::<Body>()?.into();
    let device = access.store().update_device(&caller.tenant, &id, &change, request.now()).await?;
    Reply::ok(&DeviceBody::from(&device))
}

impl From<Body> for DeviceChange {
    fn from(body: Body) -> Self {
        let Body { model, firmware_version, metadata } = body;
        Self { model, firmware_version, metadata: metadata.map(Option::unwrap_or_default) }
    }
}

#[cfg(test)]
mod tests;
