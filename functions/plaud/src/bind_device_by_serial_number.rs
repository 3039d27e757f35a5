//! `POST /api/devices/bind`

use capstan_domain::{Action, Caller, Device, DeviceId, EndUser, Error, RecorderKind, SerialNumber};
use capstan_http::{ErrorBody, Refusals, Reply, Request};
use capstan_store::{Registered, Store};

use crate::credential::PlaudAccess;
use crate::device::{OwnedDevice, PlaudDeviceBody};
use crate::owner::find_or_create_owner;

/// Binds a device to an end user, and creates either if needed.
///
/// # Errors
/// [`Error::DeviceAlreadyBound`] to someone else, [`Error::Invalid`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/api/devices/bind", operation_id = "bindDeviceBySerialNumber",
    summary = "Bind a device by serial number",
    description = "Binds the device `sn` to the end user `owner_id`. Both are created if they do not exist. Binding a \
        device again to the same end user changes nothing. A device that is bound to another end user gets \
        409: unbind it first.",
    tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"])),
    request_body = OwnedDevice,
    responses(
        (status = 200, description = "The bound device.", body = PlaudDeviceBody),
        (status = 409, description = "The device is bound to another end user.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(access: PlaudAccess, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteDevices).await?;
    let (serial_number, owner_id, kind) = request.json::<OwnedDevice>()?.check()?;
    let owner = find_or_create_owner(access.store(), &caller.tenant, &owner_id, &request).await?;
    let device = known(access.store(), &caller, serial_number, kind, &request).await?;
    let device = bound(access.store(), device, &owner, &request).await?;
    Reply::ok(&PlaudDeviceBody::new(&device, Some(&owner_id)))
}

async fn known(
    store: &Store,
    caller: &Caller,
    serial_number: SerialNumber,
    kind: RecorderKind,
    request: &Request,
) -> Result<Device, Error> {
    let id = DeviceId::new(request.now(), request.entropy());
    let new = Device::new(id, caller.tenant.clone(), serial_number, request.now());
    let new = Device { model: kind.model(), ..new };
    Ok(match store.register_device(&new).await? {
        Registered::New => new,
        Registered::Known(known) => *known,
    })
}

/// These clients use their project's key, so the token is never returned.
async fn bound(store: &Store, device: Device, owner: &EndUser, request: &Request) -> Result<Device, Error> {
    let is_theirs = |device: &Device| device.binding.as_ref().is_some_and(|binding| binding.end_user_id == owner.id);
    if is_theirs(&device) {
        return Ok(device);
    }
    let id = device.id.clone();
    match store.bind_device(device, owner.id.clone(), request.device_token().hash(), request.now()).await {
        // A concurrent request bound it to the same owner.
        Err(Error::DeviceAlreadyBound { end_user_id }) if end_user_id == owner.id => {
            store.device(&id).await?.filter(is_theirs).ok_or_else(Error::no_device)
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests;
