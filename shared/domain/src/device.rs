//! Recorders: known by their serial number, bound to one person at a time.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    Caller, CredentialHash, DeviceId, EndUserId, Error, FirmwareVersion, Grant, InvalidId, Metadata, Model,
    SerialNumber, Tenant, Timestamp,
};

/// To whom a device is bound, and by which token it is known as theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Whose recordings it makes.
    pub end_user_id: EndUserId,
    /// The hash of its one valid token.
    pub token: CredentialHash,
}

/// What a device last told of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(with = "crate::metadata::as_text")]
    pub report: Metadata,
}

/// A recorder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its identifier. Later devices sort after earlier ones.
    pub id: DeviceId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What its maker calls it; no other device of the tenant's is called so.
    pub serial_number: SerialNumber,
    /// What its maker calls its kind.
    pub model: Option<Model>,
    /// Which software it runs.
    pub firmware_version: Option<FirmwareVersion>,
    /// What its owner attached.
    #[serde(with = "crate::metadata::as_text")]
    pub metadata: Metadata,
    /// To whom it is bound.
    pub binding: Option<Binding>,
    /// What it last told of itself.
    pub last_heartbeat: Option<Heartbeat>,
    /// When it was made known.
    pub created_at: Timestamp,
    /// When it was last changed, bound or unbound. A heartbeat is none of these.
    pub updated_at: Timestamp,
}

/// What an owner changes of a device. `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceChange {
    /// What its maker calls its kind.
    pub model: Option<Option<Model>>,
    /// Which software it runs.
    pub firmware_version: Option<Option<FirmwareVersion>>,
    /// What replaces its metadata as a whole.
    pub metadata: Option<Metadata>,
}

impl Device {
    /// A new device, bound to nobody.
    pub fn new(id: DeviceId, tenant: Tenant, serial_number: SerialNumber, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            serial_number,
            model: None,
            firmware_version: None,
            metadata: Metadata::default(),
            binding: None,
            last_heartbeat: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The device that was looked for, if there is one and it is this tenant's.
    ///
    /// # Errors
    /// [`Error::NotFound`] otherwise.
    pub fn of(tenant: &Tenant, found: Option<Self>) -> Result<Self, Error> {
        found.filter(|found| found.tenant == *tenant).ok_or_else(Error::no_device)
    }

    /// What a token of this device, bound to that end user, is good for.
    pub fn grant(&self, end_user_id: &EndUserId) -> Grant {
        Grant::Device { device_id: self.id.clone(), end_user_id: end_user_id.clone() }
    }

    /// The binding whose token the caller may replace.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a device whose own token is no longer the valid one, [`Error::Conflict`] when there
    /// is no token to replace.
    pub fn binding_for(&self, caller: &Caller) -> Result<&Binding, Error> {
        let unbound = || Error::Conflict { reason: "the device is not bound; bind it to get a token".to_owned() };
        match &caller.grant {
            Grant::Device { .. } => {
                let is_current = |binding: &&Binding| binding.token == caller.credential;
                self.binding.as_ref().filter(is_current).ok_or(Error::Unauthorized)
            }
            Grant::Secret | Grant::Restricted { .. } | Grant::Upload { .. } => {
                self.binding.as_ref().ok_or_else(unbound)
            }
        }
    }
}

/// A device as a path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedDevice {
    /// The one that calls.
    Me,
    /// The one of that identifier.
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
    fn a_token_is_replaced_by_who_holds_the_valid_one_or_by_the_owner() {
        let tenant = Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live };
        let now = Timestamp::from_milliseconds(0).unwrap();
        let mut device = Device::new("dev_1".parse().unwrap(), tenant.clone(), "SN 1".parse().unwrap(), now);
        let end_user_id: EndUserId = "eu_1".parse().unwrap();
        let (valid, replaced) = (CredentialHash::of("valid"), CredentialHash::of("replaced"));
        let caller = |grant, credential| Caller { tenant: tenant.clone(), grant, credential };
        let owner = caller(Grant::Secret, CredentialHash::of("key"));
        assert!(matches!(device.binding_for(&owner), Err(Error::Conflict { .. })));
        device.binding = Some(Binding { end_user_id: end_user_id.clone(), token: valid });
        assert!(device.binding_for(&owner).is_ok());
        assert!(device.binding_for(&caller(device.grant(&end_user_id), valid)).is_ok());
        let late = caller(device.grant(&end_user_id), replaced);
        assert!(matches!(device.binding_for(&late), Err(Error::Unauthorized)));
    }
}
