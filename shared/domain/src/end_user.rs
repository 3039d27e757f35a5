//! The people whose recordings they are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, Email, EndUserId, Error, ExternalId, Metadata, Name, Tenant, Timestamp};

/// A person who records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndUser {
    /// Its identifier. Later end users sort after earlier ones.
    pub id: EndUserId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What the owner's own system calls them; nobody else of the tenant's is called so.
    pub external_id: Option<ExternalId>,
    /// Where they get mail.
    pub email: Option<Email>,
    /// What they are called.
    pub name: Option<Name>,
    /// What the owner attached.
    #[serde(with = "crate::metadata::as_text")]
    pub metadata: Metadata,
    /// The devices that are bound to them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub devices: BTreeSet<DeviceId>,
    /// When they were made known.
    pub created_at: Timestamp,
    /// When anything about them but their devices last changed.
    pub updated_at: Timestamp,
}

impl EndUser {
    /// A new end user, of whom nothing is known yet.
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

    /// The end user that was looked for, if there is one and it is this tenant's.
    ///
    /// # Errors
    /// [`Error::NotFound`] otherwise.
    pub fn of(tenant: &Tenant, found: Option<Self>) -> Result<Self, Error> {
        found.filter(|found| found.tenant == *tenant).ok_or_else(Error::no_end_user)
    }
}
