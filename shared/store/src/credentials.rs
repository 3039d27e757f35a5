//! Credentials by their hash.

use capstan_aws::failure;
use capstan_domain::{Credential, CredentialHash, Error};

use crate::{Store, item, keys};

impl Store {
    /// The credential of that hash, if there is one.
    pub async fn credential(&self, hash: &CredentialHash) -> Result<Option<Credential>, Error> {
        self.read(keys::credential(hash)).await
    }

    /// Keeps a credential under its hash. DynamoDB removes one that ends by itself some time after its end.
    pub async fn put_credential(&self, hash: &CredentialHash, credential: &Credential) -> Result<(), Error> {
        let item = item::credential(hash, credential)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.map_err(failure)?;
        Ok(())
    }
}
