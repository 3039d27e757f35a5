//! `POST /v1/devices`

use capstan_domain::{Action, Device, DeviceId, Error, FirmwareVersion, Metadata, Model, SerialNumber, Tenant};
use capstan_http::{Access, DeviceBody, Refusals, Reply, Request};
use capstan_store::Registered;
use serde::Deserialize;
use utoipa::ToSchema;

/// A device to register.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewDevice)]
pub struct Body {
    /// Serial number, unique within the project. Required.
    #[schema(value_type = String, min_length = 1, max_length = 255)]
    serial_number: Option<SerialNumber>,
    /// Model.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    model: Option<Model>,
    /// Firmware version.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    firmware_version: Option<FirmwareVersion>,
    /// Any JSON object of at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
}

/// Registers a device, or returns the one with the serial number.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/devices", operation_id = "createDevice",
    summary = "Register a device",
    description = "Returns the existing device, unchanged, if the serial number is already registered.",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"])),
    request_body = Body,
    responses(
        (status = 201, description = "The new device.", body = DeviceBody),
        (status = 200, description = "The existing device with this serial number.", body = DeviceBody),
        Refusals,
    ),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteDevices).await?;
    let device = request.json::<Body>()?.describe(caller.tenant, &request)?;
    match access.store().register_device(&device).await? {
        Registered::New => Reply::created(&DeviceBody::from(&device)),
        Registered::Known(known) => Reply::ok(&DeviceBody::from(&*known)),
    }
}

impl Body {
    fn describe(self, tenant: Tenant, request: &Request) -> Result<Device, Error> {
        let Self { serial_number, model, firmware_version, metadata } = self;
        let serial_number = serial_number.ok_or_else(|| Error::required("serial_number"))?;
        let id = DeviceId::new(request.now(), request.entropy());
        let device = Device::new(id, tenant, serial_number, request.now());
        Ok(Device { model, firmware_version, metadata: metadata.unwrap_or_default(), ..device })
    }
}

#[cfg(test)]
mod tests;
