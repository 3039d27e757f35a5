//! Credentials by their hash, and API keys by their id.

use std::time::Duration;

use aws_sdk_dynamodb::config::{Config, retry::RetryConfig, timeout::TimeoutConfig};
use capstan_aws::failure;
use capstan_domain::{Credential, CredentialHash, Error, KeyId, Tenant, Timestamp};
use futures_util::future::try_join_all;

use crate::attributes::{EXPIRES_AT, LAST_USED_AT, REVOKED_AT};
use crate::change::{Change, Changed};
use crate::condition::{Condition, is_missing, is_present, is_unchanged};
use crate::expression::Expressions;
use crate::item::KeyName;
use crate::keys::Identifier;
use crate::transaction::{Committed, Transaction};
use crate::{Page, PageQuery, Store, item, keys};

/// Longest time for recording the use of an API key, since a request waits for it.
const RECORD_USE_TIMEOUT: Duration = Duration::from_millis(300);

impl Store {
    /// The credential with this hash; `None` if there is none.
    pub async fn credential(&self, hash: &CredentialHash) -> Result<Option<Credential>, Error> {
        self.read(keys::credential(hash)).await
    }

    /// Stores a credential under its hash. DynamoDB deletes an expired token some time after its expiry.
    pub async fn put_credential(&self, hash: &CredentialHash, credential: &Credential) -> Result<(), Error> {
        self.put(item::credential(hash, credential)?).await
    }

    /// Records that a key or a token is used now, unless another request has just done so. One attempt, with a short timeout.
    pub async fn record_use(&self, hash: &CredentialHash, seen: &Credential, now: Timestamp) -> Result<(), Error> {
        let unchanged = is_unchanged(LAST_USED_AT, seen.last_used_at.as_ref())?;
        let mut change = Change::when(is_present().and(unchanged));
        change.set(LAST_USED_AT, &now)?;
        let Expressions { update, condition, names, values } = change.expressions();
        let timeouts = TimeoutConfig::builder().operation_timeout(RECORD_USE_TIMEOUT).build();
        let once = Config::builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        let request = self.client.update_item().table_name(&self.table).set_key(Some(keys::credential(hash)));
        let request = request.set_update_expression(update).set_condition_expression(condition);
        let request = request.set_expression_attribute_names(names).set_expression_attribute_values(values);
        match request.customize().config_override(once).send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(failure(error).context("record the use of a credential")),
        }
    }

    /// Creates an API key: under its hash, and under its id in the tenant's list. One transaction.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is one of that id or that hash.
    pub async fn create_key(&self, hash: &CredentialHash, key: &Credential) -> Result<(), Error> {
        let mut transaction = Transaction::default();
        put_key(&mut transaction, hash, key)?;
        match transaction.commit(self).await? {
            Committed::Made => Ok(()),
            Committed::Refused(_) => Err(Error::Conflict { reason: "a key with this id exists".to_owned() }),
        }
    }

    /// An API key of any tenant, with its hash. Two reads.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn key(&self, id: &KeyId) -> Result<(CredentialHash, Credential), Error> {
        let named: KeyName = self.read(id.key()).await?.ok_or_else(no_key)?;
        let key = self.credential(&named.hash).await?.ok_or_else(no_key)?;
        Ok((named.hash, key))
    }

    /// A page of a tenant's API keys, newest first, with expired and revoked ones. Concurrent queries, one
    /// BatchGetItem, then concurrent GetItem of each key.
    pub async fn list_keys(
        &self,
        tenant: &Tenant,
        after: Option<&KeyId>,
        limit: usize,
    ) -> Result<Page<Credential, KeyId>, Error> {
        let query = PageQuery { after: after.cloned(), offset: 0, limit };
        let named = self.list(tenant, &query).await?;
        let read = named.entities.iter().map(|named: &KeyName| self.credential(&named.hash));
        let entities = try_join_all(read).await?.into_iter().flatten().collect();
        Ok(Page { entities, next: named.next })
    }

    /// Revokes an API key, unless it is revoked already. Two calls.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that id.
    pub async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<Credential, Error> {
        let named: KeyName = self.read(id.key()).await?.ok_or_else(no_key)?;
        let mut change = Change::when(is_good());
        change.set(REVOKED_AT, &now)?;
        match change.apply_at(self, keys::credential(&named.hash)).await? {
            Changed::Made(key) | Changed::Refused(Some(key)) => Ok(*key),
            Changed::Refused(None) => Err(no_key()),
        }
    }

    /// Replaces an API key as it was read by a new one. The old key expires at `end`, or earlier if it was to. One
    /// transaction.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the old key was revoked or rotated meanwhile.
    pub async fn replace_key(
        &self,
        (old_hash, old): (&CredentialHash, &Credential),
        (new_hash, new): (&CredentialHash, &Credential),
        end: Timestamp,
    ) -> Result<Timestamp, Error> {
        let end = old.expires_at.map_or(end, |earlier| earlier.min(end));
        let same_end = is_unchanged(EXPIRES_AT, old.expires_at.as_ref())?;
        let mut change = Change::when(is_good().and(same_end));
        change.set(EXPIRES_AT, &end)?;
        let mut transaction = Transaction::default();
        transaction.update_item(keys::credential(old_hash), change);
        put_key(&mut transaction, new_hash, new)?;
        match transaction.commit(self).await? {
            Committed::Made => Ok(end),
            Committed::Refused(_) => Err(Error::Conflict {
                reason: "the key was revoked or rotated at the same time; read it again".to_owned(),
            }),
        }
    }
}

fn put_key(transaction: &mut Transaction, hash: &CredentialHash, key: &Credential) -> Result<(), Error> {
    let id = key.key_id.as_ref().ok_or_else(|| Error::internal("a token is not kept as a key"))?;
    transaction.put_new(item::credential(hash, key)?);
    transaction.put_new(item::listed(id, &key.tenant, &KeyName { id: id.clone(), hash: *hash })?);
    Ok(())
}

/// The key exists and is not revoked.
fn is_good() -> Condition {
    is_present().and(is_missing(REVOKED_AT))
}

fn no_key() -> Error {
    Error::NotFound { what: "key" }
}
