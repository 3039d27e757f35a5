//! `GET /v1/devices/{id}`

use capstan_domain::{Action, Error};
use capstan_http::{Access, DeviceBody, Refusals, Reply, Request};

/// Returns a device. Credential and device are read concurrently.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/devices/{id}", operation_id = "getDevice",
    summary = "Retrieve a device",
    description = "",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:read"])),
    params(("id" = String, Path, description = "Identifier of the device.")),
    responses((status = 200, description = "Identifier of the device.", body = DeviceBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let (_, device) = access.device(&request, Action::ReadDevices).await?;
    Reply::ok(&DeviceBody::from(&device))
}

#[cfg(test)]
mod tests;
