//! `GET /v1/devices/{id}`

use capstan_domain::{Action, Device, Error};
use capstan_http::{Access, DeviceBody, Refusals, Reply, Request};

/// Gives a device. The credential is looked up beside the one read.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/devices/{id}", operation_id = "getDevice", tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:read"])),
    params(("id" = String, Path, description = "The device.")),
    responses((status = 200, description = "The device.", body = DeviceBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let read = async { access.store().device(&request.path_id("device")?).await };
    let (caller, found) = access.caller_beside(&request, Action::ReadDevices, read).await?;
    let device = Device::of(&caller.tenant, found)?;
    Reply::ok(&DeviceBody::from(&device))
}

#[cfg(test)]
mod tests;
