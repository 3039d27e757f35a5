//! What is required of an item. Paths are attribute names joined by dots.

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_domain::{Error, LeaseId, Status, Tenant, Timestamp, Visibility};
use serde::Serialize;

use crate::expression::{Expressions, Placeholders};
use crate::item::attribute;
use crate::keys;

/// Something that holds of an item or does not.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// The attribute and the value compare so.
    Compares(String, Comparison, AttributeValue),
    /// A map or a set has so many members.
    Counts(String, Comparison, usize),
    /// The attribute is there.
    Exists(String),
    /// The attribute is not there.
    Missing(String),
    /// Each of these holds.
    All(Vec<Condition>),
    /// One of these holds.
    Any(Vec<Condition>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Comparison {
    Equal,
    Other,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Comparison {
    fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Other => "<>",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl Condition {
    pub(crate) fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut all) => {
                all.push(other);
                Self::All(all)
            }
            one => Self::All(vec![one, other]),
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        match self {
            Self::Any(mut any) => {
                any.push(other);
                Self::Any(any)
            }
            one => Self::Any(vec![one, other]),
        }
    }

    /// As a request holds it that changes no attribute.
    pub(crate) fn expressions(&self) -> Expressions {
        Expressions::of(self, |_| None)
    }

    /// As an expression of DynamoDB's.
    pub(crate) fn expression(&self, placeholders: &mut Placeholders) -> String {
        match self {
            Self::Compares(path, comparison, value) => {
                let (path, value) = (placeholders.path(path), placeholders.value(value));
                format!("{path} {} {value}", comparison.as_str())
            }
            Self::Counts(path, comparison, number) => {
                let value = placeholders.value(&AttributeValue::N(number.to_string()));
                format!("size({}) {} {value}", placeholders.path(path), comparison.as_str())
            }
            Self::Exists(path) => format!("attribute_exists({})", placeholders.path(path)),
            Self::Missing(path) => format!("attribute_not_exists({})", placeholders.path(path)),
            Self::All(conditions) => joined(conditions, " AND ", placeholders),
            Self::Any(conditions) => joined(conditions, " OR ", placeholders),
        }
    }
}

fn joined(conditions: &[Condition], by: &str, placeholders: &mut Placeholders) -> String {
    let within = |condition: &Condition| match condition {
        Condition::All(_) | Condition::Any(_) => format!("({})", condition.expression(placeholders)),
        single => single.expression(placeholders),
    };
    conditions.iter().map(within).collect::<Vec<_>>().join(by)
}

pub(crate) fn compares(
    path: impl Into<String>,
    comparison: Comparison,
    value: &impl Serialize,
) -> Result<Condition, Error> {
    Ok(Condition::Compares(path.into(), comparison, attribute(value)?))
}

pub(crate) fn is(path: impl Into<String>, value: &impl Serialize) -> Result<Condition, Error> {
    compares(path, Comparison::Equal, value)
}

/// That it has this value, or is missing where there is none.
pub(crate) fn is_as_seen(path: impl Into<String>, seen: Option<&impl Serialize>) -> Result<Condition, Error> {
    match seen {
        Some(value) => is(path, value),
        None => Ok(is_missing(path)),
    }
}

/// That a set has these members and no others.
pub(crate) fn has_just<T: ToString>(path: &str, members: impl Iterator<Item = T>) -> Condition {
    let members: Vec<_> = members.map(|member| member.to_string()).collect();
    if members.is_empty() {
        return is_missing(path);
    }
    Condition::Compares(path.to_owned(), Comparison::Equal, AttributeValue::Ss(members))
}

pub(crate) fn counts(path: &str, comparison: Comparison, number: usize) -> Condition {
    Condition::Counts(path.to_owned(), comparison, number)
}

pub(crate) fn exists(path: impl Into<String>) -> Condition {
    Condition::Exists(path.into())
}

pub(crate) fn is_missing(path: impl Into<String>) -> Condition {
    Condition::Missing(path.into())
}

/// That there is an item of this key.
pub(crate) fn is_there() -> Condition {
    exists(keys::PARTITION)
}

/// That there is no item of this key yet.
pub(crate) fn is_new() -> Condition {
    is_missing(keys::PARTITION)
}

/// That it is there and this tenant's.
pub(crate) fn is_of(tenant: &Tenant) -> Result<Condition, Error> {
    is("tenant", tenant)
}

/// That the recording is not deleted.
pub(crate) fn is_kept() -> Condition {
    is_missing("deleted_at")
}

/// That the recording is one that the caller can see.
pub(crate) fn is_within(visibility: &Visibility) -> Result<Condition, Error> {
    let seen = is_of(visibility.tenant())?.and(is_kept());
    Ok(match visibility {
        Visibility::Tenant { .. } => seen,
        Visibility::Device { device_id, .. } => seen.and(is("device_id", device_id)?),
        Visibility::Recording { recording_id, .. } => seen.and(is("id", recording_id)?),
    })
}

/// That the recording is in a state that leads to this one.
pub(crate) fn leads_to(next: Status) -> Result<Condition, Error> {
    let leaves = Status::ALL.into_iter().filter(|status| status.leads_to(next));
    leaves.map(|status| is("status", &status)).collect::<Result<_, _>>().map(Condition::Any)
}

/// That this attempt is at it.
pub(crate) fn is_held_by(lease: &LeaseId) -> Result<Condition, Error> {
    is("lease.id", lease)
}

/// That nobody is at it.
pub(crate) fn is_unheld(now: Timestamp) -> Result<Condition, Error> {
    let abandoned = compares(LEASE_UNTIL, Comparison::AtMost, &now.sortable())?;
    Ok(is_missing(LEASE).or(abandoned))
}

pub(crate) const LEASE: &str = "lease";
pub(crate) const LEASE_UNTIL: &str = "lease.until";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_otherwise_within_is_in_brackets() {
        let (a, b, c) = (exists("a"), is_missing("b"), is("c", &1).unwrap());
        let expression = |condition: &Condition| condition.expression(&mut Placeholders::default());
        let either = a.clone().or(b.clone().and(c.clone()));
        assert_eq!(expression(&either), "attribute_exists(#0) OR (attribute_not_exists(#1) AND #2 = :0)");
        let both = a.or(b).and(c.clone()).and(c);
        assert_eq!(expression(&both), "(attribute_exists(#0) OR attribute_not_exists(#1)) AND #2 = :0 AND #2 = :0");
    }
}
