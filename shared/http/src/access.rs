//! Who calls. The credential is looked up beside a read, before a write, and never twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::{Action, Caller, Credential, CredentialHash, Error, Grant, Timestamp};
use capstan_store::Store;
use futures_util::future::join;

use crate::Request;

/// Seconds that a sandbox trusts what it saw of a key: the time in which a revocation must bite.
const TRUSTED_SECONDS: i64 = 5;
/// How many credentials a sandbox remembers. It forgets all when there are more, rather than keep count of their age.
const MAX_REMEMBERED: usize = 1000;

#[derive(Debug)]
struct Seen {
    credential: Credential,
    at: Timestamp,
}

/// Who calls under an `Idempotency-Key`, and maybe did so before.
pub(crate) enum Identified {
    /// Its credential is good.
    Good(Caller),
    /// A device that had its token replaced by that one. It may ask again for the answer in which it was to be told so, and
    /// for nothing else.
    Replaced {
        /// Who it was.
        caller: Caller,
        /// The token that it has.
        by: CredentialHash,
    },
}

impl Identified {
    pub(crate) fn caller(&self) -> &Caller {
        match self {
            Self::Good(caller) | Self::Replaced { caller, .. } => caller,
        }
    }
}

/// The table behind its door: credentials are checked here, and what is behind is reached through [`Self::store`].
#[derive(Clone, Debug)]
pub struct Access {
    store: Store,
    seen: Arc<Mutex<HashMap<CredentialHash, Seen>>>,
}

impl FromEnvironment for Access {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        Store::from_environment(environment).await.map(Self::new)
    }
}

impl Access {
    /// Credentials of this table.
    pub fn new(store: Store) -> Self {
        Self { store, seen: Arc::default() }
    }

    /// The table.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who calls, before anything is written.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] and [`Error::Forbidden`].
    pub async fn caller(&self, request: &Request, action: Action) -> Result<Caller, Error> {
        self.identify(request).await?.permitted(action)
    }

    /// Who calls, whatever for.
    ///
    /// # Errors
    /// [`Error::Unauthorized`].
    pub(crate) async fn identify(&self, request: &Request) -> Result<Caller, Error> {
        if let Some(caller) = request.caller() {
            return Ok(caller.clone());
        }
        let hash = CredentialHash::of(request.credential()?);
        self.credential(&hash, request.now()).await?.caller(hash, request.now())
    }

    /// Who calls under an `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`].
    pub(crate) async fn identify_repeat(&self, request: &Request) -> Result<Identified, Error> {
        let hash = CredentialHash::of(request.credential()?);
        let credential = self.credential(&hash, request.now()).await?;
        match credential.replaced_by {
            Some(by) => Ok(Identified::Replaced { caller: credential.holder(hash), by }),
            None => credential.caller(hash, request.now()).map(Identified::Good),
        }
    }

    /// Who calls, looked up while something is read. The answer waits for both; a refusal of the caller comes first.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] and [`Error::Forbidden`], then those of the read.
    pub async fn caller_beside<T>(
        &self,
        request: &Request,
        action: Action,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<(Caller, T), Error> {
        request.credential()?;
        let (caller, read) = join(self.identify(request), read).await;
        let caller = caller?.permitted(action)?;
        Ok((caller, read?))
    }

    async fn credential(&self, hash: &CredentialHash, now: Timestamp) -> Result<Credential, Error> {
        if let Some(credential) = self.remembered(hash, now) {
            return Ok(credential);
        }
        let credential = self.store.credential(hash).await?.ok_or(Error::Unauthorized)?;
        // Of interest to its owner only: whoever calls is served whether or not it can be noted.
        if credential.is_use_news(now)
            && let Err(error) = self.store.note_use(hash, &credential, now).await
        {
            tracing::warn!(%error, "the use of a key was not noted");
        }
        // The token of a device that is lost must be dead at once.
        if matches!(credential.grant, Grant::Device { .. }) {
            return Ok(credential);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_REMEMBERED {
            seen.clear();
        }
        seen.insert(*hash, Seen { credential: credential.clone(), at: now });
        Ok(credential)
    }

    fn remembered(&self, hash: &CredentialHash, now: Timestamp) -> Option<Credential> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = seen.get(hash).filter(|seen| now < seen.at.plus_seconds(TRUSTED_SECONDS))?;
        Some(fresh.credential.clone())
    }
}
