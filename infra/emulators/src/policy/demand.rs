//! What a call asks for, in the terms of a policy: actions on resources, in a context.
//!
//! The names are those of the service authorization reference, which says for each action what it is checked against.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{ACCOUNT, REGION};

/// One action on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Such as `dynamodb:PutItem`.
    pub(super) action: String,
    /// An ARN.
    pub(super) resource: String,
    /// By the name of the condition key.
    pub(super) context: BTreeMap<&'static str, Vec<String>>,
}

impl Demand {
    pub(super) fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: BTreeMap::new() }
    }
}

/// What a DynamoDB call asks for. A transaction is no action: each of its operations is.
///
/// `partition_key` gives the name of a table's partition key. The leading key of a query is not read.
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

/// Gives the name of a table's partition key.
type PartitionKey<'a> = dyn Fn(&str) -> Option<String> + 'a;

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// What a request asks of a table or of one of its indexes, about the items of which there is a `Key` or an `Item`.
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

/// `{"S": "text"}` as `text`.
fn scalar(value: &Value) -> String {
    let inner = value.as_object().and_then(|typed| typed.values().next());
    inner.and_then(Value::as_str).unwrap_or_default().to_owned()
}

const EXPRESSIONS: [&str; 5] =
    ["ConditionExpression", "FilterExpression", "KeyConditionExpression", "ProjectionExpression", "UpdateExpression"];
/// The words of expressions that are no attributes. Attributes of these names are written by a placeholder.
const WORDS: &str = "add and attribute_exists attribute_not_exists attribute_type begins_with between contains delete \
                     if_not_exists in list_append not or remove set size";

/// The attributes of the item itself, not those inside of them, that the expressions of a request name.
fn named_in_expressions(request: &Value) -> Vec<String> {
    let expressions = EXPRESSIONS.iter().filter_map(|name| request[*name].as_str());
    let words = expressions.flat_map(|expression| {
        expression.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '#' | ':' | '.')))
    });
    let first = words.filter_map(|path| path.split('.').next());
    let is_attribute = |word: &&str| {
        !word.is_empty()
            && !word.starts_with(|c: char| c == ':' || c.is_ascii_digit())
            && !WORDS.split(' ').any(|known| known.eq_ignore_ascii_case(word))
    };
    let name = |word: &str| request["ExpressionAttributeNames"][word].as_str().unwrap_or(word).to_owned();
    first.filter(is_attribute).map(name).collect()
}

/// What `PutEvents` asks for: each of its buses.
pub(crate) fn put_events(body: &Value) -> Vec<Demand> {
    let bus = |entry: &Value| match entry["EventBusName"].as_str().unwrap_or("default") {
        arn if arn.starts_with("arn:") => arn.to_owned(),
        name => format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"),
    };
    entries(&body["Entries"]).map(|entry| Demand::new("events:PutEvents", bus(entry))).collect()
}

/// What an S3 operation asks for; `key` is none for those on a bucket. A presigned request is no different: it acts with
/// the rights of who signed it.
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
