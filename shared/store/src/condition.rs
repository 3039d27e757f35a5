//! Conditions on an item.

use aws_sdk_dynamodb::types::AttributeValue;
use capstan_domain::{Error, LeaseId, MediaId, Status, Tenant, Timestamp, Visibility};
use serde::Serialize;

use crate::attributes::{
    self, Attribute, BINDING_GENERATION, DELETED_AT, DEVICE_ID, END_USER_ID, ID, LEASE, PARTITION, Path, STATUS,
    TENANT, UNTIL,
};
use crate::expression::{Expressions, Placeholders};
use crate::item::attribute;

/// A condition on an item.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// Compares an attribute with a value.
    Compares(Path, Comparison, AttributeValue),
    /// Compares the number of members of a map or a set.
    Counts(Path, Comparison, usize),
    /// The attribute exists.
    Exists(Path),
    /// The attribute does not exist.
    Missing(Path),
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
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

    /// The expressions of a request without an update.
    pub(crate) fn expressions(&self) -> Expressions {
        Expressions::of(self, |_| None)
    }

    /// The condition expression.
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
    path: impl Into<Path>,
    comparison: Comparison,
    value: &impl Serialize,
) -> Result<Condition, Error> {
    Ok(Condition::Compares(path.into(), comparison, attribute(value)?))
}

pub(crate) fn is(path: impl Into<Path>, value: &impl Serialize) -> Result<Condition, Error> {
    compares(path, Comparison::Equal, value)
}

/// The attribute has the value that was read, or is missing if none was.
pub(crate) fn is_unchanged(path: impl Into<Path>, read: Option<&impl Serialize>) -> Result<Condition, Error> {
    match read {
        Some(value) => is(path, value),
        None => Ok(is_missing(path)),
    }
}

/// The set has these members and no others.
pub(crate) fn has_exactly<T: ToString>(set: Attribute, members: impl Iterator<Item = T>) -> Condition {
    let members: Vec<_> = members.map(|member| member.to_string()).collect();
    if members.is_empty() {
        return is_missing(set);
    }
    Condition::Compares(set.into(), Comparison::Equal, AttributeValue::Ss(members))
}

pub(crate) fn counts(path: impl Into<Path>, comparison: Comparison, number: usize) -> Condition {
    Condition::Counts(path.into(), comparison, number)
}

pub(crate) fn exists(path: impl Into<Path>) -> Condition {
    Condition::Exists(path.into())
}

pub(crate) fn is_missing(path: impl Into<Path>) -> Condition {
    Condition::Missing(path.into())
}

/// The item exists.
pub(crate) fn is_present() -> Condition {
    exists(PARTITION)
}

/// The item does not exist.
pub(crate) fn is_new() -> Condition {
    is_missing(PARTITION)
}

/// The item exists and belongs to this tenant.
pub(crate) fn is_of(tenant: &Tenant) -> Result<Condition, Error> {
    is(TENANT, tenant)
}

/// The recording is not deleted.
pub(crate) fn is_not_deleted() -> Condition {
    is_missing(DELETED_AT)
}

/// The recording is visible to the caller.
pub(crate) fn is_visible(visibility: &Visibility) -> Result<Condition, Error> {
    let of_tenant = is_of(visibility.tenant())?.and(is_not_deleted());
    Ok(match visibility {
        Visibility::Tenant { .. } => of_tenant,
        Visibility::Device { device, .. } => {
            let by_key = is_missing(BINDING_GENERATION);
            let of_device = of_tenant.and(is(DEVICE_ID, &device.device_id)?).and(is(END_USER_ID, &device.end_user_id)?);
            of_device.and(by_key.or(is(BINDING_GENERATION, &device.generation)?))
        }
        Visibility::Recording { recording_id, .. } => of_tenant.and(is(ID, recording_id)?),
    })
}

pub(crate) fn status_is(status: Status) -> Result<Condition, Error> {
    is(STATUS, &status)
}

/// The media file exists and its object is awaited.
pub(crate) fn is_awaited(id: &MediaId) -> Condition {
    exists(attributes::media(id)).and(is_missing(attributes::uploaded(id)))
}

/// This attempt holds the lease.
pub(crate) fn has_lease(lease: &LeaseId) -> Result<Condition, Error> {
    is(LEASE.then(ID), lease)
}

/// No attempt holds an unexpired lease.
pub(crate) fn is_unleased(now: Timestamp) -> Result<Condition, Error> {
    let is_expired = compares(LEASE.then(UNTIL), Comparison::AtMost, &now)?;
    Ok(is_missing(LEASE).or(is_expired))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_a_nested_condition() {
        let (a, b, c) = (exists(STATUS), is_missing(LEASE), is(ID, &1).unwrap());
        let expression = |condition: &Condition| condition.expression(&mut Placeholders::default());
        let either = a.clone().or(b.clone().and(c.clone()));
        assert_eq!(expression(&either), "attribute_exists(#0) OR (attribute_not_exists(#1) AND #2 = :0)");
        let both = a.or(b).and(c.clone()).and(c);
        assert_eq!(expression(&both), "(attribute_exists(#0) OR attribute_not_exists(#1)) AND #2 = :0 AND #2 = :0");
    }
}
