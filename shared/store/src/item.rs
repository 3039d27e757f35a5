//! Entities as items, and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_domain::{
    Credential, CredentialHash, Error, KeyId, MediaStatus, Recording, Tenant, Timestamp, Transcription,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keys::{self, Identifier, Key};
use crate::original_requests::{TTL, seconds};
use crate::uploads::AWAITED;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A value as an attribute. What is `None` is left out, so that `attribute_not_exists` means "there is none".
pub(crate) fn attribute(value: &impl Serialize) -> Result<AttributeValue, Error> {
    serde_dynamo::to_attribute_value(value).map(without_nulls).map_err(Error::internal)
}

fn without_nulls(value: AttributeValue) -> AttributeValue {
    match value {
        AttributeValue::M(fields) => AttributeValue::M(
            fields
                .into_iter()
                .filter(|(_, field)| !field.is_null())
                .map(|(name, field)| (name, without_nulls(field)))
                .collect(),
        ),
        AttributeValue::L(values) => AttributeValue::L(values.into_iter().map(without_nulls).collect()),
        scalar => scalar,
    }
}

pub(crate) fn to_item(entity: &impl Serialize) -> Result<Item, Error> {
    match attribute(entity)? {
        AttributeValue::M(item) => Ok(item),
        other => Err(Error::internal(format!("an entity is a map, not {other:?}"))),
    }
}

pub(crate) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    serde_dynamo::from_item(item).map_err(Error::internal)
}

/// An entity with its key, in its project's list.
pub(crate) fn listed<I: Identifier>(id: &I, tenant: &Tenant, entity: &I::Entity) -> Result<Item, Error>
where
    I::Entity: Serialize,
{
    let mut item = to_item(entity)?;
    item.extend(id.key());
    item.insert(keys::BY_PROJECT.partition.to_owned(), AttributeValue::S(keys::project(tenant, id)));
    Ok(item)
}

pub(crate) fn recording(recording: &Recording, due_at: Option<Timestamp>) -> Result<Item, Error> {
    let mut item = listed(&recording.id, &recording.tenant, recording)?;
    let mut text = |name: &str, value: String| item.insert(name.to_owned(), AttributeValue::S(value));
    if let Some(end_user_id) = &recording.end_user_id {
        text(keys::BY_END_USER.partition, keys::end_user(&recording.tenant, end_user_id));
    }
    if let Some(device_id) = &recording.device_id {
        text(keys::BY_DEVICE.partition, keys::device(&recording.tenant, device_id));
    }
    let awaited: Vec<_> = recording.media_in(MediaStatus::Pending).map(|media| media.id.to_string()).collect();
    if !awaited.is_empty() {
        item.insert(AWAITED.to_owned(), AttributeValue::Ss(awaited));
    }
    let mut text = |name: &str, value: String| item.insert(name.to_owned(), AttributeValue::S(value));
    if let Some(due_at) = due_at {
        text(keys::DUE.partition, keys::due(&recording.id));
        text(keys::DUE.sort, keys::due_minute(due_at).sortable());
    }
    Ok(item)
}

pub(crate) fn transcription(transcription: &Transcription) -> Result<Item, Error> {
    let mut item = listed(&transcription.id, &transcription.tenant, transcription)?;
    let mut text = |name: &str, value: String| item.insert(name.to_owned(), AttributeValue::S(value));
    if let Some(due_at) = transcription.due_at(transcription.created_at) {
        text(keys::DUE.partition, keys::due(&transcription.id));
        text(keys::DUE.sort, keys::due_minute(due_at).sortable());
    }
    Ok(item)
}

pub(crate) fn credential(hash: &CredentialHash, credential: &Credential) -> Result<Item, Error> {
    let mut item = to_item(credential)?;
    item.extend(keys::credential(hash));
    // A key stays, for its project to see what became of it.
    if let Some(expires_at) = credential.expires_at.filter(|_| credential.key_id.is_none()) {
        item.insert(TTL.to_owned(), AttributeValue::N(seconds(expires_at).to_string()));
    }
    Ok(item)
}

/// Which credential a key's id stands for. A credential is kept under its hash, which is all that a request brings.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyName {
    pub(crate) id: KeyId,
    pub(crate) hash: CredentialHash,
}

/// What is called by a name that only one may have.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Named<I> {
    pub(crate) names: I,
}

pub(crate) fn named<I: Identifier + Serialize>(key: Key, id: &I) -> Result<Item, Error> {
    let mut item = to_item(&Named { names: id.clone() })?;
    item.extend(key);
    Ok(item)
}
