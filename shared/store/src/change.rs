//! A conditional update of one item.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use capstan_aws::failure;
use capstan_domain::{DeviceId, EndUserId, Error, Metadata, Recording, Status, Tenant, Timestamp, TransitionCause};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Store;
use crate::attributes::{Attribute, DEVICE_ID, DUE_AT, DUE_KEY, END_USER_ID, LEASE, METADATA, Path, STATUS, UNTIL};
use crate::condition::{Condition, status_is};
use crate::expression::{Expressions, Placeholders};
use crate::item::{attribute, from_item};
use crate::keys::{self, Identifier, Key};

/// Result of a conditional update.
#[derive(Debug)]
pub enum Changed<T = Recording> {
    /// The entity after the update.
    Made(Box<T>),
    /// The condition did not hold. The entity as it is; `None` if it does not exist.
    Refused(Option<Box<T>>),
}

impl<T> Changed<T> {
    /// A refusal as success where `is_applied` recognises the item as changed by an earlier sending of the same request.
    pub(crate) fn unless_applied(self, is_applied: impl FnOnce(&T) -> bool) -> Self {
        match self {
            Self::Refused(Some(known)) if is_applied(&known) => Self::Made(known),
            other => other,
        }
    }
}

/// A conditional update of one item.
pub(crate) struct Change {
    condition: Condition,
    sets: Vec<(Path, AttributeValue)>,
    removes: Vec<Path>,
    adds: Vec<(Path, AttributeValue)>,
    deletes: Vec<(Path, AttributeValue)>,
}

impl Change {
    /// A change that is made if the condition holds. Without a condition, an update would create a missing item.
    pub(crate) fn when(condition: Condition) -> Self {
        Self { condition, sets: Vec::new(), removes: Vec::new(), adds: Vec::new(), deletes: Vec::new() }
    }

    /// Adds a condition.
    pub(crate) fn require(&mut self, condition: Condition) -> &mut Self {
        self.condition = std::mem::replace(&mut self.condition, Condition::All(Vec::new())).and(condition);
        self
    }

    pub(crate) fn set(&mut self, path: impl Into<Path>, value: &impl Serialize) -> Result<&mut Self, Error> {
        self.sets.push((path.into(), attribute(value)?));
        Ok(self)
    }

    /// `None` leaves the attribute unchanged.
    pub(crate) fn set_if(
        &mut self,
        path: impl Into<Path>,
        wanted: Option<&impl Serialize>,
    ) -> Result<&mut Self, Error> {
        match wanted {
            Some(value) => self.set(path, value),
            None => Ok(self),
        }
    }

    /// `None` leaves the attribute unchanged, `Some(None)` removes it.
    pub(crate) fn set_or_remove<T: Serialize>(
        &mut self,
        attribute: Attribute,
        wanted: &Option<Option<T>>,
    ) -> Result<&mut Self, Error> {
        match wanted {
            Some(Some(value)) => self.set(attribute, value),
            Some(None) => Ok(self.remove(attribute)),
            None => Ok(self),
        }
    }

    /// Replaces the metadata, which is stored as JSON text. `None` leaves it unchanged.
    pub(crate) fn set_metadata(&mut self, wanted: Option<&Metadata>) -> Result<&mut Self, Error> {
        match wanted {
            Some(metadata) => self.set(METADATA, metadata.object()),
            None => Ok(self),
        }
    }

    /// Sets who made a recording, with the keys of its lists. `None` leaves an attribute unchanged.
    pub(crate) fn set_owner(
        &mut self,
        tenant: &Tenant,
        end_user_id: Option<&EndUserId>,
        device_id: Option<&DeviceId>,
    ) -> Result<&mut Self, Error> {
        self.set_if(END_USER_ID, end_user_id)?.set_if(DEVICE_ID, device_id)?;
        for (key, value) in keys::of_owner(tenant, end_user_id, device_id) {
            self.sets.push((key.into(), AttributeValue::S(value)));
        }
        Ok(self)
    }

    pub(crate) fn remove(&mut self, path: impl Into<Path>) -> &mut Self {
        self.removes.push(path.into());
        self
    }

