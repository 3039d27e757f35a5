//! Devices: identified by serial number, bound to one end user at a time.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    BoundDevice, Caller, CredentialHash, DeviceId, EndUserId, Error, FirmwareVersion, Grant, InvalidId, Metadata,
    Model, SerialNumber, Tenant, Timestamp,
};

/// The binding of a device to an end user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The end user of its recordings.
    pub end_user_id: EndUserId,
    /// The hash of the newest device token.
    pub token: CredentialHash,
    /// Tokens that it replaced, newest first. They stay valid until it is first used, and at most a day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<CredentialHash>,
}

impl Binding {
    /// A new binding with its first token.
    pub fn new(end_user_id: EndUserId, token: CredentialHash) -> Self {
        Self { end_user_id, token, earlier: Vec::new() }
    }

    /// Every token that may still be valid.
    pub fn tokens(&self) -> impl Iterator<Item = &CredentialHash> {
        std::iter::once(&self.token).chain(&self.earlier)
    }
}

/// Earlier tokens of a binding that may still be valid. The oldest beyond this number is deleted.
pub const MAX_EARLIER_TOKENS: usize = 3;

/// The last heartbeat of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When it was received.
    pub at: Timestamp,
    /// The report of the device.
    #[serde(with = "crate::metadata::as_text")]
    pub report: Metadata,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its identifier. Later devices sort after earlier ones.
    pub id: DeviceId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Serial number, unique within the tenant.
    pub serial_number: SerialNumber,
    /// Model.
    pub model: Option<Model>,
    /// Firmware version.
    pub firmware_version: Option<FirmwareVersion>,
    /// Metadata of the owner.
    #[serde(with = "crate::metadata::as_text")]
    pub metadata: Metadata,
    /// Its binding; `None` if it is unbound.
    pub binding: Option<Binding>,
    /// Number of its bindings so far, which identifies the last one.
    #[serde(default)]
    pub binding_generation: u32,
    /// Its last heartbeat.
    pub last_heartbeat: Option<Heartbeat>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last updated, bound or unbound. Heartbeats do not count.
    pub updated_at: Timestamp,
}

/// Changes of a device by its owner. `None` leaves a field unchanged, `Some(None)` removes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceChange {
    /// Model.
    pub model: Option<Option<Model>>,
    /// Firmware version.
    pub firmware_version: Option<Option<FirmwareVersion>>,
    /// Replaces all metadata.
    pub metadata: Option<Metadata>,
}

impl Device {
    /// A new device, unbound.
    pub fn new(id: DeviceId, tenant: Tenant, serial_number: SerialNumber, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            serial_number,
            model: None,
            firmware_version: None,
            metadata: Metadata::default(),
            binding: None,
            binding_generation: 0,
            last_heartbeat: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The device that was read, if it exists and belongs to this tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] otherwise.
    pub fn of(tenant: &Tenant, found: Option<Self>) -> Result<Self, Error> {
        found.filter(|found| found.tenant == *tenant).ok_or_else(Error::no_device)
    }

    /// What a token of this device authorizes during its present binding, which is to this end user.
    pub fn grant(&self, end_user_id: &EndUserId) -> Grant {
        Grant::Device(BoundDevice {
            device_id: self.id.clone(),
            end_user_id: end_user_id.clone(),
            generation: self.binding_generation,
        })
    }

    /// Whether it is bound to this end user.
    pub fn is_bound_to(&self, end_user_id: &EndUserId) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.end_user_id == *end_user_id)
    }

    /// The binding whose token the caller may replace.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a device whose own token is no longer the valid one, [`Error::Conflict`] when there
    /// is no token to replace.
    pub fn binding_for(&self, caller: &Caller) -> Result<&Binding, Error> {
        let unbound = || Error::Conflict { reason: "the device is not bound; bind it to get a token".to_owned() };
        match &caller.grant {
            Grant::Device(_) => {
                let is_current = |binding: &&Binding| binding.tokens().any(|token| *token == caller.credential);
                self.binding.as_ref().filter(is_current).ok_or(Error::Unauthorized)
            }
            Grant::Secret | Grant::Restricted { .. } | Grant::Upload { .. } => {
                self.binding.as_ref().ok_or_else(unbound)
            }
        }
    }
}

/// A device in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedDevice {
    /// `me`: the calling device.
    Me,
    /// A device by its identifier.
    Id(DeviceId),
}

impl FromStr for NamedDevice {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text == "me" { Ok(Self::Me) } else { text.parse().map(Self::Id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    #[test]
    fn a_token_is_replaced_by_its_holder_or_the_project() {
        let tenant = Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live };
        let now = Timestamp::from_milliseconds(0).unwrap();
        let mut device = Device::new("dev_1".parse().unwrap(), tenant.clone(), "SN 1".parse().unwrap(), now);
        let end_user_id: EndUserId = "eu_1".parse().unwrap();
        let (valid, replaced) = (CredentialHash::of("valid"), CredentialHash::of("replaced"));
        let caller = |grant, credential| Caller { tenant: tenant.clone(), grant, credential };
        let owner = caller(Grant::Secret, CredentialHash::of("key"));
        assert!(matches!(device.binding_for(&owner), Err(Error::Conflict { .. })));
        device.binding = Some(Binding::new(end_user_id.clone(), valid));
        assert!(device.binding_for(&owner).is_ok());
        assert!(device.binding_for(&caller(device.grant(&end_user_id), valid)).is_ok());
        let late = caller(device.grant(&end_user_id), replaced);
        assert!(matches!(device.binding_for(&late), Err(Error::Unauthorized)));
    }
}
