//! Keys of the table and of its indexes. A key needs the identifier only, not the entity.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_domain::{
    CredentialHash, Device, DeviceId, EndUser, EndUserId, ExternalId, KeyId, MeetingRecordingId,
    MeetingTranscriptionId, OriginalRequestId, Recording, RecordingId, SerialNumber, Tenant, Timestamp, Transcription,
    TranscriptionId,
};
use serde::de::DeserializeOwned;

use crate::attributes::{Attribute, DEVICE_KEY, DUE_AT, DUE_KEY, END_USER_KEY, ID, PARTITION, PROJECT_KEY, SORT};
use crate::item::KeyName;

/// One partition takes 1,000 writes a second; each list of a project is spread over this many.
const PROJECT_SHARDS: u8 = 8;
/// As many for due work, which every recording of every project writes.
pub(crate) const DUE_SHARDS: u8 = 8;

pub(crate) type Key = HashMap<String, AttributeValue>;

fn key(partition: String, sort: &str) -> Key {
    HashMap::from([
        (PARTITION.as_str().to_owned(), AttributeValue::S(partition)),
        (SORT.as_str().to_owned(), AttributeValue::S(sort.to_owned())),
    ])
}

/// The partition key, for logs. It contains no credential, only its hash.
pub(crate) fn name(key: &Key) -> String {
    key.get(PARTITION.as_str()).and_then(|name| name.as_s().ok()).cloned().unwrap_or_default()
}

/// An identifier of an item that a project's list contains.
pub trait Identifier: Clone + Ord + Hash + Display + DeserializeOwned {
    /// The entity that it identifies.
    type Entity: DeserializeOwned;
    /// Prefix of the identifiers of this kind, such as `rec_`.
    const PREFIX: &'static str;
    /// Part of the list's key that differs between kinds.
    const LIST: &'static str;

    /// The key of the item.
    fn key(&self) -> Key;
}

impl Identifier for RecordingId {
    type Entity = Recording;
    const PREFIX: &'static str = Self::PREFIX;
    const LIST: &'static str = "";

    fn key(&self) -> Key {
        key(format!("REC#{self}"), "REC")
    }
}

impl Identifier for EndUserId {
    type Entity = EndUser;
    const PREFIX: &'static str = Self::PREFIX;
    const LIST: &'static str = "#end-users";

    fn key(&self) -> Key {
        key(format!("EU#{self}"), "EU")
    }
}

impl Identifier for DeviceId {
    type Entity = Device;
    const PREFIX: &'static str = Self::PREFIX;
    const LIST: &'static str = "#devices";

    fn key(&self) -> Key {
        key(format!("DEV#{self}"), "DEV")
    }
}

impl Identifier for TranscriptionId {
    type Entity = Transcription;
    const PREFIX: &'static str = Self::PREFIX;
    const LIST: &'static str = "#transcriptions";

    fn key(&self) -> Key {
        key(format!("TXN#{self}"), "TXN")
    }
}

impl Identifier for KeyId {
    type Entity = KeyName;
    const PREFIX: &'static str = Self::PREFIX;
    const LIST: &'static str = "#keys";

    fn key(&self) -> Key {
        key(format!("KEYID#{self}"), "KEYID")
    }
}

/// Settings of a tenant.
pub(crate) fn settings(tenant: &Tenant) -> Key {
    key(format!("SETTINGS#{tenant}"), "SETTINGS")
}

/// Reserves an external id within a tenant.
pub(crate) fn external_id(tenant: &Tenant, external_id: &ExternalId) -> Key {
    unique(tenant, "external", external_id)
}

/// Reserves a serial number within a tenant.
pub(crate) fn serial_number(tenant: &Tenant, serial_number: &SerialNumber) -> Key {
    unique(tenant, "serial", serial_number)
}

/// Reserves a meeting recording's id within a tenant.
pub(crate) fn meeting_recording(tenant: &Tenant, id: &MeetingRecordingId) -> Key {
    unique(tenant, "meeting-recording", id)
}

