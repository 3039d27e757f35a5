//! The keys of the table and of its indexes. A key can be made without the entity.

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

use crate::item::KeyName;

pub(crate) const PARTITION: &str = "PK";
pub(crate) const SORT: &str = "SK";

/// One partition takes 1,000 writes a second; each list of a project is spread over this many.
const PROJECT_SHARDS: u8 = 8;
/// As many for what is due, which every recording of every project writes.
pub(crate) const DUE_SHARDS: u8 = 8;

pub(crate) type Key = HashMap<String, AttributeValue>;

fn key(partition: String, sort: &str) -> Key {
    HashMap::from([
        (PARTITION.to_owned(), AttributeValue::S(partition)),
        (SORT.to_owned(), AttributeValue::S(sort.to_owned())),
    ])
}

/// An identifier that names an item of its own, which the project's list of its kind holds.
pub trait Identifier: Clone + Ord + Hash + Display + DeserializeOwned {
    /// What it names.
    type Entity: DeserializeOwned;
    /// How it begins.
    const PREFIX: &'static str;
    /// What sets the list of its kind apart from the tenant's others.
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

/// What a tenant has set.
pub(crate) fn settings(tenant: &Tenant) -> Key {
    key(format!("SETTINGS#{tenant}"), "SETTINGS")
}

/// What only one end user of a tenant's can be called.
pub(crate) fn external_id(tenant: &Tenant, external_id: &ExternalId) -> Key {
    unique(tenant, "external", external_id)
}

/// What only one device of a tenant's can be called.
pub(crate) fn serial_number(tenant: &Tenant, serial_number: &SerialNumber) -> Key {
    unique(tenant, "serial", serial_number)
}

/// What only one recording of a tenant's can be called by workers.
pub(crate) fn meeting_recording(tenant: &Tenant, id: &MeetingRecordingId) -> Key {
    unique(tenant, "meeting-recording", id)
}

/// What only one transcription of a tenant's can be called by workers.
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

/// An index by which things are listed, with its partition's and its sort key's names.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) partition: &'static str,
    pub(crate) sort: &'static str,
}

pub(crate) const BY_PROJECT: Index = Index { name: "by-project", partition: "project_key", sort: "id" };
pub(crate) const BY_DEVICE: Index = Index { name: "by-device", partition: "device_key", sort: "id" };
pub(crate) const BY_END_USER: Index = Index { name: "by-end-user", partition: "end_user_key", sort: "id" };
pub(crate) const DUE: Index = Index { name: "due", partition: "due_key", sort: "due_at" };

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

pub(crate) fn due_shard(shard: u8) -> String {
    format!("DUE#{shard}")
}

/// When that is due which is to be looked after from a moment on. The steps of a recording follow each other at once, and
/// DynamoDB bills each move within the index: rounded, most of them find it due when it is due already.
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
