//! Making credentials, which are shown once and stored as their hash.

use std::collections::BTreeSet;

use capstan_domain::{Credential, CredentialHash, Error, Grant, Mode, Scope, Secret, Tenant, Timestamp};
use capstan_store::Store;

/// A credential's text: what it is by its prefix, then 256 random bits.
///
/// # Errors
/// When the system gives no randomness.
pub fn draw(grant: &Grant, mode: Mode) -> Result<String, Error> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Secret::new(grant, mode, bits).reveal())
}

/// Draws a credential and stores it.
///
/// # Errors
/// When the table refuses.
pub async fn create(store: &Store, tenant: Tenant, grant: Grant, name: Option<String>) -> Result<String, Error> {
    let text = draw(&grant, tenant.mode)?;
    put(store, &text, tenant, grant, name).await?;
    Ok(text)
}

/// Stores a credential.
///
/// # Errors
/// When the table refuses.
pub async fn put(store: &Store, text: &str, tenant: Tenant, grant: Grant, name: Option<String>) -> Result<(), Error> {
    let credential = Credential { tenant, grant, name, created_at: now(), expires_at: None, revoked_at: None };
    store.put_credential(&CredentialHash::of(text), &credential).await
}

/// The machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

/// Scopes from a list such as `recordings:read,devices:write`.
///
/// # Errors
/// The first that is none, with those that there are.
pub fn scopes(list: &str) -> Result<BTreeSet<Scope>, String> {
    list.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_256_random_bits_behind_its_prefix() {
        let draw = || draw(&Grant::Secret, Mode::Test).unwrap();
        let text = draw();
        assert_eq!(text.strip_prefix("sk_test_").unwrap().len(), 43);
        assert_ne!(draw(), draw());
    }

    #[test]
    fn an_unknown_scope_is_named_beside_the_known_ones() {
        assert_eq!(scopes("recordings:read, devices:write").unwrap().len(), 2);
        let error = scopes("recordings:read,all").unwrap_err();
        assert!(error.contains("`all`") && error.contains("recordings:write"), "{error}");
    }
}
