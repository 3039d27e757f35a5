//! Placeholders for the names and values in DynamoDB's expressions.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::attributes::Path;
use crate::condition::Condition;

/// Names and values of the expressions of one request.
///
/// Placeholders are numbers, and equal names or values share one: DynamoDB limits an expression to 4 KB, and a change of
/// a hundred media files comes near to that.
#[derive(Default)]
pub(crate) struct Placeholders {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Placeholders {
    pub(crate) fn path(&mut self, path: &Path) -> String {
        path.names().map(|name| self.name(name)).collect::<Vec<_>>().join(".")
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

/// The expressions of one request, with their placeholders.
#[derive(Default)]
pub(crate) struct Expressions {
    /// The update expression; `None` where an item is put or deleted.
    pub(crate) update: Option<String>,
    /// The condition expression.
    pub(crate) condition: Option<String>,
    /// Names by placeholder.
    pub(crate) names: Option<HashMap<String, String>>,
    /// Values by placeholder.
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

impl Expressions {
    /// Of a condition and the update that it guards.
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
