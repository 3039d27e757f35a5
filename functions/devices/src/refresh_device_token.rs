//! `POST /v1/devices/{id}/token/refresh`

use capstan_domain::{Action, Device, Error};
use capstan_http::{Access, DeviceWithTokenBody, ErrorBody, Refusals, Reply, Request};

/// Replaces the token of a bound device.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`] when it is not bound, [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/devices/{id}/token/refresh", operation_id = "refreshDeviceToken",
    summary = "Refresh a device token",
    description = "Returns a new device token. It is shown only once, and the previous token stops working at once. If \
        the response is lost, repeat the request with the same `Idempotency-Key`.",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"]), ("deviceToken" = [])),
    params(("id" = String, Path, description = "Identifier of the device, or `me` with a device token.")),
    responses(
        (status = 200, description = "The device and its new token.", body = DeviceWithTokenBody),
        (status = 409, description = "The device is not bound.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::RefreshToken).await?;
    let id = caller.device(request.path_id("device")?)?;
    let device = Device::of(&caller.tenant, access.store().device(&id).await?)?;
    let token = request.device_token();
    let device = access.store().replace_device_token(device, &caller, token.hash(), request.now()).await?;
    Reply::ok(&DeviceWithTokenBody::from((&device, token)))
}

#[cfg(test)]
mod tests;
