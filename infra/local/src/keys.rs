//! Management of API keys: create, list, rotate and revoke.

use std::collections::BTreeSet;

use capstan_domain::{
    Credential, CredentialHash, CredentialStatus, Error, Grant, KeyId, Mode, ProjectId, Scope, Secret, Tenant,
    Timestamp,
};
use capstan_store::Store;

/// Keys per page.
const PAGE: usize = 100;

/// Draws the text of a credential: a prefix for its kind and mode, then 256 random bits.
///
/// # Errors
/// When the system gives no randomness.
pub fn draw(grant: &Grant, mode: Mode) -> Result<String, Error> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Secret::new(grant, mode, bits).reveal())
}

/// A key that was just made.
#[derive(Clone)]
pub struct NewKey {
    /// Id, safe to show.
    pub id: KeyId,
    /// The secret text. Only its hash is stored.
    pub text: String,
}

/// The result of a rotation.
#[derive(Clone)]
pub struct Rotated {
    /// The new key.
    pub new: NewKey,
    /// End of the old key.
    pub old_ends_at: Timestamp,
}

/// Draws a key and stores it.
///
/// # Errors
/// When the table refuses.
pub async fn create(store: &Store, tenant: Tenant, grant: Grant, name: Option<String>) -> Result<NewKey, Error> {
    let text = draw(&grant, tenant.mode)?;
    let id = put(store, &text, tenant, grant, name).await?;
    Ok(NewKey { id, text })
}

/// Stores a key.
///
/// # Errors
/// When the table refuses.
pub async fn put(
    store: &Store,
    text: &str,
    tenant: Tenant,
    grant: Grant,
    name: Option<String>,
) -> Result<KeyId, Error> {
    let id = new_id()?;
    let key = Credential { key_id: Some(id.clone()), name, ..Credential::new(tenant, grant, now()) };
    store.create_key(&CredentialHash::of(text), &key).await?;
    Ok(id)
}

/// Creates a key with the permissions of an old key, which ends after the overlap.
///
/// # Errors
/// [`Error::NotFound`], and [`Error::Conflict`] when the old key is no longer valid.
pub async fn rotate(store: &Store, id: &KeyId, overlap_hours: u32) -> Result<Rotated, Error> {
    let (old_hash, old) = store.key(id).await?;
    let new = old.successor(new_id()?, now())?;
    let text = draw(&new.grant, new.tenant.mode)?;
    let end = now().plus_seconds(i64::from(overlap_hours) * 3600);
    let hash = CredentialHash::of(&text);
    let old_ends_at = store.replace_key((&old_hash, &old), (&hash, &new), end).await?;
    let id = new.key_id.ok_or_else(|| Error::internal("a new key has an id"))?;
    Ok(Rotated { new: NewKey { id, text }, old_ends_at })
}

/// All keys of a project, newest first, including ended and revoked keys.
///
/// # Errors
/// When the table cannot be read.
pub async fn list(store: &Store, project_id: &ProjectId) -> Result<Vec<Credential>, Error> {
    let mut keys = Vec::new();
    for mode in [Mode::Live, Mode::Test] {
        let tenant = Tenant { project_id: project_id.clone(), mode };
        let mut after = None;
        loop {
            let page = store.list_keys(&tenant, after.as_ref(), PAGE).await?;
            keys.extend(page.entities);
            let Some(next) = page.next else { break };
            after = Some(next.after);
        }
    }
    Ok(keys)
}

/// Keys as a table for people.
#[must_use]
pub fn table(keys: &[Credential], now: Timestamp) -> String {
    let mut rows = vec![["KEY", "MODE", "PERMISSIONS", "CREATED", "LAST USED", "STATUS", "NAME"].map(str::to_owned)];
    rows.extend(keys.iter().map(|key| row(key, now)));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn row(key: &Credential, now: Timestamp) -> [String; 7] {
    let permissions = match &key.grant {
        Grant::Secret => "everything".to_owned(),
        Grant::Restricted { scopes } => scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(","),
        Grant::Device(device) => device.device_id.to_string(),
        Grant::Upload { recording_id } => recording_id.to_string(),
    };
    let status = match key.status(now) {
        CredentialStatus::Good => "good".to_owned(),
        CredentialStatus::GoodUntil(end) => format!("ends {end}"),
        CredentialStatus::Ended(end) => format!("ended {end}"),
        CredentialStatus::Revoked(at) => format!("revoked {at}"),
    };
    [
        key.key_id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        key.tenant.mode.as_str().to_owned(),
        permissions,
        key.created_at.to_string(),
        key.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        status,
        key.name.clone().unwrap_or_default(),
    ]
}

fn new_id() -> Result<KeyId, Error> {
    let mut entropy = [0; 16];
    getrandom::fill(&mut entropy).map_err(|error| Error::internal(error.to_string()))?;
    Ok(KeyId::new(now(), u128::from_le_bytes(entropy)))
}

/// The machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

/// Scopes from a list such as `recordings:read,devices:write`.
///
/// # Errors
/// The first unknown scope, with the known ones.
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
