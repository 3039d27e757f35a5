//! Requests and responses about a device in the Plaud-shaped API.

use capstan_domain::{Device, Error, ExternalId, RecorderKind, SerialNumber};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A device and its owner.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecorderOfOwner)]
pub(crate) struct OwnedDevice {
    /// `external_id` or id of the end user who owns the device. Required.
    #[schema(value_type = String, max_length = 255)]
    owner_id: Option<ExternalId>,
    /// Serial number of the device. Required.
    #[schema(value_type = String, max_length = 255)]
    sn: Option<SerialNumber>,
    /// Kind of the device, `notepin` by default.
    #[schema(value_type = Option<String>, pattern = "^(note|notepin|notepro|other)$")]
    sn_type: Option<RecorderKind>,
}

impl OwnedDevice {
    /// Serial number, owner and kind.
    ///
    /// # Errors
    /// [`Error::Invalid`] when serial number or owner is absent.
    pub(crate) fn check(self) -> Result<(SerialNumber, ExternalId, RecorderKind), Error> {
        let serial_number = self.sn.ok_or_else(|| Error::required("sn"))?;
        let owner_id = self.owner_id.ok_or_else(|| Error::required("owner_id"))?;
        Ok((serial_number, owner_id, self.sn_type.unwrap_or_default()))
    }
}

/// A device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recorder)]
pub(crate) struct PlaudDeviceBody {
    /// Identifier of the device.
    #[schema(pattern = "^dev_")]
    id: String,
    /// Identifier of the project.
    client_id: String,
    /// Owner, as sent by the client. Null if the device is unbound.
    #[schema(required)]
    owner_id: Option<String>,
    /// Kind.
    #[serde(rename = "type")]
    #[schema(value_type = String, pattern = "^(note|notepin|notepro|other)$")]
    kind: RecorderKind,
    /// Serial number.
    sn: String,
    /// Whether the device is bound.
    is_bind: bool,
    /// Always null.
    #[schema(required)]
    name: Option<String>,
    /// Model.
    #[schema(required)]
    model: Option<String>,
    /// Firmware version.
    #[schema(required)]
    version: Option<String>,
    /// Always null.
    #[schema(required)]
    free_space: Option<u64>,
    /// Always null.
    #[schema(required)]
    capacity: Option<u64>,
    /// `battery_level` of the last heartbeat, in percent.
    #[schema(required)]
    battery: Option<u64>,
    /// Always empty.
    #[schema(value_type = Object)]
    setting: Map<String, Value>,
    /// Always empty.
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    /// Always empty.
    #[schema(value_type = Object)]
    config_system: Map<String, Value>,
    /// When the device was last updated, bound or unbound.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl PlaudDeviceBody {
    /// A device, and the owner that it is bound to.
    pub(crate) fn new(device: &Device, owner_id: Option<&ExternalId>) -> Self {
        let report = device.last_heartbeat.as_ref().map(|heartbeat| heartbeat.report.object());
        Self {
            id: device.id.to_string(),
            client_id: device.tenant.project_id.to_string(),
            owner_id: owner_id.map(ToString::to_string),
            kind: device.model.as_ref().map_or(RecorderKind::Other, RecorderKind::of_model),
            sn: device.serial_number.to_string(),
            is_bind: device.binding.is_some(),
            name: None,
            model: device.model.as_ref().map(ToString::to_string),
            version: device.firmware_version.as_ref().map(ToString::to_string),
            free_space: None,
            capacity: None,
            battery: report.and_then(|report| report.field("battery_level")?.as_u64()),
            setting: Map::new(),
            config: Map::new(),
            config_system: Map::new(),
            updated_at: device.updated_at.to_string(),
        }
    }
}
