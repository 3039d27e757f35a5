//! Lists: keys from an index, then the items by one BatchGetItem.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use capstan_aws::failure;
use capstan_domain::{DeviceId, EndUserId, Error, Reach, Recording, RecordingId, Status, Timestamp};
use futures_util::future::try_join_all;

use crate::item::Item;
use crate::keys::Index;
use crate::{Store, item, keys};

/// BatchGetItem takes at most 100 keys.
const BATCH: usize = 100;
/// A filter may pass over this many batches before the page is given as it is, with a cursor to go on from.
const MAX_BATCHES: usize = 10;

/// Which recordings, newest first.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Within whose reach.
    pub reach: Reach,
    /// Of this device.
    pub device_id: Option<DeviceId>,
    /// Of this end user.
    pub end_user_id: Option<EndUserId>,
    /// In this state.
    pub status: Option<Status>,
    /// Created after this moment.
    pub created_after: Option<Timestamp>,
    /// Changed after this moment.
    pub updated_after: Option<Timestamp>,
    /// Those after this one in the list.
    pub after: Option<RecordingId>,
    /// How many to leave out at the start.
    pub offset: usize,
    /// How many at most, 1 to 100.
    pub limit: usize,
}

impl ListQuery {
    fn keeps(&self, recording: &Recording) -> bool {
        self.device_id.as_ref().is_none_or(|id| recording.device_id.as_ref() == Some(id))
            && self.end_user_id.as_ref().is_none_or(|id| recording.end_user_id == *id)
            && self.status.is_none_or(|status| recording.status == status)
            && self.created_after.is_none_or(|moment| recording.created_at > moment)
            && self.updated_after.is_none_or(|moment| recording.updated_at > moment)
    }

    /// Whether the index alone cannot tell which recordings the list holds.
    fn is_filtered(&self) -> bool {
        self.status.is_some()
            || self.updated_after.is_some()
            || (self.device_id.is_some() && self.end_user_id.is_some())
    }

    fn partitions(&self) -> (Index, Vec<String>) {
        let tenant = self.reach.tenant();
        if let Some(device_id) = &self.device_id {
            (keys::BY_DEVICE, vec![keys::device(tenant, device_id)])
        } else if let Some(end_user_id) = &self.end_user_id {
            (keys::BY_END_USER, vec![keys::end_user(tenant, end_user_id)])
        } else {
            let shards = 0..keys::PROJECT_SHARDS;
            (keys::BY_PROJECT, shards.map(|shard| keys::project_shard(tenant, shard)).collect())
        }
    }
}

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The recordings, newest first.
    pub recordings: Vec<Recording>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Position>,
}

/// A place in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last recording before it.
    pub after: RecordingId,
    /// How many are still to be left out from there.
    pub left_out: usize,
}

impl Store {
    /// A page of recordings: the queries of an index's partitions side by side, then one BatchGetItem. With an
    /// offset the keys that are left out are read before; with a filter that no index serves, there may be several
    /// rounds, and a page may be shorter than the limit although more follow.
    pub async fn list_recordings(&self, query: &ListQuery) -> Result<Page, Error> {
        let mut after = query.after.clone();
        let mut left_out = query.offset;
        if !query.is_filtered() && left_out > 0 {
            let skipped = self.list_keys(query, after.as_ref(), left_out).await?;
            if skipped.len() < left_out {
                return Ok(Page { recordings: Vec::new(), next: None });
            }
            after = skipped.last().cloned();
            left_out = 0;
        }
        let batch = if query.is_filtered() { BATCH } else { query.limit };
        let mut recordings = Vec::new();
        for _ in 0..MAX_BATCHES {
            let mut ids = self.list_keys(query, after.as_ref(), batch + 1).await?;
            let more = ids.len() > batch;
            ids.truncate(batch);
            let mut found = self.recordings(&ids).await?;
            for id in ids {
                after = Some(id.clone());
                let kept = found.remove(&id).and_then(|recording| query.reach.admit(recording).ok());
                if !kept.as_ref().is_some_and(|recording| query.keeps(recording)) {
                    continue;
                }
                if left_out > 0 {
                    left_out -= 1;
                    continue;
                }
                if recordings.len() == query.limit {
                    let last = recordings.last().map(|last: &Recording| last.id.clone());
                    return Ok(Page { recordings, next: last.map(|after| Position { after, left_out }) });
                }
                recordings.extend(kept);
            }
            if !more {
                return Ok(Page { recordings, next: None });
            }
            if !query.is_filtered() {
                break;
            }
        }
        Ok(Page { recordings, next: after.map(|after| Position { after, left_out }) })
    }

