//! DynamoDB: `dynoxide` on SQLite, and tables as CloudFormation defines them.

use std::path::Path;

use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::StartError;

/// The properties of `AWS::DynamoDB::Table` that `CreateTable` takes under the same name and in the same shape.
/// The others say how AWS runs the table, which an emulator does not.
const SHARED_PROPERTIES: [&str; 6] = [
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "BillingMode",
];

/// A table as it is deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDefinition {
    name: String,
    request: Value,
    time_to_live: Option<Value>,
}

impl TableDefinition {
    /// Reads the properties of an `AWS::DynamoDB::Table`, its name being `name`.
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

    /// The name of its partition key.
    pub(crate) fn partition_key(&self) -> &str {
        let keys = self.request["KeySchema"].as_array().into_iter().flatten();
        let partition = keys.into_iter().find(|key| key["KeyType"] == "HASH");
        partition.and_then(|key| key["AttributeName"].as_str()).unwrap_or_default()
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The database behind the emulated DynamoDB.
#[derive(Clone)]
pub(crate) struct Database(dynoxide::Database);

impl std::fmt::Debug for Database {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Database")
    }
}

fn refused(error: impl ToString) -> StartError {
    StartError::Database(error.to_string())
}

impl Database {
    pub(crate) fn in_memory() -> Result<Self, StartError> {
        dynoxide::Database::memory().map(Self).map_err(refused)
    }

    pub(crate) fn in_file(path: &Path) -> Result<Self, StartError> {
        let path = path.to_str().ok_or_else(|| refused("the path is not UTF-8"))?;
        dynoxide::Database::new(path).map(Self).map_err(refused)
    }

    /// Answers on `listener` for as long as the returned future is polled.
    pub(crate) async fn serve(self, listener: TcpListener) {
        if let Err(error) = dynoxide::server::serve_with_shutdown(listener, self.0, std::future::pending()).await {
            tracing::error!(%error, "DynamoDB stopped");
        }
    }

    pub(crate) fn create_table(&self, definition: &TableDefinition) -> Result<(), StartError> {
        let known = self.0.get_table_metadata(&definition.name).map_err(refused)?;
        if known.is_some() {
            return Ok(());
        }
        let request = serde_json::from_value(definition.request.clone()).map_err(refused)?;
        self.0.create_table(request).map_err(refused)?;
        if let Some(specification) = &definition.time_to_live {
            let request = json!({"TableName": definition.name, "TimeToLiveSpecification": specification});
            let request = serde_json::from_value(request).map_err(refused)?;
            self.0.update_time_to_live(request).map_err(refused)?;
        }
        Ok(())
    }
}
