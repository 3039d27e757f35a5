//! `POST /v1/devices/{id}/bind`

use capstan_domain::{Action, EndUserId, Error};
use capstan_http::{Access, DeviceWithTokenBody, ErrorBody, Refusals, Reply, Request};
use serde::Deserialize;
use utoipa::ToSchema;

/// The end user to bind the device to.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewBinding)]
pub struct Body {
    /// Identifier of the end user. Required.
    #[schema(value_type = String)]
    end_user_id: Option<EndUserId>,
}

/// Binds a device to an end user, with a new device token.
///
/// # Errors
/// [`Error::DeviceAlreadyBound`], [`Error::NotFound`], [`Error::Invalid`], [`Error::Unauthorized`],
/// [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/devices/{id}/bind", operation_id = "bindDevice",
    summary = "Bind a device to an end user",
    description = "Returns a new device token. It is shown only once. A device that is bound to the same end user gets \
        another token, as by a refresh. A device that is bound to another end user gets 409: unbind it first.",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"])),
    params(("id" = String, Path, description = "Identifier of the device.")),
    request_body = Body,
    responses(
        (status = 200, description = "The bound device and its token.", body = DeviceWithTokenBody),
        (status = 409, description = "The device is bound to another end user.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let (caller, device) = access.device(&request, Action::WriteDevices).await?;
    let Body { end_user_id } = request.json()?;
    let end_user_id = end_user_id.ok_or_else(|| Error::required("end_user_id"))?;
    let (store, token) = (access.store(), request.device_token());
    let device = if device.is_bound_to(&end_user_id) {
        store.replace_device_token(device, &caller, token.hash(), false, request.now()).await?
    } else {
        store.bind_device(device, end_user_id, token.hash(), request.now()).await?
    };
    Reply::ok(&DeviceWithTokenBody::from((&device, token)))
}

#[cfg(test)]
mod tests;
