//! Credentials by their hash.

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_aws::failure;
use capstan_domain::{Credential, CredentialHash, Error};

use crate::{Store, item, keys};

impl Store {
    /// The credential of that hash, if there is one.
    pub async fn credential(&self, hash: &CredentialHash) -> Result<Option<Credential>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(keys::credential(hash)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failure)?;
        answer.item.map(item::from_item).transpose()
    }

    /// Keeps a credential under its hash. DynamoDB removes one that ends by itself some time after its end.
    pub async fn put_credential(&self, hash: &CredentialHash, credential: &Credential) -> Result<(), Error> {
        let mut item = item::to_item(credential)?;
        item.extend(keys::credential(hash));
        if let Some(expires_at) = credential.expires_at {
            item.insert("ttl".to_owned(), AttributeValue::N((expires_at.milliseconds() / 1000).to_string()));
        }
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.map_err(failure)?;
        Ok(())
    }
}
