//! `POST /v1/devices/{id}/token/refresh`

use capstan_domain::{Action, Device, Error};
use capstan_http::{Access, DeviceWithTokenBody, ErrorBody, Refusals, Reply, Request};
use serde::Deserialize;
use utoipa::ToSchema;

/// What becomes of the previous token.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = TokenRefresh)]
pub struct Body {
    /// Whether the previous token stops working at once. Default false.
    revoke_now: Option<bool>,
}

/// Replaces the token of a bound device.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`] when it is not bound, [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/devices/{id}/token/refresh", operation_id = "refreshDeviceToken",
    summary = "Refresh a device token",
    description = "Returns a new device token. It is shown only once. The previous token stays valid until the new one is \
        first used, at most 24 hours. With `revoke_now` it stops working at once: send an `Idempotency-Key`, so that a \
        lost response can be requested again.",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"]), ("deviceToken" = [])),
    request_body = Option<Body>,
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
    let Body { revoke_now } = request.json()?;
    let token = request.device_token();
    let device = access
        .store()
        .replace_device_token(device, &caller, token.hash(), revoke_now.unwrap_or_default(), request.now())
        .await?;
    Reply::ok(&DeviceWithTokenBody::from((&device, token)))
}

#[cfg(test)]
mod tests;
