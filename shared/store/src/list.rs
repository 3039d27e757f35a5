//! Lists: keys from an index, then the items by one BatchGetItem.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity};
use capstan_aws::{busy, failure};
use capstan_domain::{DeviceId, EndUserId, Error, Recording, RecordingId, Status, Tenant, Timestamp, Visibility};
use futures_util::future::try_join_all;

use crate::attributes::ID;
use crate::item::Item;
use crate::keys::{self, Identifier, Index};
use crate::{Store, item};

/// BatchGetItem takes at most 100 keys.
const BATCH: usize = 100;
/// Most batches that a filter reads for one page. The page may be shorter than its limit.
const MAX_BATCHES: usize = 10;
/// Read units of 4 kB after which a page ends early. Items may have 400 kB.
const MAX_READ_UNITS: f64 = 2_000.0;

/// A query for recordings, newest first.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The visible recordings.
    pub visibility: Visibility,
    /// Only of this device.
    pub device_id: Option<DeviceId>,
    /// Only of this end user.
    pub end_user_id: Option<EndUserId>,
    /// Only with this status.
    pub status: Option<Status>,
    /// Only created after this time.
    pub created_after: Option<Timestamp>,
    /// Only updated after this time.
    pub updated_after: Option<Timestamp>,
    /// Which part of the list.
    pub page: PageQuery<RecordingId>,
}

impl ListQuery {
    fn keeps(&self, recording: &Recording) -> bool {
        self.device_id.as_ref().is_none_or(|id| recording.origin.device_id.as_ref() == Some(id))
            && self.end_user_id.as_ref().is_none_or(|id| recording.origin.end_user_id.as_ref() == Some(id))
            && self.status.is_none_or(|status| recording.status == status)
            && self.created_after.is_none_or(|moment| recording.created_at > moment)
            && self.updated_after.is_none_or(|moment| recording.updated_at > moment)
    }

    /// Whether items must be read to apply the filters.
    fn is_filtered(&self) -> bool {
        self.status.is_some()
            || self.updated_after.is_some()
            || (self.device_id.is_some() && self.end_user_id.is_some())
    }

    fn stretch(&self) -> Stretch<RecordingId> {
        let tenant = self.visibility.tenant();
        let whole = if let Some(device_id) = &self.device_id {
            Stretch { index: keys::BY_DEVICE, partitions: vec![keys::device(tenant, device_id)], floor: None }
        } else if let Some(end_user_id) = &self.end_user_id {
            Stretch { index: keys::BY_END_USER, partitions: vec![keys::end_user(tenant, end_user_id)], floor: None }
        } else {
            Stretch::of_project(tenant)
        };
        Stretch { floor: self.created_after.map(RecordingId::floor), ..whole }
    }
}

/// A range of an index.
pub(crate) struct Stretch<I> {
    index: Index,
    /// Its partitions.
    partitions: Vec<String>,
    /// Its smallest id.
    floor: Option<I>,
}

impl<I: Identifier> Stretch<I> {
    /// All entities of a kind of a tenant.
    pub(crate) fn of_project(tenant: &Tenant) -> Self {
        Self { index: keys::BY_PROJECT, partitions: keys::project_shards::<I>(tenant), floor: None }
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Debug)]
pub struct PageQuery<I> {
    /// Only after this one in the list.
    pub after: Option<I>,
    /// Number of entities to skip.
    pub offset: usize,
    /// Maximum number, 1 to 100.
    pub limit: usize,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T, I> {
    /// The entities, newest first.
    pub entities: Vec<T>,
    /// Start of the next page; `None` at the end.
    pub next: Option<Position<I>>,
}

/// A position in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position<I> {
    /// The last entity before it.
    pub after: I,
    /// Number of entities to skip from there.
    pub left_out: usize,
}

impl Store {
    /// A page of recordings: concurrent queries of an index's partitions, then one BatchGetItem. An offset reads the
    /// skipped keys first. A filter without an index may take several rounds, and a page may be shorter than the limit
    /// although more follow.
    pub async fn list_recordings(&self, query: &ListQuery) -> Result<Page<Recording, RecordingId>, Error> {
        let stretch = query.stretch();
        let PageQuery { mut after, offset: mut left_out, limit } = query.page.clone();
        if !query.is_filtered() && left_out > 0 {
            let skipped = self.list_ids(&stretch, after.as_ref(), left_out).await?;
            if skipped.len() < left_out {
                return Ok(Page { entities: Vec::new(), next: None });
            }
            after = skipped.last().cloned();
            left_out = 0;
        }
        let batch = if query.is_filtered() { BATCH } else { limit };
        let (mut recordings, mut read_units) = (Vec::new(), 0.0);
        for _ in 0..MAX_BATCHES {
            let mut ids = self.list_ids(&stretch, after.as_ref(), batch + 1).await?;
            let more = ids.len() > batch;
            ids.truncate(batch);
            let Found { entities: mut found, read_units: units } = self.find(&ids).await?;
            read_units += units;
            for id in ids {
                after = Some(id.clone());
                let kept = found.remove(&id).and_then(|recording| query.visibility.admit(recording).ok());
                if !kept.as_ref().is_some_and(|recording| query.keeps(recording)) {
                    continue;
                }
                if left_out > 0 {
                    left_out -= 1;
                    continue;
                }
                if recordings.len() == limit {
                    let last = recordings.last().map(|last: &Recording| last.id.clone());
                    let next = last.map(|after| Position { after, left_out });
                    return Ok(Page { entities: recordings, next });
                }
                recordings.extend(kept);
            }
            if !more {
                return Ok(Page { entities: recordings, next: None });
            }
            if !query.is_filtered() || read_units > MAX_READ_UNITS {
                break;
            }
        }
        Ok(Page { entities: recordings, next: after.map(|after| Position { after, left_out }) })
    }

