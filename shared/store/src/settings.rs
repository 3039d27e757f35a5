//! Settings of projects.

use capstan_domain::{Error, Settings, Tenant};

use crate::{Store, item, keys};

impl Store {
    /// Settings of a tenant; the default settings if it has none.
    pub async fn settings(&self, tenant: &Tenant) -> Result<Settings, Error> {
        let set = self.read(keys::settings(tenant)).await?;
        Ok(set.unwrap_or_else(|| Settings::unset(tenant.clone())))
    }

    /// Replaces the settings of a tenant.
    pub async fn put_settings(&self, settings: &Settings) -> Result<(), Error> {
        let mut item = item::to_item(settings)?;
        item.extend(keys::settings(&settings.tenant));
        self.put(item).await
    }
}
