//! Devices: created, read, listed, updated, bound and unbound.

use capstan_domain::{
    Binding, Caller, Credential, CredentialHash, Device, DeviceChange, DeviceId, EndUser, EndUserId, Error,
    FIRST_CALL_SECONDS, Field, FirmwareVersion, Heartbeat, MAX_EARLIER_TOKENS, SerialNumber, Tenant, Timestamp,
};

use crate::attributes::{
    BINDING, BINDING_GENERATION, DEVICES, EXPIRES_AT, FIRMWARE_VERSION, LAST_HEARTBEAT, MODEL, REPLACED_BY, REVOKED_AT,
    TOKEN, TTL, UPDATED_AT,
};
use crate::change::{Change, Changed};
use crate::condition::{Condition, is, is_missing, is_of, is_present};
use crate::item::Named;
use crate::keys::Identifier;
use crate::original_requests::seconds;
use crate::transaction::{Committed, MAX_ATTEMPTS, Transaction};
use crate::{Page, PageQuery, Store, item, keys};

/// Result of registering a device.
#[derive(Debug)]
pub enum Registered {
    /// It was created.
    New,
    /// This device has the serial number already.
    Known(Box<Device>),
}

impl Store {
    /// Creates a device, unless its serial number is registered. Two calls if it is.
    pub async fn register_device(&self, device: &Device) -> Result<Registered, Error> {
        let mut transaction = Transaction::default();
        let key = keys::serial_number(&device.tenant, &device.serial_number);
        transaction.put_new(item::listed(&device.id, &device.tenant, device)?);
        let name = transaction.put_new(item::named(key, &device.id)?);
        let Committed::Refused(refusals) = transaction.commit(self).await? else { return Ok(Registered::New) };
        let known = match refusals.old::<Named<DeviceId>>(name)? {
            Some(named) if named.names == device.id => return Ok(Registered::New),
            Some(named) => self.device(&named.names).await?,
            None => None,
        };
        let conflict = || Error::Conflict { reason: "a device with this id exists".to_owned() };
        known.map(|known| Registered::Known(Box::new(known))).ok_or_else(conflict)
    }

    /// A device of any tenant; `None` if it does not exist.
    pub async fn device(&self, id: &DeviceId) -> Result<Option<Device>, Error> {
        self.read(id.key()).await
    }

    /// The tenant's device with this serial number; `None` if there is none. Two calls.
    pub async fn device_called(&self, tenant: &Tenant, serial_number: &SerialNumber) -> Result<Option<Device>, Error> {
        let named: Option<Named<DeviceId>> = self.read(keys::serial_number(tenant, serial_number)).await?;
        match named {
            Some(named) => self.device(&named.names).await,
            None => Ok(None),
        }
    }

    /// A page of a tenant's devices, newest first. One query per shard concurrently, then one BatchGetItem.
    pub async fn list_devices(
        &self,
        tenant: &Tenant,
        query: &PageQuery<DeviceId>,
    ) -> Result<Page<Device, DeviceId>, Error> {
        self.list(tenant, query).await
    }

    /// A page of the devices that are bound to an end user, newest first. One BatchGetItem.
    pub async fn list_devices_of(
        &self,
        end_user: &EndUser,
        query: &PageQuery<DeviceId>,
    ) -> Result<Page<Device, DeviceId>, Error> {
        self.list_of(end_user.devices.iter().rev(), query).await
    }

    /// Updates what the owner may change.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the tenant has none of that id.
    pub async fn update_device(
        &self,
        tenant: &Tenant,
        id: &DeviceId,
        wanted: &DeviceChange,
        now: Timestamp,
    ) -> Result<Device, Error> {
        let mut change = Change::when(is_of(tenant)?);
        change
            .set(UPDATED_AT, &now)?
            .set_or_remove(MODEL, &wanted.model)?
            .set_or_remove(FIRMWARE_VERSION, &wanted.firmware_version)?
            .set_metadata(wanted.metadata.as_ref())?;
        self.changed_device(change, id).await
    }

