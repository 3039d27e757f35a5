//! End users.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, Email, EndUserId, Error, ExternalId, Metadata, Name, Tenant, Timestamp};

/// A person with recordings in the project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndUser {
    /// Its identifier. Later end users sort after earlier ones.
    pub id: EndUserId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Identifier in the owner's own system, unique within the tenant.
    pub external_id: Option<ExternalId>,
    /// Email address.
    pub email: Option<Email>,
    /// Name.
    pub name: Option<Name>,
    /// Metadata of the owner.
    #[serde(with = "crate::metadata::as_text")]
    pub metadata: Metadata,
    /// The devices that are bound to the end user.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub devices: BTreeSet<DeviceId>,
    /// When the end user was created.
    pub created_at: Timestamp,
    /// When the end user was last updated. Changes of devices do not count.
    pub updated_at: Timestamp,
}

impl EndUser {
    /// A new end user without details.
    pub fn new(id: EndUserId, tenant: Tenant, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            external_id: None,
            email: None,
            name: None,
            metadata: Metadata::default(),
            devices: BTreeSet::new(),
            created_at: now,
            updated_at: now,
        }
    }

    /// The end user that was read, if it exists and belongs to this tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] otherwise.
    pub fn of(tenant: &Tenant, found: Option<Self>) -> Result<Self, Error> {
        found.filter(|found| found.tenant == *tenant).ok_or_else(Error::no_end_user)
    }
}
