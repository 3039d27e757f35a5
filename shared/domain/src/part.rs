//! Multipart uploads: the plan of the parts, and its comparison with the received parts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use md5::Digest;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Field, FileSize, StoredObject};

const MEBIBYTE: u64 = 1024 * 1024;

/// The number of a part: 1 to 10,000, S3's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PartNumber(u16);

impl PartNumber {
    /// The first part.
    pub const FIRST: Self = Self(1);
    /// The last possible part.
    pub const LAST: Self = Self(10_000);
    /// The rule of part numbers.
    pub const RULE: &'static str = "must be a part number, 1 to 10000";

    /// From a number; `None` outside 1 to 10,000.
    pub fn new(number: u64) -> Option<Self> {
        u16::try_from(number).ok().map(Self).filter(|number| (Self::FIRST..=Self::LAST).contains(number))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }

    /// Number of parts before this one.
    fn index(self) -> u64 {
        u64::from(self.0) - 1
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PartNumber {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().and_then(Self::new).ok_or(Self::RULE)
    }
}

impl<'de> Deserialize<'de> for PartNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom(Self::RULE))
    }
}

/// S3's entity tag of a part or an object, without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct EntityTag(String);

impl EntityTag {
    /// From a tag with or without quotes.
    pub fn new(text: &str) -> Self {
        Self(text.trim().trim_matches('"').to_owned())
    }

    /// The tag of the object that S3 joins from parts with these tags: the MD5 of their MD5s, and their count. `None`
    /// where a tag is no MD5, as with KMS encryption.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let (mut md5, mut count) = (md5::Md5::new(), 0);
        for part in parts {
            let mut bytes = [0; 16];
            hex::decode_to_slice(&part.0, &mut bytes).ok()?;
            md5.update(bytes);
            count += 1;
        }
        Some(Self(format!("{}-{count}", hex::encode(md5.finalize()))))
    }

    /// The text between the quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for EntityTag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

/// S3's identifier of a multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(String);

impl UploadId {
    /// From S3's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A planned part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedPart {
    /// Its number.
    pub number: PartNumber,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A part that S3 has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedPart {
    /// Its number.
    pub number: PartNumber,
    /// Its entity tag.
    pub etag: EntityTag,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A part that a client claims to have uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedPart {
    /// Its number.
    pub number: PartNumber,
    /// The entity tag of S3's response.
    pub etag: EntityTag,
}

/// The plan of a multipart upload. Every part except the last has the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartPlan {
    file_size: FileSize,
    part_size: u64,
}

impl PartPlan {
    /// Smallest size of a part except the last, in bytes: S3's limit.
    pub const MIN_PART_SIZE: u64 = 5 * MEBIBYTE;
    /// Largest size of a part in bytes: S3's limit.
    pub const MAX_PART_SIZE: u64 = 5 * 1024 * MEBIBYTE;

    /// The plan for a file of this size: parts of 5 MiB, else of the fewest whole MiB with which 10,000 parts suffice.
    pub fn of(file_size: FileSize) -> Self {
        Self::of_at_most(file_size, PartNumber::LAST)
    }

    /// The same, with at most `count` parts.
    pub fn of_at_most(file_size: FileSize, last: PartNumber) -> Self {
        let needed = file_size.bytes().div_ceil(u64::from(last.0));
        Self { file_size, part_size: needed.next_multiple_of(MEBIBYTE).max(Self::MIN_PART_SIZE) }
    }

    /// The size of the file.
    pub fn file_size(&self) -> FileSize {
        self.file_size
    }

    /// Size of every part except the last, in bytes.
    pub fn part_size_bytes(&self) -> u64 {
        self.part_size
    }

    /// The number of the last part, which is the number of parts.
    pub fn last(&self) -> PartNumber {
        PartNumber::new(self.file_size.bytes().div_ceil(self.part_size)).unwrap_or(PartNumber::LAST)
    }

    /// All parts in order.
    pub fn parts(&self) -> impl Iterator<Item = PlannedPart> {
        (PartNumber::FIRST.0..=self.last().0).map(PartNumber).map(|number| self.part(number))
    }

    fn part(&self, number: PartNumber) -> PlannedPart {
        let rest = self.file_size.bytes().saturating_sub(number.index() * self.part_size);
        PlannedPart { number, size_bytes: rest.min(self.part_size) }
    }

    fn fits(&self, part: &ReceivedPart) -> bool {
        part.number <= self.last() && part.size_bytes == self.part(part.number).size_bytes
    }

    /// Whether this is the object of the parts: S3 ends its tag with their number.
    pub fn makes(&self, object: &StoredObject) -> bool {
        let (_, count) = object.etag.rsplit_once('-').unwrap_or_default();
        object.size_bytes == self.file_size.bytes() && count == self.last().to_string()
    }