    /// A page of all entities of a kind of a tenant: concurrent queries of an index's partitions, then one
    /// BatchGetItem.
    pub(crate) async fn list<I: Identifier>(
        &self,
        tenant: &Tenant,
        query: &PageQuery<I>,
    ) -> Result<Page<I::Entity, I>, Error> {
        let (stretch, count) = (Stretch::of_project(tenant), query.offset + query.limit + 1);
        let ids = self.list_ids(&stretch, query.after.as_ref(), count).await?;
        self.page(ids.into_iter().skip(query.offset), query.limit).await
    }

    /// A page of the entities of these ids, newest first. One BatchGetItem.
    pub(crate) async fn list_of<'a, I: Identifier + 'a>(
        &self,
        ids: impl Iterator<Item = &'a I>,
        query: &PageQuery<I>,
    ) -> Result<Page<I::Entity, I>, Error> {
        let rest = ids.filter(|id| query.after.as_ref().is_none_or(|after| *id < after));
        self.page(rest.skip(query.offset).cloned(), query.limit).await
    }

    async fn page<I: Identifier>(
        &self,
        ids: impl Iterator<Item = I>,
        limit: usize,
    ) -> Result<Page<I::Entity, I>, Error> {
        let mut ids: Vec<I> = ids.take(limit + 1).collect();
        let more = ids.len() > limit;
        ids.truncate(limit);
        let mut found = self.entities(&ids).await?;
        let next = ids.last().filter(|_| more).map(|last| Position { after: last.clone(), left_out: 0 });
        Ok(Page { entities: ids.iter().filter_map(|id| found.remove(id)).collect(), next })
    }

    /// The newest `count` ids of a range.
    async fn list_ids<I: Identifier>(
        &self,
        stretch: &Stretch<I>,
        after: Option<&I>,
        count: usize,
    ) -> Result<Vec<I>, Error> {
        let queries = stretch.partitions.iter().map(|partition| self.partition_ids(stretch, partition, after, count));
        let mut ids: Vec<I> = try_join_all(queries).await?.into_iter().flatten().collect();
        ids.sort_by(|a, b| b.cmp(a));
        ids.truncate(count);
        Ok(ids)
    }

    async fn partition_ids<I: Identifier>(
        &self,
        stretch: &Stretch<I>,
        partition: &str,
        after: Option<&I>,
        count: usize,
    ) -> Result<Vec<I>, Error> {
        let floor = stretch.floor.as_ref().map_or_else(|| I::PREFIX.to_owned(), I::to_string);
        // `~` sorts after every letter and digit. BETWEEN includes its bounds, so `after` is dropped again.
        let ceiling = after.map_or_else(|| format!("{}~", I::PREFIX), I::to_string);
        if ceiling < floor {
            return Ok(Vec::new());
        }
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(stretch.index.name)
            .key_condition_expression("#partition = :partition AND #sort BETWEEN :floor AND :ceiling")
            .expression_attribute_names("#partition", stretch.index.partition.as_str())
            .expression_attribute_names("#sort", stretch.index.sort.as_str())
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":floor", AttributeValue::S(floor))
            .expression_attribute_values(":ceiling", AttributeValue::S(ceiling))
            .scan_index_forward(false)
            .limit(i32::try_from(count + 1).unwrap_or(i32::MAX))
            .into_paginator()
            .items()
            .send();
        let mut ids = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| failure(error).context(format!("query {}", stretch.index.name)))?;
            let id = id_of(&item)?;
            if Some(&id) != after {
                ids.push(id);
            }
            if ids.len() == count {
                break;
            }
        }
        Ok(ids)
    }

    /// The existing entities of these ids. As [`Self::find`].
    pub(crate) async fn entities<I: Identifier>(&self, ids: &[I]) -> Result<HashMap<I, I::Entity>, Error> {
        Ok(self.find(ids).await?.entities)
    }

    /// The existing entities of these ids. One BatchGetItem, or more for over 100 ids or 16 MB.
    async fn find<I: Identifier>(&self, ids: &[I]) -> Result<Found<I>, Error> {
        let mut found = Found { entities: HashMap::new(), read_units: 0.0 };
        let mut wanted: Vec<_> = ids.iter().map(I::key).collect();
        // A response names the keys that it left out.
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(BATCH));
            let asked = wanted.len();
            let request = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .build()
                .map_err(Error::internal)?;
            let request = self.client.batch_get_item().request_items(&self.table, request);
            let answer = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            let mut answer = answer.map_err(|error| failure(error).context("get a batch of items"))?;
            let items = answer.responses.as_mut().and_then(|tables| tables.remove(&self.table)).unwrap_or_default();
            let left = answer.unprocessed_keys.as_mut().and_then(|tables| tables.remove(&self.table));
            wanted = left.map(|left| left.keys).unwrap_or_default();
            if wanted.len() == asked {
                return Err(busy("the table gave none of a batch"));
            }
            wanted.extend(rest);
            let units = answer.consumed_capacity().iter().filter_map(|consumed| consumed.capacity_units());
            found.read_units += units.sum::<f64>();
            for item in items {
                found.entities.insert(id_of(&item)?, item::from_item(item)?);
            }
        }
        Ok(found)
    }
}

/// The existing entities of some ids.
struct Found<I: Identifier> {
    entities: HashMap<I, I::Entity>,
    /// Consumed read units.
    read_units: f64,
}

fn id_of<I: Identifier>(item: &Item) -> Result<I, Error> {
    let id = item.get(ID.as_str()).cloned().ok_or_else(|| Error::internal("an item has no id"))?;
    serde_dynamo::from_attribute_value(id).map_err(Error::internal)
}
