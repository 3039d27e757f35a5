//! A device as Plaud-shaped clients name and see it.

use capstan_domain::{Device, EndUser, EndUserId, Error, ExternalId, RecorderKind, SerialNumber, Tenant};
use capstan_store::Store;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::Request;

/// A device and whose it is, by the names that they have elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecorderOfOwner)]
pub struct RecorderOfOwner {
    /// What the project's own system calls whose it is. Required.
    #[schema(value_type = String, max_length = 255)]
    owner_id: Option<ExternalId>,
    /// The serial number of the device. Required.
    #[schema(value_type = String, max_length = 255)]
    sn: Option<SerialNumber>,
    /// The kind of the device; `notepin` unless given.
    #[schema(value_type = Option<String>, pattern = "^(note|notepin|notepro|other)$")]
    sn_type: Option<RecorderKind>,
}

impl RecorderOfOwner {
    /// The serial number, whose it is and the kind.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one of the first two is not there.
    pub fn check(self) -> Result<(SerialNumber, ExternalId, RecorderKind), Error> {
        let serial_number = self.sn.ok_or_else(|| Error::required("sn"))?;
        let owner_id = self.owner_id.ok_or_else(|| Error::required("owner_id"))?;
        Ok((serial_number, owner_id, self.sn_type.unwrap_or_default()))
    }
}

/// The end user whom a client of this shape names: by the id that an answer gave, else by what the project's own system
/// calls them. `None` when there is none.
pub async fn known_owner(store: &Store, tenant: &Tenant, owner_id: &ExternalId) -> Result<Option<EndUser>, Error> {
    match owner_id.as_str().parse::<EndUserId>() {
        Ok(id) => Ok(store.end_user(&id).await?.filter(|known| known.tenant == *tenant)),
        Err(_) => store.end_user_called(tenant, owner_id).await,
    }
}

/// The same, made known if nobody is called so: no file is lost for an owner that is new.
///
/// # Errors
/// [`Error::Invalid`] of `owner_id` when it is an id and there is no such end user.
pub async fn named_owner(
    store: &Store,
    tenant: &Tenant,
    owner_id: &ExternalId,
    request: &Request,
) -> Result<EndUser, Error> {
    if owner_id.as_str().parse::<EndUserId>().is_ok() {
        let unknown = || Error::invalid("owner_id", "must name an end user of this project");
        return known_owner(store, tenant, owner_id).await?.ok_or_else(unknown);
    }
    let id = EndUserId::new(request.now(), request.entropy());
    store.end_user_called_or(owner_id, EndUser::new(id, tenant.clone(), request.now())).await
}

/// A device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recorder)]
pub struct RecorderBody {
    /// Its identifier.
    #[schema(pattern = "^dev_")]
    id: String,
    /// The project.
    client_id: String,
    /// Whose it is: as the client called them; null when it is bound to nobody.
    #[schema(required)]
    owner_id: Option<String>,
    /// Its kind.
    #[serde(rename = "type")]
    #[schema(value_type = String, pattern = "^(note|notepin|notepro|other)$")]
    kind: RecorderKind,
    /// Its serial number.
    sn: String,
    /// Whether it is bound.
    is_bind: bool,
    /// Devices have no names.
    #[schema(required)]
    name: Option<String>,
    /// What its maker calls its kind.
    #[schema(required)]
    model: Option<String>,
    /// Which software it runs.
    #[schema(required)]
    version: Option<String>,
    /// Devices do not tell it.
    #[schema(required)]
    free_space: Option<u64>,
    /// Devices do not tell it.
    #[schema(required)]
    capacity: Option<u64>,
    /// What its last heartbeat told as `battery_level`, in percent.
    #[schema(required)]
    battery: Option<u64>,
    /// Nothing is set.
    #[schema(value_type = Object)]
    setting: Map<String, Value>,
    /// Nothing is configured.
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    /// Nothing is configured.
    #[schema(value_type = Object)]
    config_system: Map<String, Value>,
    /// When it was last changed, bound or unbound.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl RecorderBody {
    /// The device, bound to an end user of that external id, or to nobody.
    pub fn new(device: &Device, owner_id: Option<&ExternalId>) -> Self {
        let report = device.last_heartbeat.as_ref().and_then(|heartbeat| serde_json::to_value(&heartbeat.report).ok());
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
            battery: report.and_then(|report| report["battery_level"].as_u64()),
            setting: Map::new(),
            config: Map::new(),
            config_system: Map::new(),
            updated_at: device.updated_at.to_string(),
        }
    }
}
