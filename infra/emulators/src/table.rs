//! DynamoDB emulated by `dynoxide` on SQLite, with table definitions from CloudFormation.

use std::path::Path;

use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::StartError;

/// Properties of `AWS::DynamoDB::Table` that have the same name and shape in `CreateTable`.
/// The other properties configure operations such as backups, which are not emulated.
const SHARED_PROPERTIES: [&str; 6] = [
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "BillingMode",
];

/// Definition of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDefinition {
    name: String,
    request: Value,
    time_to_live: Option<Value>,
}

impl TableDefinition {
    /// Create the definition of the table `name` from the properties of an `AWS::DynamoDB::Table`.
    #[must_use]
    pub fn from_properties(name: &str, properties: &Value) -> Self {
        let mut request: Map<String, Value> = SHARED_PROPERTIES
            .iter()
            .filter_map(|property| Some(((*property).to_owned(), properties.get(property)?.clone())))
            .collect();
        request.insert("TableName".to_owned(), name.into());
        Self {
            name: name.to_owned(),
            request: Value::Object(request),
            time_to_live: properties.get("TimeToLiveSpecification").cloned(),
        }
    }

    /// Name of the partition key.
    pub(crate) fn partition_key(&self) -> &str {
        let keys = self.request["KeySchema"].as_array().into_iter().flatten();
        let partition = keys.into_iter().find(|key| key["KeyType"] == "HASH");
        partition.and_then(|key| key["AttributeName"].as_str()).unwrap_or_default()
    }

    /// Name of the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// SQLite database of the emulated DynamoDB.
#[derive(Clone)]
pub(crate) struct Database(dynoxide::Database);

impl std::fmt::Debug for Database {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Database")
    }
}

fn database_error(error: impl ToString) -> StartError {
    StartError::Database(error.to_string())
}

impl Database {
    pub(crate) fn in_memory() -> Result<Self, StartError> {
        dynoxide::Database::memory().map(Self).map_err(database_error)
    }

    pub(crate) fn in_file(path: &Path) -> Result<Self, StartError> {
        let path = path.to_str().ok_or_else(|| database_error("the path is not UTF-8"))?;
        dynoxide::Database::new(path).map(Self).map_err(database_error)
    }

    /// Serve requests on `listener` until the returned future is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        if let Err(error) = dynoxide::server::serve_with_shutdown(listener, self.0, std::future::pending()).await {
            tracing::error!(%error, "DynamoDB server stopped");
        }
    }

    pub(crate) fn create_table(&self, definition: &TableDefinition) -> Result<(), StartError> {
        let existing = self.0.get_table_metadata(&definition.name).map_err(database_error)?;
        if existing.is_some() {
            return Ok(());
        }
        let request = serde_json::from_value(definition.request.clone()).map_err(database_error)?;
        self.0.create_table(request).map_err(database_error)?;
        if let Some(specification) = &definition.time_to_live {
            let request = json!({"TableName": definition.name, "TimeToLiveSpecification": specification});
            let request = serde_json::from_value(request).map_err(database_error)?;
            self.0.update_time_to_live(request).map_err(database_error)?;
        }
        Ok(())
    }
}
