//! EventBridge event patterns: which events a rule takes.

use serde_json::{Map, Value};

/// Whether `event` matches `pattern`: every field that the pattern names must match one of its alternatives.
#[must_use]
pub fn matches(pattern: &Value, event: &Value) -> bool {
    pattern.as_object().is_some_and(|fields| fields_match(fields, Some(event)))
}

/// Whether the pattern uses only what [`matches()`] understands; the error names what it does not.
///
/// # Errors
/// The operator, or the field whose alternatives are no list.
pub fn check(pattern: &Value) -> Result<(), String> {
    let fields = pattern.as_object().ok_or("a pattern is an object")?;
    for (name, alternatives) in fields {
        match alternatives {
            Value::Object(_) => check(alternatives)?,
            Value::Array(alternatives) => alternatives.iter().try_for_each(check_alternative)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(format!("the alternatives of {name} are no list"));
            }
        }
    }
    Ok(())
}

fn check_alternative(alternative: &Value) -> Result<(), String> {
    let Some((operator, argument)) = operator(alternative) else { return Ok(()) };
    match (operator, argument) {
        ("prefix" | "suffix" | "equals-ignore-case", Value::String(_)) | ("exists", Value::Bool(_)) => Ok(()),
        ("anything-but", Value::Object(_)) => check_alternative(argument),
        ("anything-but", _) => Ok(()),
        _ => Err(format!("the operator {operator} with {argument} is not understood here")),
    }
}

fn operator(alternative: &Value) -> Option<(&str, &Value)> {
    let (operator, argument) = alternative.as_object()?.iter().next()?;
    Some((operator, argument))
}

fn fields_match(fields: &Map<String, Value>, event: Option<&Value>) -> bool {
    fields.iter().all(|(name, alternatives)| {
        let value = event.and_then(|event| event.get(name));
        match alternatives {
            Value::Object(nested) => fields_match(nested, value),
            Value::Array(alternatives) => {
                alternatives.iter().any(|alternative| alternative_matches(alternative, value))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    })
}

fn alternative_matches(alternative: &Value, value: Option<&Value>) -> bool {
    if let Some(("exists", expected)) = operator(alternative) {
        return expected.as_bool() == Some(value.is_some());
    }
    match value {
        // A list matches when one of its members does.
        Some(Value::Array(members)) => members.iter().any(|member| scalar_matches(alternative, member)),
        Some(value) => scalar_matches(alternative, value),
        None => false,
    }
}

fn scalar_matches(alternative: &Value, value: &Value) -> bool {
    let Some((operator, argument)) = operator(alternative) else { return alternative == value };
    let both = value.as_str().zip(argument.as_str());
    match operator {
        "prefix" => both.is_some_and(|(text, start)| text.starts_with(start)),
        "suffix" => both.is_some_and(|(text, end)| text.ends_with(end)),
        "equals-ignore-case" => both.is_some_and(|(text, other)| text.eq_ignore_ascii_case(other)),
        "anything-but" => match argument.as_array() {
            Some(excluded) => !excluded.contains(value),
            None => !scalar_matches(argument, value),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({"source": "capstan", "detail-type": "recording.uploaded", "resources": ["a", "b"],
               "detail": {"id": "rec_1", "size": 3, "gone": null}})
    }

    #[test]
    fn every_named_field_must_match_one_of_its_alternatives() {
        for (pattern, expected) in [
            (json!({"source": ["capstan"]}), true),
            (json!({"source": ["other", "capstan"], "detail-type": ["recording.uploaded"]}), true),
            (json!({"source": ["capstan"], "detail-type": ["recording.created"]}), false),
            (json!({"detail": {"size": [3]}}), true),
            (json!({"detail": {"size": ["3"]}}), false),
            (json!({"detail": {"gone": [null]}}), true),
            (json!({"detail": {"missing": [null]}}), false),
            (json!({"resources": ["b"]}), true),
            (json!({"source": [{"prefix": "cap"}]}), true),
            (json!({"source": [{"suffix": "cap"}]}), false),
            (json!({"source": [{"equals-ignore-case": "CAPSTAN"}]}), true),
            (json!({"source": [{"anything-but": ["aws.s3", "aws.ec2"]}]}), true),
            (json!({"source": [{"anything-but": "capstan"}]}), false),
            (json!({"source": [{"anything-but": {"prefix": "cap"}}]}), false),
            (json!({"detail": {"missing": [{"exists": false}]}}), true),
            (json!({"detail": {"id": [{"exists": false}]}}), false),
            (json!({"nowhere": {"id": [{"exists": false}]}}), true),
        ] {
            assert_eq!(check(&pattern), Ok(()), "{pattern}");
            assert_eq!(matches(&pattern, &event()), expected, "{pattern}");
        }
    }

    #[test]
    fn an_unsupported_pattern_is_an_error() {
        assert!(check(&json!({"detail": {"size": [{"numeric": [">", 1]}]}})).unwrap_err().contains("numeric"));
        assert!(check(&json!({"source": "capstan"})).unwrap_err().contains("source"));
    }
}
