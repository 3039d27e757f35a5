//! The one durable timer: what owes an action, found when it is due.

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_aws::failure;
use capstan_domain::{Error, RecordingId, Timestamp, TranscriptionId};
use futures_util::future::try_join_all;

use crate::change::{Change, Changed};
use crate::condition::{Condition, is};
use crate::item::Item;
use crate::keys::Identifier;
use crate::{Store, item, keys};

/// What is due.
#[derive(Debug)]
pub enum Due {
    /// A recording.
    Recording(DueItem<RecordingId>),
    /// A transcription.
    Transcription(DueItem<TranscriptionId>),
}

/// One of a kind that is due.
#[derive(Debug)]
pub struct DueItem<I> {
    /// Which.
    pub id: I,
    due_at: String,
}

impl<I> DueItem<I> {
    /// Since when, in sortable form.
    pub fn due_at(&self) -> &str {
        &self.due_at
    }
}

/// Until when a sweep has something in hand. Never a whole minute, which is when everything else is due: whether it is
/// still in hand is seen by when it is due.
#[derive(Clone, Copy, Debug)]
pub struct SweepLease(Timestamp);

impl SweepLease {
    /// Until about that moment.
    pub fn until(moment: Timestamp) -> Self {
        Self(moment.off_the_minute())
    }
}

impl Store {
    /// What is due by now, the longest due first within each shard, at most `per_shard` of each.
    /// One query per shard, side by side.
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
            .key_condition_expression("due_key = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", AttributeValue::S(keys::due_shard(shard)))
            .expression_attribute_values(":now", AttributeValue::S(now.sortable()))
            .limit(limit)
            .send()
            .await
            .map_err(failure)?;
        answer.items.unwrap_or_default().into_iter().map(due).collect()
    }

    /// Takes what is due in hand, so that no other sweep does the same. `None` when another did, or when it is no longer
    /// due.
    pub async fn take_due<I: Identifier>(
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

    /// Sets when what is in hand is next due, unless something else did since.
    pub async fn postpone<I: Identifier>(
        &self,
        id: &I,
        held: SweepLease,
        next: Option<Timestamp>,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_in_hand(held)?);
        change.due(id, next)?;
        change.apply(self, id).await.map(drop)
    }

    /// Keeps what is in hand for longer, unless something else came between.
    pub async fn hold_longer<I: Identifier>(
        &self,
        id: &I,
        held: SweepLease,
        SweepLease(until): SweepLease,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_in_hand(held)?);
        change.due_exactly(id, until)?;
        change.apply(self, id).await.map(drop)
    }
}

fn is_in_hand(SweepLease(until): SweepLease) -> Result<Condition, Error> {
    is(keys::DUE.sort, &until.sortable())
}

fn due(item: Item) -> Result<Due, Error> {
    #[derive(serde::Deserialize)]
    struct Keys {
        #[serde(rename = "PK")]
        partition: String,
        due_at: String,
    }
    let Keys { partition, due_at } = item::from_item(item)?;
    match partition.split_once('#') {
        Some(("TXN", id)) => Ok(Due::Transcription(DueItem { id: id.parse().map_err(Error::internal)?, due_at })),
        Some(("REC", id)) => Ok(Due::Recording(DueItem { id: id.parse().map_err(Error::internal)?, due_at })),
        _ => Err(Error::internal("what is due is neither a recording nor a transcription")),
    }
}
