//! A statement of a policy: read from the template, and held against one demand.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::demand::Demand;
use crate::template::TemplateError;

/// The services whose calls are held against the policies.
const EMULATED: [&str; 3] = ["dynamodb", "events", "s3"];
/// The condition keys that a demand can have. A condition on any other would be taken for met or unmet by mistake.
const CONDITION_KEYS: [&str; 4] =
    ["dynamodb:Attributes", "dynamodb:EnclosingOperation", "dynamodb:LeadingKeys", "dynamodb:ReturnValues"];

/// Whether a statement gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It gives.
    Allow,
    /// It takes, whatever others give.
    Deny,
}

/// Some actions on some resources under some conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Where the template has it, such as `NoteUsePolicy[0]`.
    pub place: String,
    /// Whether it gives or takes.
    pub effect: Effect,
    /// Actions, in which `*` and `?` stand for any characters and any one character.
    pub actions: Vec<String>,
    /// ARNs, with the same wildcards.
    pub resources: Vec<String>,
    /// All must hold. Not read where no action is of an emulated service.
    pub conditions: Vec<Condition>,
}

/// What a key of the request's context must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The key, such as `dynamodb:LeadingKeys`.
    pub key: String,
    /// One of these must match.
    pub values: Vec<String>,
    comparison: Comparison,
    quantifier: Quantifier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equals,
    Like,
    /// As a boolean, which may be written in any case.
    Bool,
}

/// How many of the context's values must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// The one that must be there.
    One,
    /// The one, if it is there.
    OneIfExists,
    /// Every one, so also none.
    All,
    /// At least one.
    Any,
}

impl Statement {
    /// Reads a statement whose intrinsic functions are evaluated.
    pub(crate) fn read(statement: &Value, place: String) -> Result<Self, TemplateError> {
        let unclear = |what: &str| TemplateError::at(&place, what);
        let effect = match statement["Effect"].as_str() {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(unclear("the effect is Allow or Deny")),
        };
        let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
        if actions.is_empty() || resources.is_empty() {
            return Err(unclear("a statement names actions and resources"));
        }
        let mut read = Self { place: place.clone(), effect, actions, resources, conditions: Vec::new() };
        if read.is_emulated() {
            for (operator, tests) in statement["Condition"].as_object().unwrap_or(&Map::new()) {
                for (key, values) in tests.as_object().unwrap_or(&Map::new()) {
                    let condition = Condition::read(operator, key, values);
                    read.conditions.push(condition.ok_or_else(|| {
                        unclear(&format!("the condition {operator} on {key} is not understood here"))
                    })?);
                }
            }
        }
        Ok(read)
    }

    /// Whether it speaks of a service whose calls are held against it.
    pub(crate) fn is_emulated(&self) -> bool {
        self.actions.iter().any(|action| action.split(':').next().is_some_and(|service| EMULATED.contains(&service)))
    }

    /// The parts without which it would not cover a demand; `None` when it does not.
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

    /// All parts of it that a call may need: actions, resources, and the values of conditions that are not optional.
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
        let is_known = CONDITION_KEYS.contains(&key);
        is_known.then(|| Self { key: key.to_owned(), values: texts(values), comparison, quantifier })
    }

    /// The values without which it would not hold; `None` when it does not.
    fn met_by(&self, context: &BTreeMap<&'static str, Vec<String>>) -> Option<Vec<&str>> {
        let given = context.get(self.key.as_str()).map_or(&[][..], Vec::as_slice);
        match self.quantifier {
            Quantifier::OneIfExists | Quantifier::All if given.is_empty() => Some(Vec::new()),
            Quantifier::OneIfExists | Quantifier::All => {
                needed_of(&self.values, given, |value, given| self.compare(value, given))
            }
            Quantifier::One | Quantifier::Any => {
                let met = given.iter().find(|given| self.values.iter().any(|value| self.compare(value, given)))?;
                needed_of(&self.values, &[met], |value, given| self.compare(value, given))
            }
        }
    }

    fn compare(&self, value: &str, given: &str) -> bool {
        match self.comparison {
            Comparison::Equals => value == given,
            Comparison::Like => is_like(value, given),
            Comparison::Bool => value.eq_ignore_ascii_case(given),
        }
    }
}

/// Those of the patterns without which one of the texts would match none; `None` when one matches none.
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

/// Whether the text is like the pattern, in which `*` stands for any characters and `?` for any one.
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

/// One text or several.
fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().map(text).collect(),
        one => vec![text(one)],
    }
}