    pub(crate) fn add(&mut self, number: Attribute, increment: u32) -> &mut Self {
        self.adds.push((number.into(), AttributeValue::N(increment.to_string())));
        self
    }

    pub(crate) fn add_to_set<T: ToString>(&mut self, set: Attribute, members: impl Iterator<Item = T>) -> &mut Self {
        let members: Vec<_> = members.map(|member| member.to_string()).collect();
        if !members.is_empty() {
            self.adds.push((set.into(), AttributeValue::Ss(members)));
        }
        self
    }

    /// Removes members from a set. DynamoDB removes the set with its last member.
    pub(crate) fn delete_from_set<T: ToString>(
        &mut self,
        set: Attribute,
        members: impl Iterator<Item = T>,
    ) -> &mut Self {
        let members: Vec<_> = members.map(|member| member.to_string()).collect();
        if !members.is_empty() {
            self.deletes.push((set.into(), AttributeValue::Ss(members)));
        }
        self
    }

    /// Sets the minute in which an action is due; `None` when none is.
    pub(crate) fn due(&mut self, id: &impl Identifier, at: Option<Timestamp>) -> Result<&mut Self, Error> {
        match at {
            Some(at) => self.due_exactly(id, keys::due_minute(at)),
            None => Ok(self.remove(DUE_KEY).remove(DUE_AT)),
        }
    }

    /// Sets the moment at which an action is due.
    pub(crate) fn due_exactly(&mut self, id: &impl Identifier, at: Timestamp) -> Result<&mut Self, Error> {
        self.set(DUE_KEY, &keys::due(id))?.set(DUE_AT, &at)
    }

    /// Changes the status of a recording, if it still has the status `from`.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is no such transition.
    pub(crate) fn transition(
        &mut self,
        from: Status,
        cause: TransitionCause,
        next: Status,
    ) -> Result<&mut Self, Error> {
        let next = from.transition(cause, next)?;
        self.require(status_is(from)?).set(STATUS, &next)
    }

    /// Extends a lease. The item is due when the lease expires.
    pub(crate) fn extend_lease(&mut self, id: &impl Identifier, until: Timestamp) -> Result<&mut Self, Error> {
        self.set(LEASE.then(UNTIL), &until)?.due(id, Some(until))
    }

    /// The expressions of a request.
    pub(crate) fn expressions(&self) -> Expressions {
        Expressions::of(&self.condition, |placeholders| Some(self.update(placeholders)))
    }

    fn update(&self, placeholders: &mut Placeholders) -> String {
        let mut clause = |verb: &str, actions: &[(Path, AttributeValue)], sign: &str| {
            let action = |(path, value): &(Path, AttributeValue)| {
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

    /// As [`Self::apply`], and recognises its own earlier write: the SDK repeats a request whose answer was lost, and the
    /// repetition is refused. `is_applied` returns whether the item is as the first request left it.
    pub(crate) async fn apply_once<I: Identifier>(
        self,
        store: &Store,
        id: &I,
        is_applied: impl FnOnce(&I::Entity) -> bool,
    ) -> Result<Changed<I::Entity>, Error> {
        Ok(self.apply(store, id).await?.unless_applied(is_applied))
    }

    /// Applies the change to the item of an identifier.
    pub(crate) async fn apply<I: Identifier>(self, store: &Store, id: &I) -> Result<Changed<I::Entity>, Error> {
        self.apply_at(store, id.key()).await
    }

    /// Applies the change to the item of a key.
    pub(crate) async fn apply_at<T: DeserializeOwned>(self, store: &Store, key: Key) -> Result<Changed<T>, Error> {
        let Expressions { update, condition, names, values } = self.expressions();
        let name = keys::name(&key);
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
                _ => Err(failure(error).context(format!("update {name}"))),
            },
        }
    }
}

/// Deletes the item of a key if the condition holds; does nothing otherwise.
pub(crate) async fn delete_when(condition: Condition, store: &Store, key: Key) -> Result<(), Error> {
    let Expressions { condition, names, values, .. } = condition.expressions();
    let name = keys::name(&key);
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
            _ => Err(failure(error).context(format!("delete {name}"))),
        },
    }
}
