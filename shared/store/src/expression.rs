//! Names and values as DynamoDB's expressions hold them: beside the expression, behind placeholders.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::condition::Condition;

/// The names and the values that expressions speak of.
///
/// Placeholders are numbers, and the same name or value has one: an expression may hold 4 KB, which a change of a hundred
/// media comes near to.
#[derive(Default)]
pub(crate) struct Placeholders {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Placeholders {
    pub(crate) fn path(&mut self, path: &str) -> String {
        path.split('.').map(|name| self.name(name)).collect::<Vec<_>>().join(".")
    }

    fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().find(|(_, known)| *known == name).map(|(placeholder, _)| placeholder.clone());
        known.unwrap_or_else(|| {
            let placeholder = format!("#{}", self.names.len());
            self.names.insert(placeholder.clone(), name.to_owned());
            placeholder
        })
    }

    pub(crate) fn value(&mut self, value: &AttributeValue) -> String {
        let known = self.values.iter().find(|(_, known)| *known == value).map(|(placeholder, _)| placeholder.clone());
        known.unwrap_or_else(|| {
            let placeholder = format!(":{}", self.values.len());
            self.values.insert(placeholder.clone(), value.clone());
            placeholder
        })
    }
}

/// What is to be done to an item and what is required of it, as a request holds it.
#[derive(Default)]
pub(crate) struct Expressions {
    /// What changes; nothing where an item is put or deleted.
    pub(crate) update: Option<String>,
    /// What is required.
    pub(crate) condition: Option<String>,
    /// The names that both speak of.
    pub(crate) names: Option<HashMap<String, String>>,
    /// The values that both speak of.
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

impl Expressions {
    /// Of what is required, and what changes if it holds.
    pub(crate) fn of(condition: &Condition, update: impl FnOnce(&mut Placeholders) -> Option<String>) -> Self {
        let mut placeholders = Placeholders::default();
        let update = update(&mut placeholders);
        let condition = Some(condition.expression(&mut placeholders));
        // DynamoDB takes no empty map.
        let names = Some(placeholders.names).filter(|names| !names.is_empty());
        let values = Some(placeholders.values).filter(|values| !values.is_empty());
        Self { update, condition, names, values }
    }
}
