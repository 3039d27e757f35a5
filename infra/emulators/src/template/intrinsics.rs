//! Evaluate `!Ref`, `!Sub`, `!GetAtt`, `!Join`, `!Split`, `!Select`, `!If` and conditions for the local stack.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::TemplateError;
use crate::{ACCOUNT, REGION};

/// Name of the stack. Part of the names of table, bucket and bus.
const STACK: &str = "capstan";
const PARTITION: &str = "aws";

/// Parameters, conditions and resources of one template, which intrinsic functions refer to.
pub(super) struct Scope<'a> {
    parameters: BTreeMap<&'a str, Value>,
    conditions: &'a Map<String, Value>,
    resources: &'a Map<String, Value>,
}

static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

fn section<'a>(template: &'a Value, name: &str) -> &'a Map<String, Value> {
    template.get(name).and_then(Value::as_object).unwrap_or(&EMPTY)
}

impl<'a> Scope<'a> {
    /// Create a scope with parameters from `given`, or their defaults if not given.
    pub(super) fn new(template: &'a Value, given: &[(&str, &str)]) -> Self {
        let value = |name: &str, definition: &Value| {
            given
                .iter()
                .find(|(given_name, _)| *given_name == name)
                .map_or_else(|| definition["Default"].clone(), |(_, value)| (*value).into())
        };
        Self {
            parameters: section(template, "Parameters")
                .iter()
                .map(|(name, definition)| (name.as_str(), value(name, definition)))
                .collect(),
            conditions: section(template, "Conditions"),
            resources: section(template, "Resources"),
        }
    }

