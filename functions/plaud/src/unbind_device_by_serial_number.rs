//! `POST /api/devices/unbind`

use capstan_domain::{Action, Error};
use capstan_http::{Access, ErrorBody, RecorderBody, RecorderOfOwner, Refusals, Reply, Request, known_owner};

/// Unbinds a device from an end user. Doing it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`], [`Error::DeviceAlreadyBound`] to someone else, [`Error::Invalid`], [`Error::Unauthorized`],
/// [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/devices/unbind", operation_id = "unbindDeviceBySerialNumber", tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"])),
    request_body = RecorderOfOwner,
    responses(
        (status = 200, description = "The device, bound to nobody.", body = RecorderBody),
        (status = 409, description = "It is bound to someone else.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteDevices).await?;
    let (serial_number, owner_id, _) = request.json::<RecorderOfOwner>()?.check()?;
    let device = access.store().device_called(&caller.tenant, &serial_number).await?.ok_or_else(Error::no_device)?;
    if let Some(binding) = &device.binding {
        let owner = known_owner(access.store(), &caller.tenant, &owner_id).await?;
        if owner.is_none_or(|owner| owner.id != binding.end_user_id) {
            return Err(Error::DeviceAlreadyBound { end_user_id: binding.end_user_id.clone() });
        }
    }
    let device = access.store().unbind_device(device, request.now()).await?;
    Reply::ok(&RecorderBody::new(&device, None))
}

#[cfg(test)]
mod tests;
