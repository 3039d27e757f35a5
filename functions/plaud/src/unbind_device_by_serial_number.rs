//! `POST /api/devices/unbind`

use capstan_domain::{Action, Error};
use capstan_http::{ErrorBody, Refusals, Reply, Request};

use crate::credential::PlaudAccess;
use crate::device::{OwnedDevice, PlaudDeviceBody};
use crate::owner::find_owner;

/// Unbinds a device from an end user. Doing it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`], [`Error::DeviceAlreadyBound`] to someone else, [`Error::Invalid`], [`Error::Unauthorized`],
/// [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/devices/unbind", operation_id = "unbindDeviceBySerialNumber",
    summary = "Unbind a device by serial number",
    description = "Unbinds the device `sn` from the end user `owner_id`. Unbinding it again changes nothing. A device \
        that is bound to another end user gets 409.",
    tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"])),
    request_body = OwnedDevice,
    responses(
        (status = 200, description = "The unbound device.", body = PlaudDeviceBody),
        (status = 409, description = "The device is bound to another end user.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(access: PlaudAccess, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteDevices).await?;
    let (serial_number, owner_id, _) = request.json::<OwnedDevice>()?.check()?;
    let device = access.store().device_called(&caller.tenant, &serial_number).await?.ok_or_else(Error::no_device)?;
    if let Some(binding) = &device.binding {
        let owner = find_owner(access.store(), &caller.tenant, &owner_id).await?;
        if owner.is_none_or(|owner| owner.id != binding.end_user_id) {
            return Err(Error::DeviceAlreadyBound { end_user_id: binding.end_user_id.clone() });
        }
    }
    let device = access.store().unbind_device(device, request.now()).await?;
    Reply::ok(&PlaudDeviceBody::new(&device, None))
}

#[cfg(test)]
mod tests;
