//! A conditional update of one item, written as what it sets and what it requires.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use capstan_aws::failure;
use capstan_domain::{Error, Metadata, Recording, Status, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Store;
use crate::condition::{Condition, LEASE_UNTIL, leads_to};
use crate::expression::{Expressions, Placeholders};
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

/// An update in the making. Paths are attribute names joined by dots.
pub(crate) struct Change {
    condition: Condition,
    sets: Vec<(String, AttributeValue)>,
    removes: Vec<String>,
    adds: Vec<(String, AttributeValue)>,
    deletes: Vec<(String, AttributeValue)>,
}

impl Change {
    /// One that is made if this holds. There is none without a condition: it would make an item where there is none.
    pub(crate) fn when(condition: Condition) -> Self {
        Self { condition, sets: Vec::new(), removes: Vec::new(), adds: Vec::new(), deletes: Vec::new() }
    }

    /// Requires this too.
    pub(crate) fn require(&mut self, condition: Condition) -> &mut Self {
        self.condition = std::mem::replace(&mut self.condition, Condition::All(Vec::new())).and(condition);
        self
    }

    pub(crate) fn set(&mut self, path: &str, value: &impl Serialize) -> Result<&mut Self, Error> {
        self.sets.push((path.to_owned(), attribute(value)?));
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
        self.removes.push(path.to_owned());
        self
    }

    pub(crate) fn add(&mut self, path: &str, number: u32) -> &mut Self {
        self.adds.push((path.to_owned(), AttributeValue::N(number.to_string())));
        self
    }

    pub(crate) fn add_to_set<T: ToString>(&mut self, path: &str, members: impl Iterator<Item = T>) -> &mut Self {
        let members: Vec<_> = members.map(|member| member.to_string()).collect();
        if !members.is_empty() {
            self.adds.push((path.to_owned(), AttributeValue::Ss(members)));
        }
        self
    }

    /// Takes members out of a set. DynamoDB removes a set with its last member.
    pub(crate) fn delete_from_set<T: ToString>(&mut self, path: &str, members: impl Iterator<Item = T>) -> &mut Self {
        let members: Vec<_> = members.map(|member| member.to_string()).collect();
        if !members.is_empty() {
            self.deletes.push((path.to_owned(), AttributeValue::Ss(members)));
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

    /// Moves the recording to a state, from any state that leads there.
    pub(crate) fn transition(&mut self, next: Status) -> Result<&mut Self, Error> {
        self.require(leads_to(next)?).set("status", &next)
    }

    /// Holds on to what a lease is on, until it is due itself.
    pub(crate) fn hold_until(&mut self, id: &impl Identifier, until: Timestamp) -> Result<&mut Self, Error> {
        self.set(LEASE_UNTIL, &until.sortable())?.due(id, Some(until))
    }

    /// As a request holds it.
    pub(crate) fn expressions(&self) -> Expressions {
        Expressions::of(&self.condition, |placeholders| Some(self.update(placeholders)))
    }

    fn update(&self, placeholders: &mut Placeholders) -> String {
        let mut clause = |verb: &str, actions: &[(String, AttributeValue)], sign: &str| {
            let action = |(path, value): &(String, AttributeValue)| {
                format!("{}{sign}{}", placeholders.path(path), placeholders.value(value))
            };
            let actions: Vec<_> = actions.iter().map(action).collect();
            Some(format!("{verb} {}", actions.join(","))).filter(|_| !actions.is_empty())
        };
        let (sets, adds) = (clause("SET", &self.sets, "="), clause("ADD", &self.adds, " "));
        let deletes = clause("DELETE", &self.deletes, " ");
        let removes: Vec<_> = self.removes.iter().map(|path| placeholders.path(path)).collect();
        let removes = Some(format!("REMOVE {}", removes.join(","))).filter(|_| !removes.is_empty());
        [sets, removes, adds, deletes].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Makes the change in what an identifier names.
    pub(crate) async fn apply<I: Identifier>(self, store: &Store, id: &I) -> Result<Changed<I::Entity>, Error> {
        self.apply_at(store, id.key()).await
    }

    /// Makes the change in the item of that key.
    pub(crate) async fn apply_at<T: DeserializeOwned>(self, store: &Store, key: Key) -> Result<Changed<T>, Error> {
        let Expressions { update, condition, names, values } = self.expressions();
        let answer = store
            .client
            .update_item()
            .table_name(&store.table)
            .set_key(Some(key))
            .set_update_expression(update)
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
}

/// Deletes the item of that key if what is required of it holds, and leaves it if not.
pub(crate) async fn delete_when(condition: Condition, store: &Store, key: Key) -> Result<(), Error> {
    let Expressions { condition, names, values, .. } = condition.expressions();
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
