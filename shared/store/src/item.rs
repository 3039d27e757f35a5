//! Conversion between entities and items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_domain::{
    Credential, CredentialHash, Error, KeyId, MediaStatus, Recording, Tenant, Timestamp, Transcription,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::attributes::{AWAITED, Attribute, DUE_AT, DUE_KEY, PROJECT_KEY, TTL};
use crate::keys::{self, Identifier, Key};
use crate::original_requests::seconds;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A value as an attribute. `None` is left out, so that `attribute_not_exists` holds for it.
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

/// An entity with its key and the key of its project's list.
pub(crate) fn listed<I: Identifier>(id: &I, tenant: &Tenant, entity: &I::Entity) -> Result<Item, Error>
where
    I::Entity: Serialize,
{
    let mut item = to_item(entity)?;
    item.extend(id.key());
    insert(&mut item, PROJECT_KEY, keys::project(tenant, id));
    Ok(item)
}

pub(crate) fn recording(recording: &Recording) -> Result<Item, Error> {
    let Recording { id, tenant, origin, .. } = recording;
    let mut item = listed(id, tenant, recording)?;
    for (key, value) in keys::of_owner(tenant, origin.end_user_id.as_ref(), origin.device_id.as_ref()) {
        insert(&mut item, key, value);
    }
    let awaited: Vec<_> = recording.media_in(MediaStatus::Pending).map(|media| media.id.to_string()).collect();
    if !awaited.is_empty() {
        item.insert(AWAITED.as_str().to_owned(), AttributeValue::Ss(awaited));
    }
    insert_due(&mut item, id, recording.due_at(recording.created_at))?;
    Ok(item)
}

pub(crate) fn transcription(transcription: &Transcription) -> Result<Item, Error> {
    let mut item = listed(&transcription.id, &transcription.tenant, transcription)?;
    insert_due(&mut item, &transcription.id, transcription.due_at(transcription.created_at))?;
    Ok(item)
}

fn insert(item: &mut Item, attribute: Attribute, value: String) {
    item.insert(attribute.as_str().to_owned(), AttributeValue::S(value));
}

fn insert_due(item: &mut Item, id: &impl Identifier, due_at: Option<Timestamp>) -> Result<(), Error> {
    if let Some(due_at) = due_at {
        insert(item, DUE_KEY, keys::due(id));
        item.insert(DUE_AT.as_str().to_owned(), attribute(&keys::due_minute(due_at))?);
    }
    Ok(())
}

pub(crate) fn credential(hash: &CredentialHash, credential: &Credential) -> Result<Item, Error> {
    let mut item = to_item(credential)?;
    item.extend(keys::credential(hash));
    // An API key stays after its end, so that its project can see when it ended.
    if let Some(expires_at) = credential.expires_at.filter(|_| credential.key_id.is_none()) {
        item.insert(TTL.as_str().to_owned(), AttributeValue::N(seconds(expires_at).to_string()));
    }
    Ok(item)
}

/// The hash of an API key by its id. A credential is stored under its hash, since a request has nothing else.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyName {
    pub(crate) id: KeyId,
    pub(crate) hash: CredentialHash,
}

/// Reservation of a name that is unique within a tenant.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Named<I> {
    pub(crate) names: I,
}

pub(crate) fn named<I: Identifier + Serialize>(key: Key, id: &I) -> Result<Item, Error> {
    let mut item = to_item(&Named { names: id.clone() })?;
    item.extend(key);
    Ok(item)
}
