//! Parse the SAM template: functions with triggers, environment and policies, tables, buckets, API settings.
//!
//! The local stack and the tests use the same template as the deployment.

mod intrinsics;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use self::intrinsics::{Scope, plain_text};
pub use crate::policy::{Condition, Effect, Statement};
use crate::{CorsRule, TableDefinition};

/// Default timeout of Lambda, in seconds.
const DEFAULT_TIMEOUT: u64 = 3;
/// Default memory of Lambda, in MB.
const DEFAULT_MEMORY: u64 = 128;
/// Default size of `/tmp` in MB, which is not billed: <https://aws.amazon.com/lambda/pricing/>.
pub const DEFAULT_STORAGE: u64 = 512;
/// Default number of retries of a failed asynchronous invocation.
const DEFAULT_RETRIES: u64 = 2;

/// Error reading a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Reading the file failed.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The error from the operating system.
        source: std::io::Error,
    },
    /// The text is not valid YAML.
    #[error("the template is not YAML: {0}")]
    Yaml(String),
    /// An element is invalid or not supported.
    #[error("{location}: {reason}")]
    Content {
        /// Path of the element, such as `Resources.Table.Properties.TableName`.
        location: String,
        /// Reason of the error.
        reason: String,
    },
}

impl TemplateError {
    pub(crate) fn at(location: &str, reason: &str) -> Self {
        Self::Content { location: location.trim_start_matches('.').to_owned(), reason: reason.to_owned() }
    }
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Functions, ordered by logical ID.
    pub functions: Vec<Function>,
    /// DynamoDB tables.
    pub tables: Vec<TableDefinition>,
    /// S3 buckets.
    pub buckets: Vec<Bucket>,
    /// CORS configuration of the HTTP API. `None` if the template has none.
    pub api_cors: Option<ApiCors>,
    /// Throttling of the HTTP API.
    pub throttles: Throttles,
}

/// A Lambda function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Logical ID in the template.
    pub logical_id: String,
    /// Name of the binary, from `Metadata.BuildProperties.Binary`.
    pub name: String,
    /// Timeout of one invocation.
    pub timeout: Duration,
    /// Memory in MB.
    pub memory_mb: u64,
    /// Size of `/tmp` in MB.
    pub storage_mb: u64,
    /// Environment variables, including those from `Globals`.
    pub environment: BTreeMap<String, String>,
    /// Number of retries of a failed asynchronous invocation.
    pub retries: u64,
    /// Events that invoke the function.
    pub triggers: Vec<Trigger>,
    /// Statements of the function's policies.
    pub statements: Vec<Statement>,
}

/// Event source of a function.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// A route of the HTTP API.
    Http {
        /// HTTP method such as `GET`, or `ANY`.
        method: String,
        /// Path with `{parameters}`, or `$default`.
        path: String,
    },
    /// Object created in a bucket.
    ObjectCreated {
        /// Name of the bucket.
        bucket: String,
        /// Required prefix of the key. May be empty.
        prefix: String,
        /// Required suffix of the key. May be empty.
        suffix: String,
    },
    /// Event on a bus.
    Event {
        /// Name of the bus.
        bus: String,
        /// EventBridge pattern that the event must match.
        pattern: Value,
    },
    /// Periodic schedule.
    Schedule {
        /// Interval between invocations.
        every: Duration,
    },
}

/// An S3 bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Name of the bucket.
    pub name: String,
    /// CORS rules of the bucket.
    pub cors: Vec<CorsRule>,
}

/// CORS configuration of the HTTP API. Deserialized from CloudFormation's `CorsConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ApiCors {
    /// Allowed origins; `*` allows all.
    pub allow_origins: Vec<String>,
    /// Allowed HTTP methods; `*` allows all.
    pub allow_methods: Vec<String>,
    /// Allowed request headers; `*` allows all.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
    /// Whether requests may include cookies.
    #[serde(deserialize_with = "flag")]
    pub allow_credentials: bool,
    /// Number of seconds that browsers may cache the preflight response.
    pub max_age: Option<u32>,
}

/// Throttling of one route. Deserialized from CloudFormation's route settings.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Throttle {
    /// Steady rate in requests per second.
    #[serde(rename = "ThrottlingRateLimit")]
    pub rate: f64,
    /// Maximum burst, in requests.
    #[serde(rename = "ThrottlingBurstLimit")]
    pub burst: u32,
}

/// Throttling of all routes of the HTTP API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Throttles {
    /// Throttling of routes without an entry in `routes`.
    pub default: Option<Throttle>,
    /// Throttling by route key, such as `GET /v1/recordings` or `$default`.
    pub routes: BTreeMap<String, Throttle>,
}

/// Deserialize a boolean. CloudFormation also accepts booleans as strings.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(plain_text(&Value::deserialize(deserializer)?) == "true")
}

impl Template {
    /// Parse the template of this project with the default parameters.
    ///
    /// # Errors
    ///
    /// Returns an error if the template uses an unsupported CloudFormation feature.
    pub fn of_this_project() -> Result<Self, TemplateError> {
        Self::of_this_project_with(&[])
    }

