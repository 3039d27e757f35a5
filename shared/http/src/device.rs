//! A device as clients see it.

use capstan_domain::{Device, Secret};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A recorder.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub struct DeviceBody {
    /// Its identifier.
    #[schema(example = "dev_01jcz6b0d032p3wwt3y0b8j32h")]
    pub id: String,
    /// Whose it is.
    pub project_id: String,
    /// What its maker calls it.
    pub serial_number: String,
    /// What its maker calls its kind.
    #[schema(required)]
    pub model: Option<String>,
    /// Which software it runs.
    #[schema(required)]
    pub firmware_version: Option<String>,
    /// `bound` to an end user, or `unbound`.
    #[schema(pattern = "^(bound|unbound)$")]
    pub status: &'static str,
    /// To whom it is bound.
    #[schema(required)]
    pub end_user_id: Option<String>,
    /// What its project attached.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// When its last heartbeat came.
    #[schema(required, format = DateTime)]
    pub last_seen_at: Option<String>,
    /// What it told with it.
    #[schema(required, value_type = Option<Object>)]
    pub last_heartbeat: Option<Value>,
    /// When it was made known.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last changed, bound or unbound. A heartbeat is none of these.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A device with its new token, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceWithToken)]
pub struct DeviceWithTokenBody {
    /// The device.
    #[serde(flatten)]
    pub device: DeviceBody,
    /// What it sends as its credential from now on.
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
            model: device.model.as_ref().map(ToString::to_string),
            firmware_version: device.firmware_version.as_ref().map(ToString::to_string),
            status: if device.binding.is_some() { "bound" } else { "unbound" },
            end_user_id: device.binding.as_ref().map(|binding| binding.end_user_id.to_string()),
            metadata: serde_json::to_value(&device.metadata).unwrap_or_default(),
            last_seen_at: heartbeat.map(|heartbeat| heartbeat.at.to_string()),
            last_heartbeat: heartbeat.and_then(|heartbeat| serde_json::to_value(&heartbeat.report).ok()),
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
