//! The single table: one item per recording, transcription, end user and device, one method per access pattern.
//!
//! Every method is one DynamoDB call unless its documentation says otherwise; callers count on that.
//! IAM: `GetItem`, `PutItem`, `UpdateItem`, `DeleteItem`, `ConditionCheckItem`, `BatchGetItem` on the table, `Query` on
//! its indexes.

mod change;
mod condition;
mod credentials;
mod devices;
mod due;
mod end_users;
mod expression;
mod first_calls;
mod item;
mod keys;
mod list;
mod processing;
mod recordings;
mod settings;
mod social;
mod transaction;
mod transcriptions;
mod uploads;

use aws_sdk_dynamodb::Client;
use capstan_aws::{MissingVariable, failure, impatient, variable};
use capstan_domain::Error;
use serde::de::DeserializeOwned;

pub use change::Changed;
pub use devices::Registered;
pub use due::{Due, DueItem, InHand};
pub use first_calls::Begun;
pub use keys::Identifier;
pub use list::{ListQuery, Page, Position};
pub use social::{Called, SocialChange, SocialStep};
pub use uploads::{Arrival, CompletedFile, MultipartRenewal, Owner, Renewal};

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
}

impl Store {
    /// The table of that name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The table that `TABLE_NAME` names.
    ///
    /// # Errors
    /// [`MissingVariable`] when it is not set.
    pub fn from_environment(configuration: &aws_config::SdkConfig) -> Result<Self, MissingVariable> {
        Ok(Self::new(Client::new(&impatient(configuration)), variable("TABLE_NAME")?))
    }

    async fn read<T: DeserializeOwned>(&self, key: keys::Key) -> Result<Option<T>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(failure)?;
        answer.item.map(item::from_item).transpose()
    }
}
