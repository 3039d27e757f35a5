//! Authentication: from a credential to a caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::{Caller, Credential, CredentialHash, Error, Grant, Timestamp};
use capstan_store::Store;

/// Seconds for which a credential is cached: a revocation takes effect within this time.
const CACHE_SECONDS: i64 = 5;
/// Most credentials in the cache. A full cache is cleared.
const MAX_CACHED: usize = 1000;

/// Authenticates callers by the credentials in the table, and caches credentials for 5 seconds.
#[derive(Clone, Debug)]
pub struct Authenticator {
    store: Store,
    cache: Arc<Mutex<HashMap<CredentialHash, Cached>>>,
}

#[derive(Debug)]
struct Cached {
    credential: Credential,
    at: Timestamp,
}

/// The caller of a request with an `Idempotency-Key`.
#[derive(Debug)]
pub enum ReplayCaller {
    /// The credential is valid.
    Valid(Caller),
    /// A device whose token was replaced and revoked. The device may replay the request that replaced the token, and do
    /// nothing else: it may not have received the response with the new token.
    Replaced {
        /// The device.
        caller: Caller,
        /// The new token.
        by: CredentialHash,
    },
}

impl ReplayCaller {
    /// Who calls.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Valid(caller) | Self::Replaced { caller, .. } => caller,
        }
    }
}

impl FromEnvironment for Authenticator {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        Store::from_environment(environment).await.map(Self::new)
    }
}

impl Authenticator {
    /// Credentials of this table.
    pub fn new(store: Store) -> Self {
        Self { store, cache: Arc::default() }
    }

    /// The table.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The caller with this credential.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it is unknown, expired or revoked.
    pub async fn caller(&self, credential: &str, now: Timestamp) -> Result<Caller, Error> {
        let hash = CredentialHash::of(credential);
        self.credential(&hash, now).await?.caller(hash, now)
    }

    /// The caller of a request with an `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when the credential is unknown, expired or revoked, and was not replaced.
    pub async fn replay_caller(&self, credential: &str, now: Timestamp) -> Result<ReplayCaller, Error> {
        let hash = CredentialHash::of(credential);
        let credential = self.credential(&hash, now).await?;
        match credential.replaced_by {
            Some(by) if credential.revoked_at.is_some() => {
                Ok(ReplayCaller::Replaced { caller: credential.holder(hash), by })
            }
            _ => credential.caller(hash, now).map(ReplayCaller::Valid),
        }
    }

    async fn credential(&self, hash: &CredentialHash, now: Timestamp) -> Result<Credential, Error> {
        if let Some(credential) = self.cached(hash, now) {
            return Ok(credential);
        }
        let credential = self.store.credential(hash).await?.ok_or(Error::Unauthorized)?;
        let credential = self.revoked_by_successor(credential).await?;
        // The request succeeds even if this use cannot be recorded. In that case the next use is recorded.
        if credential.is_use_to_record(now)
            && let Err(error) = self.store.record_use(hash, &credential, now).await
        {
            tracing::warn!(%error, "cannot record the use of a credential");
        }
        // The token of a lost device must stop working at once.
        if matches!(credential.grant, Grant::Device(_)) {
            return Ok(credential);
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(*hash, Cached { credential: credential.clone(), at: now });
        Ok(credential)
    }

    /// A replaced device token, revoked if a token after it has been used. One call for each token after it, at most
    /// [`MAX_EARLIER_TOKENS`](capstan_domain::MAX_EARLIER_TOKENS).
    async fn revoked_by_successor(&self, mut credential: Credential) -> Result<Credential, Error> {
        let mut next = credential.replaced_by;
        while credential.revoked_at.is_none()
            && let Some(hash) = next
            && let Some(successor) = self.store.credential(&hash).await?
        {
            credential.revoked_at = successor.last_used_at;
            next = successor.replaced_by;
        }
        Ok(credential)
    }

    fn cached(&self, hash: &CredentialHash, now: Timestamp) -> Option<Credential> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = cache.get(hash).filter(|cached| now < cached.at.plus_seconds(CACHE_SECONDS))?;
        Some(fresh.credential.clone())
    }
}
