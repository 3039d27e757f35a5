//! Request units that DynamoDB charges for each call.

use dynoxide::types::{Item, item_size, write_capacity_units};
use serde_json::Value;

/// Capacity consumed by one DynamoDB call.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumed {
    /// API name of the operation, such as `PutItem`.
    pub operation: String,
    /// Read request units of 4 KB each. An eventually consistent read costs half a unit.
    pub read: f64,
    /// Write request units of 1 KB each for the table and every index written. A transaction costs twice as many.
    pub write: f64,
}

const READS: [&str; 5] = ["BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"];
const WRITES: [&str; 5] = ["BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"];
/// Minimum write units per operation of a canceled transaction.
const CANCELED_OPERATION_UNITS: f64 = 2.0;

/// Request a capacity report in the response, unless the caller already did.
pub(crate) fn request_report(operation: &str, request: &mut Value) {
    if (READS.contains(&operation) || WRITES.contains(&operation))
        && request.is_object()
        && request["ReturnConsumedCapacity"].is_null()
    {
        request["ReturnConsumedCapacity"] = "TOTAL".into();
    }
}

/// Capacity consumed by a call. A write with a failed condition costs as much as writing the existing item.
pub(crate) fn consumed(operation: &str, request: &Value, response: &Value) -> Consumed {
    let failed_with = |error: &str| response["__type"].as_str().is_some_and(|kind| kind.ends_with(error));
    let units = if failed_with("ConditionalCheckFailedException") {
        let item: Item = serde_json::from_value(response["Item"].clone()).unwrap_or_default();
        write_capacity_units(item_size(&item))
    } else if failed_with("TransactionCanceledException") {
        request["TransactItems"].as_array().map_or(0.0, |items| CANCELED_OPERATION_UNITS * items.len() as f64)
    } else {
        match &response["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum(),
            table => table["CapacityUnits"].as_f64().unwrap_or_default(),
        }
    };
    let (read, write) = if WRITES.contains(&operation) { (0.0, units) } else { (units, 0.0) };
    Consumed { operation: operation.to_owned(), read, write }
}