    /// Records a heartbeat.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the tenant has none of that id.
    pub async fn record_heartbeat(
        &self,
        tenant: &Tenant,
        id: &DeviceId,
        heartbeat: &Heartbeat,
        firmware_version: Option<&FirmwareVersion>,
    ) -> Result<Device, Error> {
        let mut change = Change::when(is_of(tenant)?);
        change.set(LAST_HEARTBEAT, heartbeat)?;
        if let Some(firmware_version) = firmware_version {
            change.set(FIRMWARE_VERSION, firmware_version)?;
        }
        self.changed_device(change, id).await
    }

    async fn changed_device(&self, change: Change, id: &DeviceId) -> Result<Device, Error> {
        match change.apply(self, id).await? {
            Changed::Made(device) => Ok(*device),
            Changed::Refused(_) => Err(Error::no_device()),
        }
    }

    /// Binds a device as it was read to an end user of the same tenant, with a new device token.
    ///
    /// # Errors
    /// [`Error::DeviceAlreadyBound`], and [`Error::Invalid`] of `end_user_id` when there is none.
    pub async fn bind_device(
        &self,
        device: Device,
        end_user_id: EndUserId,
        token: CredentialHash,
        now: Timestamp,
    ) -> Result<Device, Error> {
        let binding = Binding::new(end_user_id, token);
        let generation = device.binding_generation + 1;
        let device = Device { binding_generation: generation, ..device };
        let mut transaction = Transaction::default();
        let is_last = is(BINDING_GENERATION, &(generation - 1))?;
        let mut bound = Change::when(is_of(&device.tenant)?.and(is_missing(BINDING)).and(is_last));
        bound.set(BINDING, &binding)?.set(BINDING_GENERATION, &generation)?.set(UPDATED_AT, &now)?;
        let mut owner = Change::when(is_of(&device.tenant)?);
        owner.add_to_set(DEVICES, [&device.id].into_iter());
        let device_place = transaction.update(&device.id, bound);
        let owner_place = transaction.update(&binding.end_user_id, owner);
        transaction.put_new(token_of(&device, &binding, now)?);
        match transaction.commit(self).await? {
            Committed::Made => Ok(Device { binding: Some(binding), updated_at: now, ..device }),
            Committed::Refused(refusals) => {
                let old: Option<Device> = refusals.old(device_place)?;
                if let Some(old) = old.as_ref().filter(|old| old.binding.as_ref() == Some(&binding)) {
                    return Ok(old.clone());
                }
                let is_stored = old.as_ref().is_some_and(|old| old.tenant == device.tenant);
                Err(match old.and_then(|old| old.binding) {
                    Some(binding) => Error::DeviceAlreadyBound { end_user_id: binding.end_user_id },
                    None if is_stored => changing(),
                    None if refusals.has(device_place) => Error::no_device(),
                    None if refusals.has(owner_place) => {
                        Error::invalid(Field::EndUserId, "must be an end user of this project")
                    }
                    None => Error::internal("a device token was drawn twice"),
                })
            }
        }
    }

    /// Unbinds a device as it was read, and deletes its token. No call for an unbound device.
    ///
    /// # Errors
    /// [`Error::DeviceAlreadyBound`] when it was bound to someone else meanwhile, [`Error::Conflict`] when other changes
    /// keep coming first.
    pub async fn unbind_device(&self, device: Device, now: Timestamp) -> Result<Device, Error> {
        let bound_to = device.binding.as_ref().map(|binding| binding.end_user_id.clone());
        let free = |device: &Device| {
            let Some(binding) = &device.binding else { return Ok(None) };
            if bound_to.as_ref() != Some(&binding.end_user_id) {
                return Err(Error::DeviceAlreadyBound { end_user_id: binding.end_user_id.clone() });
            }
            let mut transaction = Transaction::default();
            unbind(&mut transaction, device, now)?;
            let mut owner = Change::when(is_of(&device.tenant)?);
            owner.delete_from_set(DEVICES, [&device.id].into_iter());
            transaction.update(&binding.end_user_id, owner);
            Ok(Some((transaction, Device { binding: None, updated_at: now, ..device.clone() })))
        };
        self.move_device(device, free).await
    }

