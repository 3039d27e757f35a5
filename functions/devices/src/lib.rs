//! Devices: registration, binding to an end user, heartbeats and tokens.

pub mod bind_device;
pub mod create_device;
pub mod get_device;
pub mod list_devices;
pub mod record_heartbeat;
pub mod refresh_device_token;
pub mod unbind_device;
pub mod update_device;

use capstan_lambda::Registration;
use utoipa::OpenApi;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("bind-device", bind_device::handle),
        Registration::http("create-device", create_device::handle),
        Registration::http("get-device", get_device::handle),
        Registration::http("list-devices", list_devices::handle),
        Registration::http("record-heartbeat", record_heartbeat::handle),
        Registration::http("refresh-device-token", refresh_device_token::handle),
        Registration::http("unbind-device", unbind_device::handle),
        Registration::http("update-device", update_device::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    create_device::handle,
    list_devices::handle,
    get_device::handle,
    update_device::handle,
    bind_device::handle,
    unbind_device::handle,
    record_heartbeat::handle,
    refresh_device_token::handle,
))]
pub struct Operations;
