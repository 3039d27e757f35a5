//! Translate a call into the actions, resources and condition keys that a policy is checked against.
//!
//! The names come from the AWS service authorization reference, which lists resource types and condition keys per action.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{ACCOUNT, REGION};

/// An action on a resource that a call requires permission for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// IAM action, such as `dynamodb:PutItem`.
    pub(super) action: String,
    /// ARN of the resource.
    pub(super) resource: String,
    /// Values by condition key.
    pub(super) context: BTreeMap<&'static str, Vec<String>>,
}

impl Demand {
    pub(super) fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: BTreeMap::new() }
    }
}

/// Permissions required by a DynamoDB call. A transaction requires the permissions of each of its operations.
///
/// `partition_key` returns the name of a table's partition key. The leading key of a query is not evaluated.
pub(crate) fn dynamodb(operation: &str, body: &Value, partition_key: &PartitionKey) -> Vec<Demand> {
    match operation {
        "TransactWriteItems" | "TransactGetItems" => {
            let members = entries(&body["TransactItems"]).filter_map(Value::as_object).flatten();
            let demands = members.map(|(kind, request)| {
                let action = format!("{kind}Item");
                let mut demand = of_table(&action, &request["TableName"], request, &[request], partition_key);
                demand.context.insert("dynamodb:EnclosingOperation", vec![operation.to_owned()]);
                demand
            });
            demands.collect()
        }
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            let demands = tables.map(|(table, request)| {
                let keys: Vec<Value> = entries(&request["Keys"]).map(|key| json!({"Key": key})).collect();
                let writes = entries(request).filter_map(Value::as_object).flat_map(Map::values);
                let items: Vec<&Value> = keys.iter().chain(writes).collect();
                of_table(operation, &json!(table), request, &items, partition_key)
            });
            demands.collect()
        }
        _ => vec![of_table(operation, &body["TableName"], body, &[body], partition_key)],
    }
}

/// Returns the name of a table's partition key.
type PartitionKey<'a> = dyn Fn(&str) -> Option<String> + 'a;

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Permission required by an action on a table or on an index. `items` are the objects with a `Key` or an `Item`.
fn of_table(action: &str, table: &Value, request: &Value, items: &[&Value], partition_key: &PartitionKey) -> Demand {
    let table = table.as_str().unwrap_or_default();
    let table = table.rsplit_once(":table/").map_or(table, |(_, name)| name);
    let index = request["IndexName"].as_str().map_or_else(String::new, |index| format!("/index/{index}"));
    let resource = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}{index}");
    let mut demand = Demand::new(format!("dynamodb:{action}"), resource);
    let attributes = || items.iter().flat_map(|item| [&item["Key"], &item["Item"]]).filter_map(Value::as_object);
    if let Some(name) = partition_key(table) {
        let leading = attributes().filter_map(|attributes| attributes.get(&name)).map(scalar).collect();
        demand.context.insert("dynamodb:LeadingKeys", leading);
    }
    let named = attributes().flat_map(Map::keys).cloned().chain(named_in_expressions(request)).collect();
    demand.context.insert("dynamodb:Attributes", named);
    if let Some(values) = request["ReturnValues"].as_str() {
        demand.context.insert("dynamodb:ReturnValues", vec![values.to_owned()]);
    }
    demand
}

/// The text of a DynamoDB string value: `{"S": "text"}` becomes `text`.
fn scalar(value: &Value) -> String {
    let inner = value.as_object().and_then(|typed| typed.values().next());
    inner.and_then(Value::as_str).unwrap_or_default().to_owned()
}

const EXPRESSIONS: [&str; 5] =
    ["ConditionExpression", "FilterExpression", "KeyConditionExpression", "ProjectionExpression", "UpdateExpression"];
/// Keywords and functions in expressions. Attributes with these names require a placeholder.
const KEYWORDS: &str = "add and attribute_exists attribute_not_exists attribute_type begins_with between contains delete \
                     if_not_exists in list_append not or remove set size";

/// Top-level attributes in the expressions of a request, without nested attributes.
fn named_in_expressions(request: &Value) -> Vec<String> {
    let expressions = EXPRESSIONS.iter().filter_map(|name| request[*name].as_str());
    let words = expressions.flat_map(|expression| {
        expression.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '#' | ':' | '.')))
    });
    let first = words.filter_map(|path| path.split('.').next());
    let is_attribute = |word: &&str| {
        !word.is_empty()
            && !word.starts_with(|c: char| c == ':' || c.is_ascii_digit())
            && !KEYWORDS.split(' ').any(|known| known.eq_ignore_ascii_case(word))
    };
    let name = |word: &str| request["ExpressionAttributeNames"][word].as_str().unwrap_or(word).to_owned();
    first.filter(is_attribute).map(name).collect()
}

/// Permissions required by `PutEvents`: one per entry, for its bus.
pub(crate) fn put_events(body: &Value) -> Vec<Demand> {
    let bus = |entry: &Value| match entry["EventBusName"].as_str().unwrap_or("default") {
        arn if arn.starts_with("arn:") => arn.to_owned(),
        name => format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"),
    };
    entries(&body["Entries"]).map(|entry| Demand::new("events:PutEvents", bus(entry))).collect()
}

/// Permission required by an S3 operation. `key` is `None` for operations on a bucket.
///
/// A presigned request has the permissions of its signer.
pub(super) fn s3(operation: &str, bucket: &str, key: Option<&str>) -> Demand {
    let action = match operation {
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" | "CopyObject" => "PutObject",
        "GetObject" | "HeadObject" => "GetObject",
        "ListParts" => "ListMultipartUploadParts",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        other => other,
    };
    let key = key.map_or_else(String::new, |key| format!("/{key}"));
    Demand::new(format!("s3:{action}"), format!("arn:aws:s3:::{bucket}{key}"))
}