    pub(super) fn resources(&self) -> &'a Map<String, Value> {
        self.resources
    }

    /// Replace every intrinsic function in `value` by its result.
    pub(super) fn evaluate(&self, value: &Value, location: &str) -> Result<Value, TemplateError> {
        Ok(self.optional(value, location)?.unwrap_or(Value::Null))
    }

    /// Like [`Self::evaluate`], but `None` for `AWS::NoValue`, which removes the property or element.
    fn optional(&self, value: &Value, location: &str) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::Object(entries) => {
                if let Some((name, argument)) = intrinsic(entries) {
                    return self.call(name, argument, location);
                }
                let mut evaluated = Map::new();
                for (key, value) in entries {
                    if let Some(value) = self.optional(value, &format!("{location}.{key}"))? {
                        evaluated.insert(key.clone(), value);
                    }
                }
                Ok(Some(Value::Object(evaluated)))
            }
            Value::Array(items) => {
                let mut evaluated = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    evaluated.extend(self.optional(item, &format!("{location}[{index}]"))?);
                }
                Ok(Some(Value::Array(evaluated)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Some(value.clone())),
        }
    }

    fn call(&self, name: &str, argument: &Value, location: &str) -> Result<Option<Value>, TemplateError> {
        let text = |value: String| Ok(Some(Value::String(value)));
        match (name, argument) {
            ("Ref", Value::String(target)) if target == "AWS::NoValue" => Ok(None),
            ("Ref", Value::String(target)) => self.reference(target, location).map(Some),
            ("Fn::GetAtt", Value::String(path)) => match path.split_once('.') {
                Some((resource, attribute)) => text(self.attribute(resource, attribute, location)?),
                None => Err(TemplateError::at(location, "GetAtt requires a resource and an attribute")),
            },
            ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(resource), Value::String(attribute)] => {
                    text(self.attribute(resource, attribute, location)?)
                }
                _ => Err(TemplateError::at(location, "GetAtt requires a resource and an attribute")),
            },
            ("Fn::Sub", Value::String(pattern)) => text(self.substitute(pattern, &Map::new(), location)?),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(pattern), Value::Object(names)] => text(self.substitute(pattern, names, location)?),
                _ => Err(TemplateError::at(location, "Sub requires a string and a mapping")),
            },
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(separator), list] => {
                    let list = self.evaluate(list, location)?;
                    let items: Vec<String> = list.as_array().into_iter().flatten().map(plain_text).collect();
                    text(items.join(separator))
                }
                _ => Err(TemplateError::at(location, "Join requires a separator and a list")),
            },
            ("Fn::Split", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(separator), joined] => {
                    let joined = plain_text(&self.evaluate(joined, location)?);
                    Ok(Some(joined.split(separator.as_str()).map(Value::from).collect()))
                }
                _ => Err(TemplateError::at(location, "Split requires a separator and a string")),
            },
            ("Fn::Select", Value::Array(parts)) => match parts.as_slice() {
                [index, list] => {
                    let index = plain_text(index).parse::<usize>().unwrap_or(usize::MAX);
                    let list = self.evaluate(list, location)?;
                    let chosen = list.get(index).cloned();
                    chosen.map(Some).ok_or_else(|| TemplateError::at(location, "the index of Select is out of range"))
                }
                _ => Err(TemplateError::at(location, "Select requires an index and a list")),
            },
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(condition), then, otherwise] => {
                    let chosen = if self.condition(condition, location)? { then } else { otherwise };
                    self.optional(chosen, location)
                }
                _ => Err(TemplateError::at(location, "If requires a condition and two values")),
            },
            _ => Err(TemplateError::at(location, &format!("{name} with this argument is not supported"))),
        }
    }

    /// Evaluate the condition with this name.
    pub(super) fn condition(&self, name: &str, location: &str) -> Result<bool, TemplateError> {
        let definition = self
            .conditions
            .get(name)
            .ok_or_else(|| TemplateError::at(location, &format!("the condition {name} does not exist")))?;
        self.holds(definition, &format!("Conditions.{name}"))
    }

    fn holds(&self, definition: &Value, location: &str) -> Result<bool, TemplateError> {
        let unsupported = || TemplateError::at(location, "this condition is not supported");
        let (name, argument) = definition.as_object().and_then(intrinsic).ok_or_else(unsupported)?;
        if name == "Condition" {
            return self.condition(argument.as_str().ok_or_else(unsupported)?, location);
        }
        let arguments = argument.as_array().ok_or_else(unsupported)?;
        match (name, arguments.as_slice()) {
            ("Fn::Equals", [left, right]) => {
                let left = self.evaluate(left, location)?;
                let right = self.evaluate(right, location)?;
                Ok(plain_text(&left) == plain_text(&right))
            }
            ("Fn::Not", [inner]) => Ok(!self.holds(inner, location)?),
            ("Fn::And", all) => all.iter().try_fold(true, |result, one| Ok(self.holds(one, location)? && result)),
            ("Fn::Or", any) => any.iter().try_fold(false, |result, one| Ok(self.holds(one, location)? || result)),
            _ => Err(unsupported()),
        }
    }

    fn substitute(&self, pattern: &str, names: &Map<String, Value>, location: &str) -> Result<String, TemplateError> {
        let mut result = String::new();
        let mut rest = pattern;
        while let Some((before, after_open)) = rest.split_once("${") {
            let (name, after) = after_open.split_once('}').ok_or_else(|| TemplateError::at(location, "unclosed ${"))?;
            result.push_str(before);
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
            } else if let Some(value) = names.get(name) {
                result.push_str(&plain_text(&self.evaluate(value, location)?));
            } else if let Some((resource, attribute)) = name.split_once('.') {
                result.push_str(&self.attribute(resource, attribute, location)?);
            } else {
                result.push_str(&plain_text(&self.reference(name, location)?));
            }
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }

    fn reference(&self, target: &str, location: &str) -> Result<Value, TemplateError> {
        let pseudo = match target {
            "AWS::Region" => REGION,
            "AWS::AccountId" => ACCOUNT,
            "AWS::StackName" => STACK,
            "AWS::Partition" => PARTITION,
            "AWS::URLSuffix" => "amazonaws.com",
            _ => "",
        };
        if !pseudo.is_empty() {
            return Ok(pseudo.into());
        }
        match self.parameters.get(target) {
            Some(Value::Null) => Err(TemplateError::at(
                location,
                &format!("the parameter {target} has no default and no value was given"),
            )),
            Some(value) => Ok(value.clone()),
            None => self.physical_name(target, location).map(Value::String),
        }
    }

    /// Result of `!Ref` for a resource: its physical name.
    pub(super) fn physical_name(&self, resource: &str, location: &str) -> Result<String, TemplateError> {
        let definition = self
            .resources
            .get(resource)
            .ok_or_else(|| TemplateError::at(location, &format!("{resource} is neither a parameter nor a resource")))?;
        let property = match definition["Type"].as_str().unwrap_or_default() {
            "AWS::DynamoDB::Table" => "TableName",
            "AWS::S3::Bucket" => "BucketName",
            "AWS::Events::EventBus" => "Name",
            _ => return Ok(resource.to_owned()),
        };
        match definition["Properties"].get(property) {
            Some(name) => {
                let name = self.evaluate(name, &format!("Resources.{resource}.Properties.{property}"))?;
                Ok(plain_text(&name))
            }
            None => Ok(format!("{STACK}-{resource}").to_lowercase()),
        }
    }

    fn attribute(&self, resource: &str, attribute: &str, location: &str) -> Result<String, TemplateError> {
        let name = self.physical_name(resource, location)?;
        let kind = self.resources[resource]["Type"].as_str().unwrap_or_default();
        let path = match (kind, attribute) {
            ("AWS::DynamoDB::Table", "Arn") => format!("dynamodb:{REGION}:{ACCOUNT}:table/{name}"),
            ("AWS::S3::Bucket", "Arn") => format!("s3:::{name}"),
            ("AWS::Events::EventBus", "Arn") => format!("events:{REGION}:{ACCOUNT}:event-bus/{name}"),
            ("AWS::Events::EventBus", "Name") => return Ok(name),
            ("AWS::SQS::Queue", "Arn") => format!("sqs:{REGION}:{ACCOUNT}:{name}"),
            ("AWS::Serverless::Function" | "AWS::Lambda::Function", "Arn") => {
                format!("lambda:{REGION}:{ACCOUNT}:function:{name}")
            }
            // Resources that are not emulated appear in policies only.
            (_, "Arn") => {
                let service = kind.split("::").nth(1).unwrap_or_default().to_lowercase();
                format!("{service}:{REGION}:{ACCOUNT}:{name}")
            }
            _ => {
                return Err(TemplateError::at(
                    location,
                    &format!("the attribute {resource}.{attribute} is not supported"),
                ));
            }
        };
        Ok(format!("arn:{PARTITION}:{path}"))
    }
}

fn intrinsic(entries: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = entries.iter().next().filter(|_| entries.len() == 1)?;
    // `Condition` with a string is an intrinsic function. Otherwise it is an element of a policy statement.
    let is_intrinsic = name == "Ref" || name.starts_with("Fn::") || (name == "Condition" && argument.is_string());
    is_intrinsic.then_some((name.as_str(), argument))
}

/// String form of a scalar in CloudFormation.
pub(super) fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
