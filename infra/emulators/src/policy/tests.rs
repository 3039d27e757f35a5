use serde_json::{Value, json};

use super::*;
use crate::template::TemplateError;

const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t";

fn read(mut statement: Value) -> Result<Statement, TemplateError> {
    statement["Effect"] = statement.get("Effect").cloned().unwrap_or("Allow".into());
    Statement::read(&statement, "F[0]".to_owned())
}

/// Whether a function with these statements may make that call to DynamoDB.
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
fn a_statement_covers_its_actions_on_its_resources_and_no_others() {
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
fn an_index_is_a_resource_of_its_own() {
    let index = json!({"Action": "dynamodb:Query", "Resource": format!("{TABLE}/index/by-x")});
    let query = |index: &str| json!({"TableName": "t", "IndexName": index});
    assert!(may(std::slice::from_ref(&index), "Query", &query("by-x")));
    assert!(!may(std::slice::from_ref(&index), "Query", &query("by-y")));
    assert!(!may(&[index], "Query", &json!({"TableName": "t"})));
}

#[test]
fn every_leading_key_must_be_like_one_of_the_values() {
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
fn attributes_are_those_of_the_item_itself_wherever_an_expression_names_them() {
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
fn an_optional_condition_holds_where_the_request_does_not_say() {
    let conditions = |operator: &str| json!({operator: {"dynamodb:ReturnValues": "NONE"}});
    let may = |operator, body: Value| {
        let statement = json!({"Action": "dynamodb:PutItem", "Resource": TABLE, "Condition": conditions(operator)});
        may(&[statement], "PutItem", &body)
    };
    let silent = json!({"TableName": "t", "Item": key("a")});
    let asking = |values: &str| json!({"TableName": "t", "Item": key("a"), "ReturnValues": values});
    assert!(may("StringEqualsIfExists", silent.clone()) && !may("StringEquals", silent));
    assert!(may("StringEqualsIfExists", asking("NONE")) && may("StringEquals", asking("NONE")));
    assert!(!may("StringEqualsIfExists", asking("ALL_OLD")) && !may("StringEquals", asking("ALL_OLD")));
}

#[test]
fn each_operation_of_a_transaction_is_an_action_of_its_own() {
    let put = json!({"Action": "dynamodb:PutItem", "Resource": TABLE});
    let check = json!({"Action": "dynamodb:ConditionCheckItem", "Resource": TABLE});
    let only_here = json!({"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}});
    let delete = json!({"Action": "dynamodb:DeleteItem", "Resource": TABLE, "Condition": only_here});
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
fn what_nothing_would_miss_is_told() {
    let keys = json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["A#*", "B#*"]}});
    let get = json!({"Action": "dynamodb:GetItem", "Resource": TABLE, "Condition": keys});
    let wide = json!({"Action": ["dynamodb:GetItem", "dynamodb:PutItem"], "Resource": TABLE});
    let elsewhere = json!({"Action": "ssm:GetParameter", "Resource": "*"});
    let unneeded = |statements: Vec<Value>| {
        let policies = Policies::default();
        let numbered = statements.iter().enumerate();
        let statements = numbered
            .map(|(number, statement)| Statement { place: number.to_string(), ..read(statement.clone()).unwrap() });
        policies.lock().functions.insert("f".to_owned(), statements.collect());
        let demands = dynamodb("GetItem", &json!({"TableName": "t", "Key": key("A#1")}), &|_| Some("PK".to_owned()));
        policies.authorise(Some("f"), &demands).unwrap();
        policies.unneeded().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(unneeded(vec![get.clone(), elsewhere]), ["f: B#* of 0"]);
    let all = ["dynamodb:GetItem of 0", TABLE, "A#*", "B#*", "dynamodb:GetItem of 1", "dynamodb:PutItem of 1", TABLE];
    assert_eq!(unneeded(vec![get, wide]).len(), all.len(), "either would do");
}

#[test]
fn what_is_not_understood_is_refused_unless_no_call_of_it_comes_here() {
    let strange = |action: &str| json!({"Action": action, "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}});
    let error = read(strange("s3:GetObject")).unwrap_err().to_string();
    assert_eq!(error, "F[0]: the condition DateLessThan on aws:CurrentTime is not understood here");
    assert!(read(strange("transcribe:StartTranscriptionJob")).is_ok());
    let key =
        json!({"Action": "dynamodb:GetItem", "Resource": "*", "Condition": {"StringLike": {"dynamodb:Select": "x"}}});
    assert!(read(key).is_err());
    assert!(read(json!({"NotAction": "s3:GetObject", "Resource": "*"})).is_err());
}

#[test]
fn the_policies_of_this_project_name_each_action_and_say_why_where_they_name_no_resource() {
    for function in Template::of_this_project().unwrap().functions {
        for Statement { place, actions, .. } in function.statements {
            assert!(!actions.iter().any(|action| action.contains(['*', '?'])), "{place} allows {actions:?}");
        }
    }
    let text = include_str!("../../../../template.yaml");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for (number, line) in lines.iter().enumerate() {
        if line.contains("Resource: \"*\"") || line.contains("Resource: '*'") {
            let statement = lines[..=number].iter().rposition(|line| line.starts_with("- ")).unwrap();
            assert!(lines[statement - 1].starts_with('#'), "line {}: say why any resource", number + 1);
        }
    }
}

#[test]
fn leading_keys_are_asked_of_actions_that_have_them() {
    for function in Template::of_this_project().unwrap().functions {
        for Statement { place, actions, conditions, .. } in function.statements {
            let asks = conditions.iter().any(|condition| condition.key == "dynamodb:LeadingKeys");
            let has = |action: &String| action.ends_with("Item");
            assert!(!asks || actions.iter().all(has), "{place}: a condition on all of no keys holds");
        }
    }
}