    /// The parts from `from` on that S3 does not have, or has with a wrong size.
    pub fn missing(&self, received: &[ReceivedPart], from: PartNumber) -> impl Iterator<Item = PlannedPart> + use<> {
        let there: BTreeSet<_> = received.iter().filter(|part| self.fits(part)).map(|part| part.number).collect();
        let plan = *self;
        (from.0..=self.last().0)
            .map(PartNumber)
            .filter(move |number| !there.contains(number))
            .map(move |number| plan.part(number))
    }

    /// Compares the received parts with the plan, and with the client's claim if it names any part; then it must name
    /// all. Returns the parts of the file in order.
    ///
    /// # Errors
    /// [`Error::Invalid`] of the first named part that is not of the plan, is named twice or has another tag;
    /// [`Error::PartsMissing`].
    pub fn check(&self, received: Vec<ReceivedPart>, claimed: &[ClaimedPart]) -> Result<Vec<ReceivedPart>, Error> {
        let there: BTreeMap<_, _> =
            received.into_iter().filter(|part| self.fits(part)).map(|part| (part.number, part)).collect();
        let mut named = BTreeSet::new();
        for (index, claim) in claimed.iter().enumerate() {
            if claim.number > self.last() {
                let rule = format!("must be 1 to {}: the file has no other part", self.last());
                return Err(Error::invalid(Field::PartNumber(index), rule));
            }
            if !named.insert(claim.number) {
                let rule = format!("must be there once: part {} is named before", claim.number);
                return Err(Error::invalid(Field::PartNumber(index), rule));
            }
            if there.get(&claim.number).is_some_and(|part| part.etag != claim.etag) {
                let rule = format!("must be the ETag with which S3 answered the upload of part {}", claim.number);
                return Err(Error::invalid(Field::PartTag(index), rule));
            }
        }
        let is_there = |part: &PlannedPart| {
            there.contains_key(&part.number) && (claimed.is_empty() || named.contains(&part.number))
        };
        let missing: Vec<_> = self.parts().filter(|part| !is_there(part)).map(|part| part.number).collect();
        if missing.is_empty() { Ok(there.into_values().collect()) } else { Err(Error::PartsMissing { missing }) }
    }
}

/// A multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultipartUpload {
    /// S3's identifier.
    pub id: UploadId,
    /// Its parts.
    pub plan: PartPlan,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(bytes: u64) -> PartPlan {
        PartPlan::of(FileSize::new(bytes).unwrap())
    }

    fn number(number: u64) -> PartNumber {
        PartNumber::new(number).unwrap()
    }

    fn received(plan: &PartPlan) -> Vec<ReceivedPart> {
        let tag = |part: PlannedPart| EntityTag::new(&format!("\"{:032x}\"", part.number.get()));
        plan.parts()
            .map(|part| ReceivedPart { number: part.number, etag: tag(part), size_bytes: part.size_bytes })
            .collect()
    }

    fn claimed(received: &[ReceivedPart]) -> Vec<ClaimedPart> {
        received.iter().map(|part| ClaimedPart { number: part.number, etag: part.etag.clone() }).collect()
    }

    fn refusal(plan: &PartPlan, received: Vec<ReceivedPart>, claimed: &[ClaimedPart]) -> String {
        plan.check(received, claimed).unwrap_err().to_string()
    }

    #[test]
    fn a_part_has_5_mib_while_10_000_of_them_suffice() {
        const GIB: u64 = 1024 * MEBIBYTE;
        let cut = |bytes| (plan(bytes).part_size_bytes() / MEBIBYTE, plan(bytes).last().get());
        assert_eq!(cut(1), (5, 1));
        assert_eq!(cut(5 * MEBIBYTE), (5, 1));
        assert_eq!(cut(5 * MEBIBYTE + 1), (5, 2));
        assert_eq!(cut(50_000 * MEBIBYTE), (5, 10_000));
        assert_eq!(cut(50_000 * MEBIBYTE + 1), (6, 8_334));
        assert_eq!(cut(5 * 1024 * GIB), (525, 9_987));
        assert_eq!(cut(FileSize::MAX), (5 * 1024, 10_000));
    }

    #[test]
    fn a_part_number_is_1_to_10_000() {
        assert_eq!(
            [0, 1, 10_000, 10_001, 65_537].map(|n| PartNumber::new(n).is_some()),
            [false, true, true, false, false]
        );
        assert_eq!("7".parse(), Ok(number(7)));
        assert!("0".parse::<PartNumber>().is_err() && "-1".parse::<PartNumber>().is_err());
        assert!(serde_json::from_str::<PartNumber>("10001").is_err());
    }

