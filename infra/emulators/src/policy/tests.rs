use serde_json::{Value, json};

use super::*;
use crate::template::TemplateError;

const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t";

fn read(mut statement: Value) -> Result<Statement, TemplateError> {
    statement["Effect"] = statement.get("Effect").cloned().unwrap_or("Allow".into());
    Statement::read(&statement, "F[0]".to_owned())
}

/// Whether these statements allow the DynamoDB call.
fn may(statements: &[Value], operation: &str, body: &Value) -> bool {
    let policies = Policies::default();
    let statements = statements.iter().cloned().map(|statement| read(statement).unwrap()).collect();
    policies.lock().functions.insert("f".to_owned(), statements);
    let demands = dynamodb(operation, body, &|_| Some("PK".to_owned()));
    policies.authorise(Some("f"), &demands).is_ok()
}

fn key(value: &str) -> Value {
    json!({"PK": {"S": value}, "SK": {"S": "x"}})
}

#[test]
fn statement_covers_only_its_actions_and_resources() {
    let get = json!({"Action": ["dynamodb:getitem", "dynamodb:Batch*"], "Resource": TABLE});
    let of = |table: &str| json!({"TableName": table, "Key": key("a")});
    assert!(may(std::slice::from_ref(&get), "GetItem", &of("t")));
    assert!(may(std::slice::from_ref(&get), "GetItem", &of(TABLE)));
    assert!(!may(std::slice::from_ref(&get), "GetItem", &of("tt")));
    assert!(!may(std::slice::from_ref(&get), "PutItem", &of("t")));
    assert!(may(std::slice::from_ref(&get), "BatchGetItem", &json!({"RequestItems": {"t": {"Keys": [key("a")]}}})));
    let deny = json!({"Effect": "Deny", "Action": "dynamodb:GetItem", "Resource": "*"});
    assert!(!may(&[get, deny], "GetItem", &of("t")));
}

#[test]
fn index_needs_its_own_permission() {
    let index = json!({"Action": "dynamodb:Query", "Resource": format!("{TABLE}/index/by-x")});
    let query = |index: &str| json!({"TableName": "t", "IndexName": index});
    assert!(may(std::slice::from_ref(&index), "Query", &query("by-x")));
    assert!(!may(std::slice::from_ref(&index), "Query", &query("by-y")));
    assert!(!may(&[index], "Query", &json!({"TableName": "t"})));
}

#[test]
fn every_leading_key_must_match_a_condition_value() {
    let conditions = json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["REC#*", "KEY#?"]}});
    let actions = ["dynamodb:PutItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem"];
    let statement = json!({"Action": actions, "Resource": TABLE, "Condition": conditions});
    let may = |operation, body| may(std::slice::from_ref(&statement), operation, &body);
    assert!(may("PutItem", json!({"TableName": "t", "Item": key("REC#1")})));
    assert!(may("PutItem", json!({"TableName": "t", "Item": key("KEY#1")})));
    assert!(!may("PutItem", json!({"TableName": "t", "Item": key("KEY#12")})));
    let both = |other| json!({"RequestItems": {"t": {"Keys": [key("REC#1"), key(other)]}}});
    assert!(may("BatchGetItem", both("REC#2")));
    assert!(!may("BatchGetItem", both("DEV#2")));
}

#[test]
fn attributes_condition_covers_top_level_names_in_expressions() {
    let conditions = json!({"ForAllValues:StringEquals": {"dynamodb:Attributes": ["PK", "SK", "a", "media"]}});
    let statement = json!({"Action": "dynamodb:UpdateItem", "Resource": TABLE, "Condition": conditions});
    let may = |update: &str, condition: &str| {
        let names = json!({"#0": "a", "#1": "media", "#2": "inside", "#3": "b"});
        let body = json!({
            "TableName": "t", "Key": key("x"), "UpdateExpression": update, "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
        });
        may(std::slice::from_ref(&statement), "UpdateItem", &body)
    };
    assert!(may("SET #0=:0,#1.#2=:1 REMOVE media[3].inside", "attribute_exists(PK) AND (size(#1) < :2)"));
    assert!(!may("SET #0=:0,#3=:1", "attribute_exists(PK)"));
    assert!(!may("SET #0=:0", "attribute_not_exists(b)"));
}

#[test]
fn if_exists_condition_holds_without_a_value() {
    let conditions = |operator: &str| json!({operator: {"dynamodb:ReturnValues": "NONE"}});
    let may = |operator, body: Value| {
        let statement = json!({"Action": "dynamodb:PutItem", "Resource": TABLE, "Condition": conditions(operator)});
        may(&[statement], "PutItem", &body)
    };
    let without = json!({"TableName": "t", "Item": key("a")});
    let with = |values: &str| json!({"TableName": "t", "Item": key("a"), "ReturnValues": values});
    assert!(may("StringEqualsIfExists", without.clone()) && !may("StringEquals", without));
    assert!(may("StringEqualsIfExists", with("NONE")) && may("StringEquals", with("NONE")));
    assert!(!may("StringEqualsIfExists", with("ALL_OLD")) && !may("StringEquals", with("ALL_OLD")));
}