/// Reserves a meeting transcription's id within a tenant.
pub(crate) fn meeting_transcription(tenant: &Tenant, id: &MeetingTranscriptionId) -> Key {
    unique(tenant, "meeting-transcription", id)
}

fn unique(tenant: &Tenant, field: &str, value: impl Display) -> Key {
    key(format!("UNIQUE#{tenant}#{field}#{value}"), "UNIQUE")
}

pub(crate) fn original_request(id: &OriginalRequestId) -> Key {
    key(format!("IDEM#{id}"), "IDEM")
}

pub(crate) fn credential(hash: &CredentialHash) -> Key {
    key(format!("KEY#{hash}"), "KEY")
}

/// A global secondary index.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) partition: Attribute,
    pub(crate) sort: Attribute,
}

pub(crate) const BY_PROJECT: Index = Index { name: "by-project", partition: PROJECT_KEY, sort: ID };
pub(crate) const BY_DEVICE: Index = Index { name: "by-device", partition: DEVICE_KEY, sort: ID };
pub(crate) const BY_END_USER: Index = Index { name: "by-end-user", partition: END_USER_KEY, sort: ID };
pub(crate) const DUE: Index = Index { name: "due", partition: DUE_KEY, sort: DUE_AT };

/// Crockford's base 32, of which our ids are made.
const DIGITS: &[u8] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The last digit of an id is random, so it spreads evenly.
fn shard(id: &impl Display, shards: u8) -> u8 {
    let last = id.to_string().bytes().last().unwrap_or(0).to_ascii_lowercase();
    let digit = DIGITS.iter().zip(0..).find(|(digit, _)| **digit == last).map_or(last, |(_, value)| value);
    digit % shards
}

pub(crate) fn project_shards<I: Identifier>(tenant: &Tenant) -> Vec<String> {
    (0..PROJECT_SHARDS).map(|shard| project_shard::<I>(tenant, shard)).collect()
}

fn project_shard<I: Identifier>(tenant: &Tenant, shard: u8) -> String {
    format!("{tenant}{}#{shard}", I::LIST)
}

pub(crate) fn project<I: Identifier>(tenant: &Tenant, id: &I) -> String {
    project_shard::<I>(tenant, shard(id, PROJECT_SHARDS))
}

pub(crate) fn device(tenant: &Tenant, id: &DeviceId) -> String {
    format!("{tenant}#{id}")
}

pub(crate) fn end_user(tenant: &Tenant, id: &EndUserId) -> String {
    format!("{tenant}#{id}")
}

/// Keys of the lists of a device's and an end user's recordings.
pub(crate) fn of_owner(
    tenant: &Tenant,
    end_user_id: Option<&EndUserId>,
    device_id: Option<&DeviceId>,
) -> impl Iterator<Item = (Attribute, String)> {
    let end_user = end_user_id.map(|id| (END_USER_KEY, end_user(tenant, id)));
    let device = device_id.map(|id| (DEVICE_KEY, device(tenant, id)));
    end_user.into_iter().chain(device)
}

pub(crate) fn due_shard(shard: u8) -> String {
    format!("DUE#{shard}")
}

/// The minute in which an action is due. DynamoDB bills every change of an index key, and the steps of a recording follow
/// each other closely: rounded to the minute, most of them leave the key as it is.
pub(crate) fn due_minute(at: Timestamp) -> Timestamp {
    at.whole_minute()
}

pub(crate) fn due(id: &impl Display) -> String {
    due_shard(shard(id, DUE_SHARDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_millisecond_spread_evenly_over_all_shards() {
        let now = Timestamp::from_milliseconds(1_736_931_600_000).unwrap();
        let mut counts = [0; PROJECT_SHARDS as usize];
        for entropy in 0..64 {
            counts[usize::from(shard(&RecordingId::new(now, entropy), PROJECT_SHARDS))] += 1;
        }
        assert_eq!(counts, [8; PROJECT_SHARDS as usize]);
    }
}