    #[test]
    fn names_missing_parts_and_wrong_sizes() {
        let plan = plan(20 * MEBIBYTE);
        let mut parts = received(&plan);
        parts.remove(1);
        parts[2].size_bytes -= 1;
        let missing: Vec<_> = plan.missing(&parts, PartNumber::FIRST).map(|part| part.number.get()).collect();
        assert_eq!(missing, [2, 4]);
        assert_eq!(plan.missing(&parts, number(3)).map(|part| part.number.get()).collect::<Vec<_>>(), [4]);
        let Err(Error::PartsMissing { missing }) = plan.check(parts, &[]) else { panic!("not all is there") };
        assert_eq!(missing, [number(2), number(4)]);
    }

    #[test]
    fn parts_outside_the_plan_are_ignored() {
        let plan = plan(6 * MEBIBYTE);
        let mut parts = received(&plan);
        parts.push(ReceivedPart { number: number(3), etag: EntityTag::new("x"), size_bytes: 1 });
        assert_eq!(plan.check(parts, &[]).unwrap(), received(&plan));
    }

    #[test]
    fn parts_claimed_in_any_order_must_be_correct_and_complete() {
        let plan = plan(16 * MEBIBYTE);
        let there = received(&plan);
        let mut claim = claimed(&there);
        claim.reverse();
        assert_eq!(plan.check(there.clone(), &claim).unwrap(), there);

        let changed = |change: &dyn Fn(&mut Vec<ClaimedPart>)| {
            let mut claim = claim.clone();
            change(&mut claim);
            refusal(&plan, there.clone(), &claim)
        };
        let wrong_tag = changed(&|claim| claim[3].etag = EntityTag::new("00"));
        assert_eq!(
            wrong_tag,
            "entity tag of the part at 3: must be the ETag with which S3 answered the upload of part 1"
        );
        let twice = changed(&|claim| claim[2].number = number(4));
        assert_eq!(twice, "number of the part at 2: must be there once: part 4 is named before");
        let unknown = changed(&|claim| claim[1].number = number(5));
        assert_eq!(unknown, "number of the part at 1: must be 1 to 4: the file has no other part");
        assert_eq!(changed(&|claim| drop(claim.pop())), "parts 1 are missing");
        let unsent = there[1..].to_vec();
        assert_eq!(refusal(&plan, unsent, &claim), "parts 1 are missing");
    }

    #[test]
    fn the_tag_of_an_object_in_parts_is_the_md5_of_their_md5s_and_their_number() {
        let parts = ["\"5d41402abc4b2a76b9719d911017c592\"", "7d793037a0760186574b0282f2f435e7"].map(EntityTag::new);
        let tag = EntityTag::of_parts(&parts).unwrap();
        assert_eq!(tag.as_str(), "065947336a2f2a95ba8899f3675c3be6-2");
        assert_eq!(EntityTag::of_parts(&[EntityTag::new("no-md5")]), None);
    }

    proptest! {
        #[test]
        fn the_parts_of_a_plan_are_the_file_and_within_the_limits_of_s3(bytes in 1..=FileSize::MAX) {
            let plan = plan(bytes);
            let parts: Vec<_> = plan.parts().collect();
            prop_assert_eq!(parts.iter().map(|part| part.size_bytes).sum::<u64>(), bytes);
            prop_assert!(parts.len() <= 10_000);
            prop_assert!(plan.part_size_bytes() <= PartPlan::MAX_PART_SIZE);
            let (last, others) = parts.split_last().unwrap();
            prop_assert!((1..=plan.part_size_bytes()).contains(&last.size_bytes));
            prop_assert!(others.iter().all(|part| part.size_bytes >= PartPlan::MIN_PART_SIZE));
            let smaller = plan.part_size_bytes() - MEBIBYTE;
            let must_be_so_large = smaller < PartPlan::MIN_PART_SIZE || bytes.div_ceil(smaller) > 10_000;
            prop_assert!(must_be_so_large);
        }

        #[test]
        fn a_file_is_whole_exactly_when_no_part_is_missing(parts in 1u64..40, lost in prop::collection::btree_set(1u64..40, 0..40)) {
            let plan = plan(parts * PartPlan::MIN_PART_SIZE);
            let there: Vec<_> =
                received(&plan).into_iter().filter(|part| !lost.contains(&u64::from(part.number.get()))).collect();
            let missing: Vec<_> = plan.missing(&there, PartNumber::FIRST).map(|part| part.number).collect();
            match plan.check(there, &[]) {
                Ok(whole) => prop_assert!(missing.is_empty() && whole == received(&plan)),
                Err(Error::PartsMissing { missing: named }) => prop_assert_eq!(named, missing),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}
