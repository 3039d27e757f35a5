//! Transactions: several changes that are made together or not at all.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use capstan_aws::{busy, failure};
use capstan_domain::Error;
use serde::de::DeserializeOwned;

use crate::Store;
use crate::change::Change;
use crate::condition::{Condition, is_new};
use crate::expression::Expressions;
use crate::item::{Item, from_item};
use crate::keys::{Identifier, Key};

/// Most operations of a transaction.
pub(crate) const MAX_OPERATIONS: usize = 100;
/// How often a change is tried that other requests overtake.
pub(crate) const MAX_ATTEMPTS: usize = 8;

/// A transaction. Adding an operation returns its place, for looking up whether its condition failed.
#[derive(Default)]
pub(crate) struct Transaction {
    operations: Vec<Operation>,
}

/// Result of a transaction.
#[derive(Debug)]
pub(crate) enum Committed {
    /// All changes were made.
    Made,
    /// No change was made: conditions failed.
    Refused(Refusals),
}

/// The failed conditions, with the items that they were checked against.
#[derive(Debug)]
pub(crate) struct Refusals(Vec<Option<Item>>);

impl Refusals {
    /// Whether the condition of the operation in this place failed.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.0.get(place).is_some_and(Option::is_some)
    }

    /// The item that the failed condition in this place was checked against; `None` if there is none.
    pub(crate) fn old<T: DeserializeOwned>(&self, place: usize) -> Result<Option<T>, Error> {
        let old = self.0.get(place).cloned().flatten().filter(|item| !item.is_empty());
        old.map(from_item).transpose()
    }
}

/// An operation of a transaction.
enum Operation {
    Put(Item, Condition),
    Update(Key, Change),
    Delete(Key, Option<Condition>),
}

const RETURN_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

impl Operation {
    fn build(self, table: &str) -> Result<TransactWriteItem, BuildError> {
        let operation = TransactWriteItem::builder();
        Ok(match self {
            Self::Put(item, condition) => {
                let Expressions { condition, names, values, .. } = condition.expressions();
                let put = Put::builder().table_name(table).set_item(Some(item)).set_condition_expression(condition);
                let put = put.set_expression_attribute_names(names).set_expression_attribute_values(values);
                operation.put(put.return_values_on_condition_check_failure(RETURN_OLD).build()?)
            }
            Self::Update(key, change) => {
                let Expressions { update: expression, condition, names, values } = change.expressions();
                let update = Update::builder().table_name(table).set_key(Some(key)).set_update_expression(expression);
                let update = update.set_condition_expression(condition).set_expression_attribute_names(names);
                let update = update.set_expression_attribute_values(values);
                operation.update(update.return_values_on_condition_check_failure(RETURN_OLD).build()?)
            }
            Self::Delete(key, condition) => {
                let expressions = condition.map(|condition| condition.expressions());
                let Expressions { condition, names, values, .. } = expressions.unwrap_or_default();
                let delete = Delete::builder().table_name(table).set_key(Some(key)).set_condition_expression(condition);
                let delete = delete.set_expression_attribute_names(names).set_expression_attribute_values(values);
                operation.delete(delete.return_values_on_condition_check_failure(RETURN_OLD).build()?)
            }
        }
        .build())
    }
}

impl Transaction {
    /// How many operations can be added.
    pub(crate) fn room(&self) -> usize {
        MAX_OPERATIONS.saturating_sub(self.operations.len())
    }

    fn add(&mut self, operation: Operation) -> usize {
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// Puts an item, if there is none.
    pub(crate) fn put_new(&mut self, item: Item) -> usize {
        self.put_when(is_new(), item)
    }

    /// Puts an item, if the condition holds for the present one.
    pub(crate) fn put_when(&mut self, condition: Condition, item: Item) -> usize {
        self.add(Operation::Put(item, condition))
    }

    /// Updates the item of an identifier.
    pub(crate) fn update(&mut self, id: &impl Identifier, change: Change) -> usize {
        self.update_item(id.key(), change)
    }

    /// Updates the item of a key.
    pub(crate) fn update_item(&mut self, key: Key, change: Change) -> usize {
        self.add(Operation::Update(key, change))
    }

    /// Deletes an item, if the condition holds.
    pub(crate) fn delete_when(&mut self, condition: Condition, key: Key) -> usize {
        self.add(Operation::Delete(key, Some(condition)))
    }

    /// Deletes an item, if there is one.
    pub(crate) fn delete(&mut self, key: Key) -> usize {
        self.add(Operation::Delete(key, None))
    }

    /// Makes all changes or none. Retries a few times when it conflicts with another transaction.
    pub(crate) async fn commit(self, store: &Store) -> Result<Committed, Error> {
        let build = |operation: Operation| operation.build(&store.table);
        let operations: Vec<_> =
            self.operations.into_iter().map(build).collect::<Result<_, _>>().map_err(Error::internal)?;
        for _ in 0..MAX_ATTEMPTS {
            let request = store.client.transact_write_items().set_transact_items(Some(operations.clone()));
            let Err(error) = request.send().await else { return Ok(Committed::Made) };
            let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
            else {
                return Err(failure(error).context("write a transaction"));
            };
            match Cancellation::of(cancelled.cancellation_reasons()) {
                Cancellation::Refused(refusals) => return Ok(Committed::Refused(refusals)),
                Cancellation::Busy => {}
                Cancellation::Broken => return Err(failure(error).context("write a transaction")),
            }
        }
        Err(busy("other changes to the same items kept coming first"))
    }
}

/// Why a transaction was cancelled.
#[derive(Debug)]
enum Cancellation {
    /// Conditions failed.
    Refused(Refusals),
    /// It conflicted with another transaction, or was throttled.
    Busy,
    /// It is invalid.
    Broken,
}

impl Cancellation {
    fn of(reasons: &[CancellationReason]) -> Self {
        const BUSY: [&str; 3] = ["ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"];
        let codes = || reasons.iter().filter_map(CancellationReason::code).filter(|code| *code != "None");
        if codes().any(|code| code == REFUSED) {
            let refused = |reason: &&CancellationReason| reason.code() == Some(REFUSED);
            let old = |reason: &CancellationReason| reason.item.clone().unwrap_or_default();
            Self::Refused(Refusals(reasons.iter().map(|reason| Some(reason).filter(refused).map(old)).collect()))
        } else if codes().all(|code| BUSY.contains(&code)) {
            Self::Busy
        } else {
            Self::Broken
        }
    }
}

const REFUSED: &str = "ConditionalCheckFailed";

#[cfg(test)]
mod tests {
    use super::*;

    fn cancellation(codes: &[&str]) -> Cancellation {
        let reason = |code: &&str| CancellationReason::builder().code(*code).build();
        Cancellation::of(&codes.iter().map(reason).collect::<Vec<_>>())
    }

    #[test]
    fn failed_conditions_and_defects_are_not_retried() {
        let Cancellation::Refused(refusals) = cancellation(&["None", REFUSED, "TransactionConflict"]) else {
            panic!("refused")
        };
        assert_eq!([0, 1, 2, 3].map(|place| refusals.has(place)), [false, true, false, false]);
        assert!(matches!(cancellation(&["TransactionConflict", "None"]), Cancellation::Busy));
        assert!(matches!(cancellation(&["None", "ThrottlingError"]), Cancellation::Busy));
        assert!(matches!(cancellation(&["ValidationError", "TransactionConflict"]), Cancellation::Broken));
    }
}