    /// Parse the template of this project with the given parameters. Other parameters have their defaults.
    ///
    /// # Errors
    ///
    /// Same as [`Self::of_this_project`].
    pub fn of_this_project_with(parameters: &[(&str, &str)]) -> Result<Self, TemplateError> {
        Self::parse(include_str!("../../../../template.yaml"), parameters)
    }

    /// Read and parse a template file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, is not YAML, or uses an unsupported CloudFormation feature.
    pub fn read(path: &Path, parameters: &[(&str, &str)]) -> Result<Self, TemplateError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TemplateError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, parameters)
    }

    /// Parse a template.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not YAML or uses an unsupported CloudFormation feature.
    pub fn parse(text: &str, parameters: &[(&str, &str)]) -> Result<Self, TemplateError> {
        let document = yaml::parse(text)?;
        let scope = Scope::new(&document, parameters);
        let globals = scope.evaluate(&document["Globals"]["Function"]["Environment"], "Globals.Function")?;
        let mut template = Self {
            functions: Vec::new(),
            tables: Vec::new(),
            buckets: Vec::new(),
            api_cors: None,
            throttles: Throttles::default(),
        };
        for (id, resource) in scope.resources() {
            let resource = Resource {
                scope: &scope,
                id,
                properties: &resource["Properties"],
                metadata: &resource["Metadata"],
                globals: &document["Globals"]["Function"],
                condition: &resource["Condition"],
                kind: resource["Type"].as_str().unwrap_or_default(),
            };
            if !resource.exists()? {
                continue;
            }
            match resource.kind {
                "AWS::Serverless::Function" => template.functions.push(resource.function(&globals)?),
                "AWS::DynamoDB::Table" => template.tables.push(resource.table()?),
                "AWS::S3::Bucket" => template.buckets.push(resource.bucket()?),
                "AWS::Serverless::HttpApi" => {
                    template.api_cors = resource.api_cors()?;
                    template.throttles = resource.throttles()?;
                }
                _ => {}
            }
        }
        Ok(template)
    }
}

struct Resource<'a> {
    scope: &'a Scope<'a>,
    id: &'a str,
    kind: &'a str,
    condition: &'a Value,
    properties: &'a Value,
    metadata: &'a Value,
    /// `Globals.Function`: defaults for all functions.
    globals: &'a Value,
}