    /// Replaces the token of a bound device as it was read. The old token is valid until the new one is first used, and at
    /// most a day. With `revoke_now` it is revoked at once; if the device itself requested that, the old token stays
    /// stored for a day with its successor, so that a replay of the request is recognised.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a device whose own token is no longer the valid one, [`Error::Conflict`] when it is
    /// not bound, and when other changes keep coming first.
    pub async fn replace_device_token(
        &self,
        device: Device,
        caller: &Caller,
        token: CredentialHash,
        revoke_now: bool,
        now: Timestamp,
    ) -> Result<Device, Error> {
        let replace = |device: &Device| {
            // An earlier attempt at this request has made the change.
            if device.binding.as_ref().is_some_and(|binding| binding.token == token) {
                return Ok(None);
            }
            let old = device.binding_for(caller)?;
            let (earlier, dropped) = if revoke_now {
                (Vec::new(), old.tokens().copied().collect())
            } else {
                let mut earlier: Vec<_> = old.tokens().copied().collect();
                let dropped = earlier.split_off(earlier.len().min(MAX_EARLIER_TOKENS));
                (earlier, dropped)
            };
            let binding = Binding { token, earlier, ..old.clone() };
            let mut transaction = Transaction::default();
            let mut change = Change::when(is_bound(device, old)?);
            change.set(BINDING, &binding)?.set(UPDATED_AT, &now)?;
            transaction.update(&device.id, change);
            if !revoke_now {
                transaction.update_item(keys::credential(&old.token), ending(&token, now)?);
            }
            for gone in dropped {
                if gone == caller.credential {
                    transaction.update_item(keys::credential(&gone), replaced_by(&token, now)?);
                } else {
                    transaction.delete(keys::credential(&gone));
                }
            }
            transaction.put_new(token_of(device, &binding, now)?);
            Ok(Some((transaction, Device { binding: Some(binding), updated_at: now, ..device.clone() })))
        };
        self.move_device(device, replace).await
    }

    /// Makes a change that depends on the device as it was read. Starts over while other requests come first.
    async fn move_device(
        &self,
        device: Device,
        plan: impl Fn(&Device) -> Result<Option<(Transaction, Device)>, Error>,
    ) -> Result<Device, Error> {
        let mut device = device;
        for _ in 0..MAX_ATTEMPTS {
            let Some((transaction, after)) = plan(&device)? else { return Ok(device) };
            match transaction.commit(self).await? {
                Committed::Made => return Ok(after),
                Committed::Refused(_) => device = self.device(&device.id).await?.ok_or_else(Error::no_device)?,
            }
        }
        Err(changing())
    }
}

fn changing() -> Error {
    Error::Conflict { reason: "other requests keep changing the device at the same time; try again".to_owned() }
}

/// Removes the binding of a device, and deletes its tokens.
pub(crate) fn unbind(transaction: &mut Transaction, device: &Device, now: Timestamp) -> Result<(), Error> {
    let Some(binding) = &device.binding else { return Ok(()) };
    let mut change = Change::when(is_bound(device, binding)?);
    change.remove(BINDING).set(UPDATED_AT, &now)?;
    transaction.update(&device.id, change);
    for token in binding.tokens() {
        transaction.delete(keys::credential(token));
    }
    Ok(())
}

/// The device has the same binding as when it was read.
fn is_bound(device: &Device, binding: &Binding) -> Result<Condition, Error> {
    Ok(is_of(&device.tenant)?.and(is(BINDING.then(TOKEN), &binding.token)?))
}

/// Ends a replaced token after a day. The first use of its successor ends it before.
fn ending(token: &CredentialHash, now: Timestamp) -> Result<Change, Error> {
    let end = now.plus_seconds(FIRST_CALL_SECONDS);
    let mut change = Change::when(is_present());
    change.set(REPLACED_BY, token)?.set(EXPIRES_AT, &end)?.set(TTL, &seconds(end))?;
    Ok(change)
}

/// Revokes a replaced token, which stays stored for a day with its successor.
fn replaced_by(token: &CredentialHash, now: Timestamp) -> Result<Change, Error> {
    let mut change = Change::when(is_present());
    change.set(REVOKED_AT, &now)?.set(REPLACED_BY, token)?.set(TTL, &seconds(now.plus_seconds(FIRST_CALL_SECONDS)))?;
    Ok(change)
}

/// The item of a device token.
fn token_of(device: &Device, binding: &Binding, now: Timestamp) -> Result<item::Item, Error> {
    let credential = Credential::new(device.tenant.clone(), device.grant(&binding.end_user_id), now);
    item::credential(&binding.token, &Credential { replaces: binding.earlier.first().copied(), ..credential })
}
