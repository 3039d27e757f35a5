//! A conditional update of one item, written as what it sets and what it requires.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use capstan_aws::failure;
use capstan_domain::{Error, Metadata, Reach, Recording, Status, Tenant, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Store;
use crate::item::{attribute, from_item};
use crate::keys::{self, Identifier, Key};

/// What became of a change.
#[derive(Debug)]
pub enum Changed<T = Recording> {
    /// It was made; this is the entity after it.
    Made(Box<T>),
    /// A condition did not hold; this is the entity as it stands, if there is one.
    Refused(Option<Box<T>>),
}

type Names = HashMap<String, String>;
type Values = HashMap<String, AttributeValue>;

/// An update in the making. Paths are attribute names joined by dots.
#[derive(Default)]
pub(crate) struct Change {
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    deletes: Vec<String>,
    requirements: Vec<String>,
    names: Names,
    values: Values,
}

impl Change {
    /// Placeholders are numbers, and the same name or value has one: an expression may hold 4 KB, which a change of
    /// a hundred media comes near to.
    fn path(&mut self, path: &str) -> String {
        let mut placeholders = Vec::new();
        for segment in path.split('.') {
            let known =
                self.names.iter().find(|(_, name)| *name == segment).map(|(placeholder, _)| placeholder.clone());
            let placeholder = known.unwrap_or_else(|| {
                let placeholder = format!("#{}", self.names.len());
                self.names.insert(placeholder.clone(), segment.to_owned());
                placeholder
            });
            placeholders.push(placeholder);
        }
        placeholders.join(".")
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let known = self.values.iter().find(|(_, known)| **known == value).map(|(placeholder, _)| placeholder.clone());
        known.unwrap_or_else(|| {
            let placeholder = format!(":{}", self.values.len());
            self.values.insert(placeholder.clone(), value);
            placeholder
        })
    }

    pub(crate) fn set(&mut self, path: &str, value: &impl Serialize) -> Result<&mut Self, Error> {
        let value = self.value(attribute(value)?);
        let path = self.path(path);
        self.sets.push(format!("{path}={value}"));
        Ok(self)
    }

    /// `None` leaves it as it is.
    pub(crate) fn set_if(&mut self, path: &str, wanted: Option<&impl Serialize>) -> Result<&mut Self, Error> {
        match wanted {
            Some(value) => self.set(path, value),
            None => Ok(self),
        }
    }

    /// `None` leaves it as it is, `Some(None)` takes it away.
    pub(crate) fn set_or_remove<T: Serialize>(
        &mut self,
        path: &str,
        wanted: &Option<Option<T>>,
    ) -> Result<&mut Self, Error> {
        match wanted {
            Some(Some(value)) => self.set(path, value),
            Some(None) => Ok(self.remove(path)),
            None => Ok(self),
        }
    }

    /// Replaces the metadata, which is kept as text, where there is any to replace it by.
    pub(crate) fn set_metadata(&mut self, wanted: Option<&Metadata>) -> Result<&mut Self, Error> {
        match wanted {
            Some(metadata) => self.set("metadata", &serde_json::to_string(metadata).map_err(Error::internal)?),
            None => Ok(self),
        }
    }

    pub(crate) fn remove(&mut self, path: &str) -> &mut Self {
        let path = self.path(path);
        self.removes.push(path);
        self
    }

    pub(crate) fn add(&mut self, path: &str, number: u32) -> &mut Self {
        let value = self.value(AttributeValue::N(number.to_string()));
        let path = self.path(path);
        self.adds.push(format!("{path} {value}"));
        self
    }

    pub(crate) fn add_to_set<T: ToString>(&mut self, path: &str, members: impl Iterator<Item = T>) -> &mut Self {
        let members: Vec<_> = members.map(|member| member.to_string()).collect();
        if !members.is_empty() {
            let value = self.value(AttributeValue::Ss(members));
            let path = self.path(path);
            self.adds.push(format!("{path} {value}"));
        }
        self
    }

    /// Takes members out of a set. DynamoDB removes a set with its last member.
    pub(crate) fn delete_from_set<T: ToString>(&mut self, path: &str, members: impl Iterator<Item = T>) -> &mut Self {
        let members: Vec<_> = members.map(|member| member.to_string()).collect();
        if !members.is_empty() {
            let value = self.value(AttributeValue::Ss(members));
            let path = self.path(path);
            self.deletes.push(format!("{path} {value}"));
        }
        self
    }

    /// Sets in which minute it is next due, or that it is not.
    pub(crate) fn due(&mut self, id: &impl Identifier, at: Option<Timestamp>) -> Result<&mut Self, Error> {
        match at {
            Some(at) => self.due_exactly(id, keys::due_minute(at)),
            None => Ok(self.remove(keys::DUE.partition).remove(keys::DUE.sort)),
        }
    }

    /// Sets at which moment it is due.
    pub(crate) fn due_exactly(&mut self, id: &impl Identifier, at: Timestamp) -> Result<&mut Self, Error> {
        self.set(keys::DUE.partition, &keys::due(id))?.set(keys::DUE.sort, &at.sortable())
    }

    pub(crate) fn is(&mut self, path: &str, value: &impl Serialize) -> Result<String, Error> {
        self.compares(path, "=", value)
    }

    pub(crate) fn compares(&mut self, path: &str, operator: &str, value: &impl Serialize) -> Result<String, Error> {
        let value = self.value(attribute(value)?);
        let path = self.path(path);
        Ok(format!("{path} {operator} {value}"))
    }

    /// That a set has these members and no others.
    pub(crate) fn is_set<T: ToString>(&mut self, path: &str, members: impl Iterator<Item = T>) -> String {
        let members: Vec<_> = members.map(|member| member.to_string()).collect();
        if members.is_empty() {
            return self.is_missing(path);
        }
        let value = self.value(AttributeValue::Ss(members));
        format!("{} = {value}", self.path(path))
    }

    pub(crate) fn exists(&mut self, path: &str) -> String {
        format!("attribute_exists({})", self.path(path))
    }

    pub(crate) fn is_missing(&mut self, path: &str) -> String {
        format!("attribute_not_exists({})", self.path(path))
    }

    pub(crate) fn size(&mut self, path: &str, operator: &str, number: usize) -> String {
        let value = self.value(AttributeValue::N(number.to_string()));
        format!("size({}) {operator} {value}", self.path(path))
    }

    pub(crate) fn require(&mut self, condition: String) -> &mut Self {
        self.requirements.push(format!("({condition})"));
        self
    }

    /// Requires that it is there and this tenant's.
    pub(crate) fn require_tenant(&mut self, tenant: &Tenant) -> Result<&mut Self, Error> {
        let same = self.is("tenant", tenant)?;
        Ok(self.require(same))
    }

    /// Requires that there is no item of this key yet.
    pub(crate) fn require_new(&mut self) -> &mut Self {
        let new = self.is_missing(keys::PARTITION);
        self.require(new)
    }

    /// Requires that the recording is one that the caller can see.
    pub(crate) fn require_reach(&mut self, reach: &Reach) -> Result<&mut Self, Error> {
        self.require_tenant(reach.tenant())?;
        match reach {
            Reach::Tenant { .. } => {}
            Reach::Device { device_id, .. } => {
                let device = self.is("device_id", device_id)?;
                self.require(device);
            }
            Reach::Recording { recording_id, .. } => {
                let id = self.is("id", recording_id)?;
                self.require(id);
            }
        }
        let kept = self.is_missing("deleted_at");
        Ok(self.require(kept))
    }

    /// Moves the recording to a state, from any state that leads there.
    pub(crate) fn transition(&mut self, next: Status) -> Result<&mut Self, Error> {
        let mut leaves = Vec::new();
        for status in Status::ALL.into_iter().filter(|status| status.leads_to(next)) {
            leaves.push(self.is("status", &status)?);
        }
        self.require(leaves.join(" OR ")).set("status", &next)
    }

    /// What changes, as an update expression.
    pub(crate) fn expression(&self) -> String {
        let clauses = [("SET", &self.sets), ("REMOVE", &self.removes), ("ADD", &self.adds), ("DELETE", &self.deletes)];
        let clauses: Vec<String> = clauses
            .iter()
            .filter(|(_, actions)| !actions.is_empty())
            .map(|(verb, actions)| format!("{verb} {}", actions.join(",")))
            .collect();
        clauses.join(" ")
    }

    /// What is required, as a condition expression.
    pub(crate) fn condition(&self) -> Option<String> {
        Some(self.requirements.join(" AND ")).filter(|condition| !condition.is_empty())
    }

    /// The names and the values that the expressions speak of.
    pub(crate) fn placeholders(self) -> (Option<Names>, Option<Values>) {
        (Some(self.names).filter(|names| !names.is_empty()), Some(self.values).filter(|values| !values.is_empty()))
    }

    /// Makes the change in what an identifier names.
    pub(crate) async fn apply<I: Identifier>(self, store: &Store, id: &I) -> Result<Changed<I::Entity>, Error> {
        self.apply_at(store, id.key()).await
    }

    /// Makes the change in the item of that key.
    pub(crate) async fn apply_at<T: DeserializeOwned>(self, store: &Store, key: Key) -> Result<Changed<T>, Error> {
        let (expression, condition) = (self.expression(), self.condition());
        let (names, values) = self.placeholders();
        let answer = store
            .client
            .update_item()
            .table_name(&store.table)
            .set_key(Some(key))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(output) => Ok(Changed::Made(from_item(output.attributes.unwrap_or_default()).map(Box::new)?)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    let old = refusal.item.clone().filter(|item| !item.is_empty());
                    Ok(Changed::Refused(old.map(from_item).transpose()?.map(Box::new)))
                }
                _ => Err(failure(error)),
            },
        }
    }

    /// Deletes the item of that key if what is required of it holds, and leaves it if not.
    pub(crate) async fn delete_at(self, store: &Store, key: Key) -> Result<(), Error> {
        let condition = self.condition();
        let (names, values) = self.placeholders();
        let answer = store
            .client
            .delete_item()
            .table_name(&store.table)
            .set_key(Some(key))
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(failure(error)),
            },
        }
    }
}

/// That something is there and this tenant's.
pub(crate) fn in_tenant(tenant: &Tenant) -> Result<Change, Error> {
    let mut change = Change::default();
    change.require_tenant(tenant)?;
    Ok(change)
}
