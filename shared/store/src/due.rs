//! Due work: the one durable timer.

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_aws::failure;
use capstan_domain::{Error, RecordingId, Timestamp, TranscriptionId};
use futures_util::future::try_join_all;

use crate::change::{Change, Changed};
use crate::condition::{Condition, is};
use crate::item::Item;
use crate::keys::Identifier;
use crate::{Store, item, keys};

/// An entity for which an action is due.
#[derive(Debug)]
pub enum Due {
    /// A recording.
    Recording(DueItem<RecordingId>),
    /// A transcription.
    Transcription(DueItem<TranscriptionId>),
}

/// An entity of one kind for which an action is due.
#[derive(Debug)]
pub struct DueItem<I> {
    /// Its identifier.
    pub id: I,
    /// Since when the action is due.
    pub due_at: Timestamp,
}

/// A sweep's lease on due work, stored as the time at which the work is due again. It is never a whole minute, and all other
/// work is due at whole minutes: by that, the sweep recognises its own lease.
#[derive(Clone, Copy, Debug)]
pub struct SweepLease(Timestamp);

impl SweepLease {
    /// A lease until about `moment`.
    pub fn until(moment: Timestamp) -> Self {
        Self(moment.off_the_minute())
    }
}

impl Store {
    /// Work that is due by `now`, the longest due first within each shard, at most `per_shard` of each. One query per shard,
    /// concurrently.
    pub async fn due(&self, now: Timestamp, per_shard: i32) -> Result<Vec<Due>, Error> {
        let shards = (0..keys::DUE_SHARDS).map(|shard| self.due_in(shard, now, per_shard));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    async fn due_in(&self, shard: u8, now: Timestamp, limit: i32) -> Result<Vec<Due>, Error> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(keys::DUE.name)
            .key_condition_expression("#shard = :shard AND #due_at <= :now")
            .expression_attribute_names("#shard", keys::DUE.partition.as_str())
            .expression_attribute_names("#due_at", keys::DUE.sort.as_str())
            .expression_attribute_values(":shard", AttributeValue::S(keys::due_shard(shard)))
            .expression_attribute_values(":now", item::attribute(&now)?)
            .limit(limit)
            .send()
            .await
            .map_err(|error| failure(error).context("query due work"))?;
        answer.items.unwrap_or_default().into_iter().map(due).collect()
    }

    /// Claims due work. `None` when another sweep did, or when it is no longer due.
    pub async fn claim_due<I: Identifier>(
        &self,
        due: &DueItem<I>,
        SweepLease(until): SweepLease,
    ) -> Result<Option<Box<I::Entity>>, Error> {
        let mut change = Change::when(is(keys::DUE.sort, &due.due_at)?);
        change.due_exactly(&due.id, until)?;
        match change.apply(self, &due.id).await? {
            Changed::Made(entity) => Ok(Some(entity)),
            Changed::Refused(_) => Ok(None),
        }
    }

    /// Releases claimed work: sets when it is due next, unless another change did.
    pub async fn release_due<I: Identifier>(
        &self,
        id: &I,
        held: SweepLease,
        next: Option<Timestamp>,
    ) -> Result<(), Error> {
        let mut change = Change::when(has_sweep_lease(held)?);
        change.due(id, next)?;
        change.apply(self, id).await.map(drop)
    }

    /// Renews a sweep's lease, unless another change set when the work is due.
    pub async fn renew_sweep_lease<I: Identifier>(
        &self,
        id: &I,
        held: SweepLease,
        SweepLease(until): SweepLease,
    ) -> Result<(), Error> {
        let mut change = Change::when(has_sweep_lease(held)?);
        change.due_exactly(id, until)?;
        change.apply(self, id).await.map(drop)
    }
}

fn has_sweep_lease(SweepLease(until): SweepLease) -> Result<Condition, Error> {
    is(keys::DUE.sort, &until)
}

fn due(item: Item) -> Result<Due, Error> {
    #[derive(serde::Deserialize)]
    struct Keys {
        #[serde(rename = "PK")]
        partition: String,
        due_at: Timestamp,
    }
    let Keys { partition, due_at } = item::from_item(item)?;
    match partition.split_once('#') {
        Some(("TXN", id)) => Ok(Due::Transcription(DueItem { id: id.parse().map_err(Error::internal)?, due_at })),
        Some(("REC", id)) => Ok(Due::Recording(DueItem { id: id.parse().map_err(Error::internal)?, due_at })),
        _ => Err(Error::internal("a due item is neither a recording nor a transcription")),
    }
}
