//! A device in responses.

use capstan_domain::{Device, Secret};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub struct DeviceBody {
    /// Identifier.
    #[schema(example = "dev_01jcz6b0d032p3wwt3y0b8j32h")]
    pub id: String,
    /// Identifier of the project.
    pub project_id: String,
    /// Serial number.
    pub serial_number: String,
    /// Model; `unknown` if it is not known.
    pub model: String,
    /// Firmware version.
    #[schema(required)]
    pub firmware_version: Option<String>,
    /// `bound` or `unbound`.
    #[schema(pattern = "^(bound|unbound)$")]
    pub status: &'static str,
    /// End user that the device is bound to. Null if it is unbound.
    #[schema(required)]
    pub end_user_id: Option<String>,
    /// Number of bindings so far, which identifies the last one. A device does not see recordings of an earlier binding.
    pub binding_generation: u32,
    /// Metadata set by the project.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// Time of the last heartbeat.
    #[schema(required, format = DateTime)]
    pub last_seen_at: Option<String>,
    /// Payload of the last heartbeat.
    #[schema(required, value_type = Option<Object>)]
    pub last_heartbeat: Option<Box<RawValue>>,
    /// When the device was registered.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the device was last updated, bound or unbound. Heartbeats do not count.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A device with its new token. The token is shown only once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceWithToken)]
pub struct DeviceWithTokenBody {
    /// Identifier of the device.
    #[serde(flatten)]
    pub device: DeviceBody,
    /// Credential of the device. It replaces earlier ones.
    #[schema(pattern = "^dtok_")]
    pub device_token: String,
}

impl From<&Device> for DeviceBody {
    fn from(device: &Device) -> Self {
        let heartbeat = device.last_heartbeat.as_ref();
        Self {
            id: device.id.to_string(),
            project_id: device.tenant.project_id.to_string(),
            serial_number: device.serial_number.to_string(),
            model: device.model.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string),
            firmware_version: device.firmware_version.as_ref().map(ToString::to_string),
            status: if device.binding.is_some() { "bound" } else { "unbound" },
            end_user_id: device.binding.as_ref().map(|binding| binding.end_user_id.to_string()),
            binding_generation: device.binding_generation,
            metadata: device.metadata.object().to_raw(),
            last_seen_at: heartbeat.map(|heartbeat| heartbeat.at.to_string()),
            last_heartbeat: heartbeat.map(|heartbeat| heartbeat.report.object().to_raw()),
            created_at: device.created_at.to_string(),
            updated_at: device.updated_at.to_string(),
        }
    }
}

impl From<(&Device, Secret)> for DeviceWithTokenBody {
    fn from((device, token): (&Device, Secret)) -> Self {
        Self { device: device.into(), device_token: token.reveal() }
    }
}