impl Resource<'_> {
    fn location(&self, property: &str) -> String {
        format!("Resources.{}.Properties.{property}", self.id)
    }

    fn exists(&self) -> Result<bool, TemplateError> {
        match self.condition.as_str() {
            Some(condition) => self.scope.condition(condition, &format!("Resources.{}.Condition", self.id)),
            None => Ok(true),
        }
    }

    /// Evaluated property. Null if the property is missing.
    fn get(&self, property: &str) -> Result<Value, TemplateError> {
        self.scope.evaluate(&self.properties[property], &self.location(property))
    }

    fn read<T: DeserializeOwned>(&self, property: &str, value: Value) -> Result<T, TemplateError> {
        serde_json::from_value(value).map_err(|error| TemplateError::at(&self.location(property), &error.to_string()))
    }

    fn number(&self, property: &str, default: u64) -> Result<u64, TemplateError> {
        let own = self.get(property)?;
        let value = if own.is_null() {
            self.scope.evaluate(&self.globals[property], &format!("Globals.Function.{property}"))?
        } else {
            own
        };
        if value.is_null() {
            return Ok(default);
        }
        plain_text(&value).parse().map_err(|_| TemplateError::at(&self.location(property), "must be an integer"))
    }

    fn table(&self) -> Result<TableDefinition, TemplateError> {
        let name = self.scope.physical_name(self.id, self.id)?;
        let properties = self.scope.evaluate(self.properties, &format!("Resources.{}.Properties", self.id))?;
        Ok(TableDefinition::from_properties(&name, &properties))
    }

    fn bucket(&self) -> Result<Bucket, TemplateError> {
        let rules = self.get("CorsConfiguration")?["CorsRules"].take();
        let cors = if rules.is_null() { Vec::new() } else { self.read("CorsConfiguration.CorsRules", rules)? };
        let name = self.scope.physical_name(self.id, self.id)?;
        Ok(Bucket { name, cors })
    }

    fn api_cors(&self) -> Result<Option<ApiCors>, TemplateError> {
        let configuration = self.get("CorsConfiguration")?;
        if !configuration.is_object() {
            return Ok(None);
        }
        self.read("CorsConfiguration", configuration).map(Some)
    }

    fn throttles(&self) -> Result<Throttles, TemplateError> {
        let default = self.get("DefaultRouteSettings")?;
        let routes = self.get("RouteSettings")?;
        let default = if default["ThrottlingRateLimit"].is_null() { Value::Null } else { default };
        Ok(Throttles {
            default: self.read("DefaultRouteSettings", default)?,
            routes: self.read::<Option<_>>("RouteSettings", routes)?.unwrap_or_default(),
        })
    }

    fn function(&self, globals: &Value) -> Result<Function, TemplateError> {
        let name = self.metadata["BuildProperties"]["Binary"].as_str().unwrap_or_default();
        if name.is_empty() {
            let location = format!("Resources.{}.Metadata.BuildProperties.Binary", self.id);
            return Err(TemplateError::at(&location, "is required: set it to the name of the function's binary"));
        }
        let environment = self.get("Environment")?;
        let variables = |of: &Value| of["Variables"].as_object().cloned().unwrap_or_default();
        let retries = self.get("EventInvokeConfig")?["MaximumRetryAttempts"].as_u64();
        Ok(Function {
            logical_id: self.id.to_owned(),
            name: name.to_owned(),
            timeout: Duration::from_secs(self.number("Timeout", DEFAULT_TIMEOUT)?),
            memory_mb: self.number("MemorySize", DEFAULT_MEMORY)?,
            storage_mb: self.get("EphemeralStorage")?["Size"].as_u64().unwrap_or(DEFAULT_STORAGE),
            environment: variables(globals)
                .iter()
                .chain(&variables(&environment))
                .map(|(name, value)| (name.clone(), plain_text(value)))
                .collect(),
            retries: retries.unwrap_or(DEFAULT_RETRIES),
            triggers: self.triggers()?,
            statements: self.statements()?,
        })
    }

    /// Statements of inline policies and of referenced managed policies of this template.
    fn statements(&self) -> Result<Vec<Statement>, TemplateError> {
        let mut statements = Vec::new();
        for (number, policy) in each(&self.get("Policies")?).iter().enumerate() {
            let location = self.location(&format!("Policies[{number}]"));
            let (of, document) = match policy {
                Value::String(name) => (name.as_str(), self.managed_policy(name, &location)?),
                policy if !policy["Statement"].is_null() => (self.id, policy.clone()),
                _ => return Err(TemplateError::at(&location, "SAM policy templates are not supported")),
            };
            for (number, statement) in each(&document["Statement"]).iter().enumerate() {
                statements.push(Statement::read(statement, format!("{of}[{number}]"))?);
            }
        }
        Ok(statements)
    }

    fn managed_policy(&self, name: &str, location: &str) -> Result<Value, TemplateError> {
        let resource =
            self.scope.resources().get(name).filter(|resource| resource["Type"] == "AWS::IAM::ManagedPolicy");
        let resource = resource
            .ok_or_else(|| TemplateError::at(location, &format!("{name} is not a managed policy of this template")))?;
        self.scope.evaluate(&resource["Properties"]["PolicyDocument"], &format!("Resources.{name}.Properties"))
    }

    fn triggers(&self) -> Result<Vec<Trigger>, TemplateError> {
        let events = self.get("Events")?;
        let mut triggers = Vec::new();
        for (name, event) in events.as_object().unwrap_or(&Map::new()) {
            let location = self.location(&format!("Events.{name}"));
            let properties = &event["Properties"];
            let text = |property: &str| plain_text(&properties[property]);
            triggers.push(match event["Type"].as_str().unwrap_or_default() {
                "HttpApi" if text("Path").is_empty() => {
                    Trigger::Http { method: "ANY".to_owned(), path: "$default".to_owned() }
                }
                "HttpApi" => Trigger::Http { method: text("Method").to_uppercase(), path: text("Path") },
                "S3" => object_created(properties),
                "EventBridgeRule" | "CloudWatchEvent" => Trigger::Event {
                    bus: match text("EventBusName") {
                        name if name.is_empty() => "default".to_owned(),
                        name => name,
                    },
                    pattern: properties["Pattern"].clone(),
                },
                "Schedule" | "ScheduleV2" => Trigger::Schedule {
                    every: rate(&text("Schedule"))
                        .or_else(|| rate(&text("ScheduleExpression")))
                        .ok_or_else(|| TemplateError::at(&location, "only rate(...) schedules are supported"))?,
                },
                other => {
                    return Err(TemplateError::at(&location, &format!("the event type {other} is not supported")));
                }
            });
        }
        Ok(triggers)
    }
}

/// The elements of an array, a single value, or nothing for null.
fn each(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(values) => values,
        one => std::slice::from_ref(one),
    }
}

fn object_created(properties: &Value) -> Trigger {
    let filter = |name: &str| {
        properties["Filter"]["S3Key"]["Rules"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|rule| plain_text(&rule["Name"]).eq_ignore_ascii_case(name))
            .map(|rule| plain_text(&rule["Value"]))
            .unwrap_or_default()
    };
    Trigger::ObjectCreated {
        bucket: plain_text(&properties["Bucket"]),
        prefix: filter("prefix"),
        suffix: filter("suffix"),
    }
}

/// Parse a rate expression such as `rate(5 minutes)`.
fn rate(expression: &str) -> Option<Duration> {
    let (count, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let seconds = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86400,
        _ => return None,
    };
    Some(Duration::from_secs(count.parse::<u64>().ok()? * seconds))
}

#[cfg(test)]
mod tests;
