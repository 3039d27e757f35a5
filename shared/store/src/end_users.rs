//! End users: created, read, listed, deleted.

use capstan_domain::{Binding, DeviceId, EndUser, EndUserId, Error, ExternalId, Field, Tenant, Timestamp};

use crate::attributes::DEVICES;
use crate::change::Change;
use crate::condition::{has_exactly, is_of};
use crate::devices::unbind;
use crate::item::Named;
use crate::keys::Identifier;
use crate::transaction::{Committed, MAX_ATTEMPTS, MAX_OPERATIONS, Transaction};
use crate::{Page, PageQuery, Store, item, keys};

/// An end user is deleted with its unique name.
const OPERATIONS_OF_END_USER: usize = 2;
/// Most devices that one transaction unbinds: the device and its token. A device may have up to four tokens.
const UNBOUND_AT_ONCE: usize = (MAX_OPERATIONS - OPERATIONS_OF_END_USER) / 2;

impl Store {
    /// Creates an end user. Returns the stored one if an earlier sending of the request created it.
    ///
    /// # Errors
    /// [`Error::ResourceAlreadyExists`] when the tenant has one of that external id.
    pub async fn create_end_user(&self, end_user: EndUser) -> Result<EndUser, Error> {
        let mut transaction = Transaction::default();
        let place = transaction.put_new(item::listed(&end_user.id, &end_user.tenant, &end_user)?);
        let name = match &end_user.external_id {
            Some(external_id) => {
                let key = keys::external_id(&end_user.tenant, external_id);
                Some(transaction.put_new(item::named(key, &end_user.id)?))
            }
            None => None,
        };
        let Committed::Refused(refusals) = transaction.commit(self).await? else { return Ok(end_user) };
        let kept: Option<EndUser> = refusals.old(place)?;
        if let Some(kept) = kept.filter(|kept| kept.tenant == end_user.tenant) {
            return Ok(kept);
        }
        let taken: Option<Named<EndUserId>> = name.map(|name| refusals.old(name)).transpose()?.flatten();
        Err(match taken {
            Some(taken) => Error::ResourceAlreadyExists {
                what: "an end user",
                field: Field::ExternalId,
                id: taken.names.to_string(),
            },
            None => Error::Conflict { reason: "an end user with this id exists".to_owned() },
        })
    }

    /// An end user of any tenant; `None` if it does not exist.
    pub async fn end_user(&self, id: &EndUserId) -> Result<Option<EndUser>, Error> {
        self.read(id.key()).await
    }

    /// The tenant's end user with this external id; `None` if there is none. Two calls.
    pub async fn end_user_called(&self, tenant: &Tenant, external_id: &ExternalId) -> Result<Option<EndUser>, Error> {
        let named: Option<Named<EndUserId>> = self.read(keys::external_id(tenant, external_id)).await?;
        match named {
            Some(named) => self.end_user(&named.names).await,
            None => Ok(None),
        }
    }

    /// The tenant's end user with this external id; `new` if there is none. Two calls, and one more to create it.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the end user is created and deleted at the same time.
    pub async fn end_user_called_or(&self, external_id: &ExternalId, new: EndUser) -> Result<EndUser, Error> {
        if let Some(known) = self.end_user_called(&new.tenant, external_id).await? {
            return Ok(known);
        }
        let tenant = new.tenant.clone();
        match self.create_end_user(EndUser { external_id: Some(external_id.clone()), ..new }).await {
            Err(Error::ResourceAlreadyExists { .. }) => {
                let busy = || Error::Conflict {
                    reason: "another request changes the end user at the same time; try again".to_owned(),
                };
                self.end_user_called(&tenant, external_id).await?.ok_or_else(busy)
            }
            made => made,
        }
    }

    /// A page of a tenant's end users, newest first, or the one with the external id. One query per shard concurrently,
    /// then one BatchGetItem; with an external id two reads.
    pub async fn list_end_users(
        &self,
        tenant: &Tenant,
        external_id: Option<&ExternalId>,
        query: &PageQuery<EndUserId>,
    ) -> Result<Page<EndUser, EndUserId>, Error> {
        let Some(external_id) = external_id else { return self.list(tenant, query).await };
        let found = self.end_user_called(tenant, external_id).await?;
        Ok(Page { entities: found.into_iter().skip(query.offset).collect(), next: None })
    }

    /// Deletes an end user as it was read, unbinds its devices and frees its external id. One transaction, after one
    /// BatchGetItem if devices are bound; more of both for over 49 devices, or when other requests come first.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was deleted meanwhile, [`Error::Conflict`] when other changes keep coming first.
    pub async fn delete_end_user(&self, end_user: EndUser, now: Timestamp) -> Result<(), Error> {
        let mut end_user = end_user;
        let mut attempts = 0;
        while attempts < MAX_ATTEMPTS {
            let devices: Vec<DeviceId> = end_user.devices.iter().take(UNBOUND_AT_ONCE).cloned().collect();
            let mut transaction = Transaction::default();
            let found = self.entities(&devices).await?;
            let mut unbound = Vec::new();
            for id in devices {
                // Some may be bound to another end user by now.
                if let Some(device) = found.get(&id).filter(|device| device.is_bound_to(&end_user.id)) {
                    let tokens = device.binding.iter().flat_map(Binding::tokens).count();
                    if transaction.room() < 1 + tokens + OPERATIONS_OF_END_USER {
                        break;
                    }
                    unbind(&mut transaction, device, now)?;
                }
                unbound.push(id);
            }
            let are_all = unbound.len() == end_user.devices.len();
            if are_all {
                delete(&mut transaction, &end_user)?;
            } else {
                let mut fewer = Change::when(is_of(&end_user.tenant)?);
                fewer.delete_from_set(DEVICES, unbound.iter());
                transaction.update(&end_user.id, fewer);
            }
            match transaction.commit(self).await? {
                Committed::Made if are_all => return Ok(()),
                Committed::Made => {}
                Committed::Refused(_) => attempts += 1,
            }
            end_user = self.end_user(&end_user.id).await?.ok_or_else(Error::no_end_user)?;
        }
        Err(Error::Conflict { reason: "other requests keep binding devices to the end user; try again".to_owned() })
    }
}

/// Deletes an end user, if exactly the devices are bound that were read.
fn delete(transaction: &mut Transaction, end_user: &EndUser) -> Result<(), Error> {
    let as_read = is_of(&end_user.tenant)?.and(has_exactly(DEVICES, end_user.devices.iter()));
    transaction.delete_when(as_read, end_user.id.key());
    if let Some(external_id) = &end_user.external_id {
        transaction.delete(keys::external_id(&end_user.tenant, external_id));
    }
    Ok(())
}