#[test]
fn each_operation_of_a_transaction_needs_its_own_permission() {
    let put = json!({"Action": "dynamodb:PutItem", "Resource": TABLE});
    let check = json!({"Action": "dynamodb:ConditionCheckItem", "Resource": TABLE});
    let in_transaction = json!({"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}});
    let delete = json!({"Action": "dynamodb:DeleteItem", "Resource": TABLE, "Condition": in_transaction});
    let body = json!({"TransactItems": [
        {"Put": {"TableName": "t", "Item": key("a")}},
        {"ConditionCheck": {"TableName": "t", "Key": key("b")}},
        {"Delete": {"TableName": "t", "Key": key("c")}},
    ]});
    assert!(may(&[put.clone(), check.clone(), delete.clone()], "TransactWriteItems", &body));
    assert!(!may(&[put, delete.clone()], "TransactWriteItems", &body), "no check");
    assert!(!may(&[check, delete.clone()], "TransactWriteItems", &body), "no put");
    assert!(!may(&[delete], "DeleteItem", &json!({"TableName": "t", "Key": key("c")})));
}

#[test]
fn unneeded_permissions_are_listed() {
    let keys = json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["A#*", "B#*"]}});
    let get = json!({"Action": "dynamodb:GetItem", "Resource": TABLE, "Condition": keys});
    let wide = json!({"Action": ["dynamodb:GetItem", "dynamodb:PutItem"], "Resource": TABLE});
    let elsewhere = json!({"Action": "ssm:GetParameter", "Resource": "*"});
    let unneeded = |statements: Vec<Value>| {
        let policies = Policies::default();
        let numbered = statements.iter().enumerate();
        let statements = numbered
            .map(|(number, statement)| Statement { location: number.to_string(), ..read(statement.clone()).unwrap() });
        policies.lock().functions.insert("f".to_owned(), statements.collect());
        let demands = dynamodb("GetItem", &json!({"TableName": "t", "Key": key("A#1")}), &|_| Some("PK".to_owned()));
        policies.authorise(Some("f"), &demands).unwrap();
        policies.unneeded().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(unneeded(vec![get.clone(), elsewhere]), ["f: B#* of 0"]);
    let all = ["dynamodb:GetItem of 0", TABLE, "A#*", "B#*", "dynamodb:GetItem of 1", "dynamodb:PutItem of 1", TABLE];
    assert_eq!(unneeded(vec![get, wide]).len(), all.len(), "each of the two statements suffices");
}

#[test]
fn unsupported_conditions_are_rejected_for_emulated_services() {
    let unsupported = |action: &str| json!({"Action": action, "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}});
    let error = read(unsupported("s3:GetObject")).unwrap_err().to_string();
    assert_eq!(error, "F[0]: the condition DateLessThan on aws:CurrentTime is not supported");
    assert!(read(unsupported("transcribe:StartTranscriptionJob")).is_ok());
    let key =
        json!({"Action": "dynamodb:GetItem", "Resource": "*", "Condition": {"StringLike": {"dynamodb:Select": "x"}}});
    assert!(read(key).is_err());
    assert!(read(json!({"NotAction": "s3:GetObject", "Resource": "*"})).is_err());
}

#[test]
fn policies_have_no_action_wildcards() {
    for function in Template::of_this_project().unwrap().functions {
        for Statement { location, actions, .. } in function.statements {
            assert!(!actions.iter().any(|action| action.contains(['*', '?'])), "{location} allows {actions:?}");
        }
    }
    let text = include_str!("../../../../template.yaml");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for (number, line) in lines.iter().enumerate() {
        if line.contains("Resource: \"*\"") || line.contains("Resource: '*'") {
            let statement = lines[..=number].iter().rposition(|line| line.starts_with("- ")).unwrap();
            assert!(
                lines[statement - 1].starts_with('#'),
                "line {}: add a comment above the statement that explains Resource: *",
                number + 1
            );
        }
    }
}

#[test]
fn leading_keys_conditions_apply_only_to_item_actions() {
    for function in Template::of_this_project().unwrap().functions {
        for Statement { location, actions, conditions, .. } in function.statements {
            let has_condition = conditions.iter().any(|condition| condition.key == "dynamodb:LeadingKeys");
            let is_item_action = |action: &String| action.ends_with("Item");
            assert!(
                !has_condition || actions.iter().all(is_item_action),
                "{location}: without a key, a condition on all keys always holds"
            );
        }
    }
}
