//! The DynamoDB table: one item per recording, transcription, end user and device, one method per access pattern.
//!
//! Every method is one DynamoDB call unless its documentation says otherwise.
//! IAM: `GetItem`, `PutItem`, `UpdateItem`, `DeleteItem`, `ConditionCheckItem`, `BatchGetItem` on the table, `Query` on
//! its indexes.

mod attributes;
mod change;
mod condition;
mod credentials;
mod devices;
mod due;
mod end_users;
mod expression;
mod item;
mod keys;
mod list;
mod meeting;
mod optimistic;
mod original_requests;
mod processing;
mod recordings;
mod settings;
mod transaction;
mod transcriptions;
mod uploads;

use aws_sdk_dynamodb::Client;
use capstan_aws::{Environment, EnvironmentError, FromEnvironment, failure, impatient};
use capstan_domain::Error;
use serde::de::DeserializeOwned;

pub use change::Changed;
pub use devices::Registered;
pub use due::{Due, DueItem, SweepLease};
pub use keys::Identifier;
pub use list::{ListQuery, Page, PageQuery, Position};
pub use meeting::{ByName, MeetingChange, MeetingStep};
pub use optimistic::retry_overtaken;
pub use original_requests::Begun;
pub use transcriptions::transcript_location;
pub use uploads::{MultipartRenewal, Owner, Recorded, Renewal, UploadedFile};

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
}

/// The table that `TABLE_NAME` names.
impl FromEnvironment for Store {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        Ok(Self::new(Client::new(&impatient(environment.aws())), environment.variable("TABLE_NAME")?))
    }
}

impl Store {
    /// A table by its name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Puts an item, in place of any that has its key.
    async fn put(&self, item: item::Item) -> Result<(), Error> {
        let name = keys::name(&item);
        let answer = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        answer.map(drop).map_err(|error| failure(error).context(format!("put {name}")))
    }

    async fn read<T: DeserializeOwned>(&self, key: keys::Key) -> Result<Option<T>, Error> {
        let name = keys::name(&key);
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure(error).context(format!("get {name}")))?;
        answer.item.map(item::from_item).transpose()
    }
}
