//! `POST /v1/devices/{id}/unbind`

use capstan_domain::{Action, Error};
use capstan_http::{Access, DeviceBody, Refusals, Reply, Request};

/// Unbinds a device and deletes its token.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/devices/{id}/unbind", operation_id = "unbindDevice",
    summary = "Unbind a device",
    description = "The device token stops working at once. Unbinding an unbound device changes nothing.",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"])),
    params(("id" = String, Path, description = "Identifier of the device.")),
    responses((status = 200, description = "The unbound device.", body = DeviceBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let (_, device) = access.device(&request, Action::WriteDevices).await?;
    let device = access.store().unbind_device(device, request.now()).await?;
    Reply::ok(&DeviceBody::from(&device))
}

#[cfg(test)]
mod tests;