    /// The newest `count` ids of the list.
    async fn list_keys(
        &self,
        query: &ListQuery,
        after: Option<&RecordingId>,
        count: usize,
    ) -> Result<Vec<RecordingId>, Error> {
        let (index, partitions) = query.partitions();
        let queries =
            partitions.into_iter().map(|partition| self.partition_keys(query, index, partition, after, count));
        let mut ids: Vec<RecordingId> = try_join_all(queries).await?.into_iter().flatten().collect();
        ids.sort_by(|a, b| b.cmp(a));
        ids.truncate(count);
        Ok(ids)
    }

    async fn partition_keys(
        &self,
        query: &ListQuery,
        index: Index,
        partition: String,
        after: Option<&RecordingId>,
        count: usize,
    ) -> Result<Vec<RecordingId>, Error> {
        let floor = query.created_after.map(RecordingId::floor);
        let floor = floor.as_ref().map_or("rec_", RecordingId::as_str).to_owned();
        // `rec_~` lies behind every id. BETWEEN includes its ends, so the one to go on from is dropped again.
        let ceiling = after.map_or("rec_~", RecordingId::as_str).to_owned();
        if ceiling < floor {
            return Ok(Vec::new());
        }
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index.name)
            .key_condition_expression("#partition = :partition AND #sort BETWEEN :floor AND :ceiling")
            .expression_attribute_names("#partition", index.partition)
            .expression_attribute_names("#sort", index.sort)
            .expression_attribute_values(":partition", AttributeValue::S(partition))
            .expression_attribute_values(":floor", AttributeValue::S(floor))
            .expression_attribute_values(":ceiling", AttributeValue::S(ceiling))
            .scan_index_forward(false)
            .limit(i32::try_from(count + 1).unwrap_or(i32::MAX))
            .into_paginator()
            .items()
            .send();
        let mut ids = Vec::new();
        while let Some(item) = pages.next().await {
            let id = listed_id(item.map_err(failure)?)?;
            if Some(&id) != after {
                ids.push(id);
            }
            if ids.len() == count {
                break;
            }
        }
        Ok(ids)
    }

    async fn recordings(&self, ids: &[RecordingId]) -> Result<HashMap<RecordingId, Recording>, Error> {
        let mut found = HashMap::new();
        let mut wanted: Vec<_> = ids.iter().map(keys::recording).collect();
        // A reply holds at most 16 MB and says which keys it left out.
        while !wanted.is_empty() {
            let request = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .build()
                .map_err(Error::internal)?;
            let mut answer =
                self.client.batch_get_item().request_items(&self.table, request).send().await.map_err(failure)?;
            let items = answer.responses.as_mut().and_then(|tables| tables.remove(&self.table));
            for item in items.unwrap_or_default() {
                let recording: Recording = item::from_item(item)?;
                found.insert(recording.id.clone(), recording);
            }
            wanted = answer
                .unprocessed_keys
                .and_then(|mut tables| tables.remove(&self.table))
                .map(|left| left.keys)
                .unwrap_or_default();
        }
        Ok(found)
    }
}

fn listed_id(item: Item) -> Result<RecordingId, Error> {
    #[derive(serde::Deserialize)]
    struct Listed {
        id: RecordingId,
    }
    Ok(item::from_item::<Listed>(item)?.id)
}
