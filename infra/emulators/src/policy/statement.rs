//! Policy statements: parse them from the template, and match them against a demand.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::demand::Demand;
use crate::template::TemplateError;

/// Services with enforced policies.
const EMULATED: [&str; 3] = ["dynamodb", "events", "s3"];
/// Condition keys that demands provide. Other keys are rejected because their conditions could not be evaluated.
const CONDITION_KEYS: [&str; 4] =
    ["dynamodb:Attributes", "dynamodb:EnclosingOperation", "dynamodb:LeadingKeys", "dynamodb:ReturnValues"];

/// Effect of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Allows the actions.
    Allow,
    /// Denies the actions, even if another statement allows them.
    Deny,
}

/// One statement of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Location in the template, such as `NoteUsePolicy[0]`.
    pub location: String,
    /// Whether the statement allows or denies.
    pub effect: Effect,
    /// Action patterns: `*` matches any characters, `?` matches one character.
    pub actions: Vec<String>,
    /// ARN patterns with the same wildcards.
    pub resources: Vec<String>,
    /// All conditions must hold. Empty if no action belongs to an emulated service.
    pub conditions: Vec<Condition>,
}

/// Condition on a key of the request context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Condition key, such as `dynamodb:LeadingKeys`.
    pub key: String,
    /// Accepted values. One of them must match.
    pub values: Vec<String>,
    comparison: Comparison,
    quantifier: Quantifier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equals,
    Like,
    /// Case-insensitive comparison of booleans.
    Bool,
}

/// How many values of the request context must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// Exactly one value, which must be present.
    One,
    /// The value, if present.
    OneIfExists,
    /// All values. Holds if there are none.
    All,
    /// At least one value.
    Any,
}

impl Statement {
    /// Parse a statement. Its intrinsic functions must already be evaluated.
    pub(crate) fn read(statement: &Value, location: String) -> Result<Self, TemplateError> {
        let invalid = |reason: &str| TemplateError::at(&location, reason);
        let effect = match statement["Effect"].as_str() {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(invalid("Effect must be Allow or Deny")),
        };
        let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
        if actions.is_empty() || resources.is_empty() {
            return Err(invalid("Action and Resource are required"));
        }
        let mut parsed = Self { location: location.clone(), effect, actions, resources, conditions: Vec::new() };
        if parsed.is_emulated() {
            for (operator, tests) in statement["Condition"].as_object().unwrap_or(&Map::new()) {
                for (key, values) in tests.as_object().unwrap_or(&Map::new()) {
                    let condition = Condition::read(operator, key, values);
                    parsed.conditions.push(
                        condition
                            .ok_or_else(|| invalid(&format!("the condition {operator} on {key} is not supported")))?,
                    );
                }
            }
        }
        Ok(parsed)
    }

    /// Whether an action belongs to an emulated service, so that the statement is enforced.
    pub(crate) fn is_emulated(&self) -> bool {
        self.actions.iter().any(|action| action.split(':').next().is_some_and(|service| EMULATED.contains(&service)))
    }

    /// Elements that the statement needs to cover a demand. `None` if the statement does not cover the demand.
    pub(super) fn covers(&self, demand: &Demand) -> Option<Vec<&str>> {
        let (action, resource) = (demand.action.to_lowercase(), demand.resource.as_str());
        let mut needed =
            needed_of(&self.actions, &[action], |pattern, action| is_like(&pattern.to_lowercase(), action))?;
        needed.extend(needed_of(&self.resources, &[resource], is_like)?);
        for condition in &self.conditions {
            needed.extend(condition.met_by(&demand.context)?);
        }
        Some(needed)
    }

    /// All elements that a call may need: actions, resources, and values of conditions that are not optional.
    pub(super) fn elements(&self) -> Vec<&str> {
        let needed = self.conditions.iter().filter(|condition| condition.quantifier != Quantifier::OneIfExists);
        let values = needed.flat_map(|condition| &condition.values);
        self.actions.iter().chain(&self.resources).chain(values).map(String::as_str).collect()
    }
}

impl Condition {
    fn read(operator: &str, key: &str, values: &Value) -> Option<Self> {
        let (quantifier, operator) = match operator.split_once(':') {
            Some(("ForAllValues", operator)) => (Quantifier::All, operator),
            Some(("ForAnyValue", operator)) => (Quantifier::Any, operator),
            Some(_) => return None,
            None => match operator.strip_suffix("IfExists") {
                Some(operator) => (Quantifier::OneIfExists, operator),
                None => (Quantifier::One, operator),
            },
        };
        let comparison = match operator {
            "StringEquals" => Comparison::Equals,
            "StringLike" => Comparison::Like,
            "Bool" => Comparison::Bool,
            _ => return None,
        };
        let is_supported = CONDITION_KEYS.contains(&key);
        is_supported.then(|| Self { key: key.to_owned(), values: texts(values), comparison, quantifier })
    }

    /// Values that the condition needs to hold. `None` if the condition does not hold.
    fn met_by(&self, context: &BTreeMap<&'static str, Vec<String>>) -> Option<Vec<&str>> {
        let actual = context.get(self.key.as_str()).map_or(&[][..], Vec::as_slice);
        match self.quantifier {
            Quantifier::OneIfExists | Quantifier::All if actual.is_empty() => Some(Vec::new()),
            Quantifier::OneIfExists | Quantifier::All => {
                needed_of(&self.values, actual, |value, actual| self.compare(value, actual))
            }
            Quantifier::One | Quantifier::Any => {
                let met = actual.iter().find(|actual| self.values.iter().any(|value| self.compare(value, actual)))?;
                needed_of(&self.values, &[met], |value, actual| self.compare(value, actual))
            }
        }
    }

    fn compare(&self, value: &str, actual: &str) -> bool {
        match self.comparison {
            Comparison::Equals => value == actual,
            Comparison::Like => is_like(value, actual),
            Comparison::Bool => value.eq_ignore_ascii_case(actual),
        }
    }
}

/// Patterns that are the only match of a text. `None` if a text matches no pattern.
fn needed_of<'a, T: AsRef<str>>(
    patterns: &'a [String],
    texts: &[T],
    matches: impl Fn(&str, &str) -> bool,
) -> Option<Vec<&'a str>> {
    let mut needed = Vec::new();
    for text in texts {
        let mut found = patterns.iter().map(String::as_str).filter(|pattern| matches(pattern, text.as_ref()));
        let first = found.next()?;
        if found.next().is_none() {
            needed.push(first);
        }
    }
    Some(needed)
}

/// Whether the text matches the pattern: `*` matches any characters, `?` matches one character.
fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            text.char_indices().any(|(at, _)| is_like(rest, &text[at..])) || is_like(rest, "")
        }
        Some(first) => text.chars().next().is_some_and(|found| {
            (first == '?' || first == found) && is_like(&pattern[first.len_utf8()..], &text[found.len_utf8()..])
        }),
    }
}

/// The texts of a value: one string or an array.
fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().map(text).collect(),
        one => vec![text(one)],
    }
}
