//! What DynamoDB charges for: the request units of each call.

use dynoxide::types::{Item, item_size, write_capacity_units};
use serde_json::Value;

/// What one call to DynamoDB consumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumed {
    /// The operation by its API name, such as `PutItem`.
    pub operation: String,
    /// Read request units, of 4 KB each; a half where an eventually consistent read suffices.
    pub read: f64,
    /// Write request units, of 1 KB each, of the table and of every index that is written; twice as many in a transaction.
    pub write: f64,
}

const READS: [&str; 5] = ["BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"];
const WRITES: [&str; 5] = ["BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"];
/// What each operation of a transaction that is not made consumes at least.
const REFUSED_IN_TRANSACTION: f64 = 2.0;

/// Lets a call tell what it consumes. Whoever did not ask does not look.
pub(crate) fn ask(operation: &str, request: &mut Value) {
    if (READS.contains(&operation) || WRITES.contains(&operation))
        && request.is_object()
        && request["ReturnConsumedCapacity"].is_null()
    {
        request["ReturnConsumedCapacity"] = "TOTAL".into();
    }
}

/// Reads what a call consumed. A write whose condition does not hold is charged like one of the item that is there.
pub(crate) fn consumed(operation: &str, request: &Value, answer: &Value) -> Consumed {
    let is_refused = |by: &str| answer["__type"].as_str().is_some_and(|kind| kind.ends_with(by));
    let units = if is_refused("ConditionalCheckFailedException") {
        let item: Item = serde_json::from_value(answer["Item"].clone()).unwrap_or_default();
        write_capacity_units(item_size(&item))
    } else if is_refused("TransactionCanceledException") {
        request["TransactItems"].as_array().map_or(0.0, |items| REFUSED_IN_TRANSACTION * items.len() as f64)
    } else {
        match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum(),
            table => table["CapacityUnits"].as_f64().unwrap_or_default(),
        }
    };
    let (read, write) = if WRITES.contains(&operation) { (0.0, units) } else { (units, 0.0) };
    Consumed { operation: operation.to_owned(), read, write }
}
