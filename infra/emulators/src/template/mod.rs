//! The deployed stack as its template describes it: functions with their triggers and environment, tables, buckets.
//!
//! What runs on one machine and in tests is read from the very template that deploys.

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

/// Lambda's own default, in seconds.
const DEFAULT_TIMEOUT: u64 = 3;
/// Lambda's own default, in MB.
const DEFAULT_MEMORY: u64 = 128;
/// What every function has in MB, which is not billed: <https://aws.amazon.com/lambda/pricing/>.
pub const DEFAULT_STORAGE: u64 = 512;
/// How often Lambda repeats a failed asynchronous invocation unless told otherwise.
const DEFAULT_RETRIES: u64 = 2;

/// Why a template could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is not YAML.
    #[error("the template is not YAML: {0}")]
    Yaml(String),
    /// Something in it is not understood.
    #[error("{place}: {reason}")]
    Content {
        /// The path to it, such as `Resources.Table.Properties.TableName`.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl TemplateError {
    pub(crate) fn at(place: &str, reason: &str) -> Self {
        Self::Content { place: place.trim_start_matches('.').to_owned(), reason: reason.to_owned() }
    }
}

/// A stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The functions, in the order of their logical ids.
    pub functions: Vec<Function>,
    /// The tables.
    pub tables: Vec<TableDefinition>,
    /// The buckets.
    pub buckets: Vec<Bucket>,
    /// What the HTTP API allows to browsers.
    pub api_cors: Option<ApiCors>,
    /// How much the HTTP API takes.
    pub throttles: Throttles,
}

/// A Lambda function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name in the template.
    pub logical_id: String,
    /// The name of its binary, from `Metadata.BuildProperties.Binary`.
    pub name: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Its memory.
    pub memory_mb: u64,
    /// What its `/tmp` holds.
    pub storage_mb: u64,
    /// Its environment variables, the global ones included.
    pub environment: BTreeMap<String, String>,
    /// How often Lambda repeats a failed asynchronous invocation.
    pub retries: u64,
    /// What invokes it.
    pub triggers: Vec<Trigger>,
    /// What its policies say that it may do.
    pub statements: Vec<Statement>,
}

/// What invokes a function.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// A route of the HTTP API.
    Http {
        /// `GET` and the like, or `ANY`.
        method: String,
        /// The path with its `{parameters}`, or `$default`.
        path: String,
    },
    /// Objects that are created in a bucket.
    ObjectCreated {
        /// The bucket's name.
        bucket: String,
        /// What their keys must start with.
        prefix: String,
        /// What their keys must end with.
        suffix: String,
    },
    /// Events on a bus.
    Event {
        /// The bus's name.
        bus: String,
        /// The pattern that they must match.
        pattern: Value,
    },
    /// The clock.
    Schedule {
        /// The time from one invocation to the next.
        every: Duration,
    },
}

/// An S3 bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What it allows to browsers.
    pub cors: Vec<CorsRule>,
}

/// What the HTTP API allows to browsers, by CloudFormation's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ApiCors {
    /// Origins that may call; `*` is all.
    pub allow_origins: Vec<String>,
    /// Methods they may use; `*` is all.
    pub allow_methods: Vec<String>,
    /// Headers they may send; `*` is all.
    pub allow_headers: Vec<String>,
    /// Headers of the answer that a script may read.
    pub expose_headers: Vec<String>,
    /// Whether cookies are sent along.
    #[serde(deserialize_with = "flag")]
    pub allow_credentials: bool,
    /// How many seconds a browser may keep the answer to a preflight.
    pub max_age: Option<u32>,
}

/// How much a route of the HTTP API takes, by CloudFormation's names.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Throttle {
    /// Requests a second.
    #[serde(rename = "ThrottlingRateLimit")]
    pub rate: f64,
    /// Requests at once.
    #[serde(rename = "ThrottlingBurstLimit")]
    pub burst: u32,
}

/// How much the routes of the HTTP API take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Throttles {
    /// Each that has no throttle of its own.
    pub default: Option<Throttle>,
    /// By the route's key, such as `GET /v1/recordings` or `$default`.
    pub routes: BTreeMap<String, Throttle>,
}

/// CloudFormation takes booleans as texts too.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(plain_text(&Value::deserialize(deserializer)?) == "true")
}

impl Template {
    /// The template of this project, with its parameters' defaults.
    ///
    /// # Errors
    ///
    /// When it uses something of CloudFormation that is not understood here.
    pub fn of_this_project() -> Result<Self, TemplateError> {
        Self::of_this_project_with(&[])
    }

    /// The same with other values of some parameters than their defaults.
    ///
    /// # Errors
    ///
    /// As [`Self::of_this_project`].
    pub fn of_this_project_with(parameters: &[(&str, &str)]) -> Result<Self, TemplateError> {
        Self::parse(include_str!("../../../../template.yaml"), parameters)
    }

    /// Reads the template in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or uses something of CloudFormation that is not understood here.
    pub fn read(path: &Path, parameters: &[(&str, &str)]) -> Result<Self, TemplateError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TemplateError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, parameters)
    }

    /// Reads a template.
    ///
    /// # Errors
    ///
    /// When it is no YAML, or uses something of CloudFormation that is not understood here.
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
    /// What applies to every function that does not say otherwise.
    globals: &'a Value,
}

impl Resource<'_> {
    fn place(&self, property: &str) -> String {
        format!("Resources.{}.Properties.{property}", self.id)
    }

    fn exists(&self) -> Result<bool, TemplateError> {
        match self.condition.as_str() {
            Some(condition) => self.scope.condition(condition, &format!("Resources.{}.Condition", self.id)),
            None => Ok(true),
        }
    }

    /// The property, evaluated; null when it is not there.
    fn get(&self, property: &str) -> Result<Value, TemplateError> {
        self.scope.evaluate(&self.properties[property], &self.place(property))
    }

    fn read<T: DeserializeOwned>(&self, property: &str, value: Value) -> Result<T, TemplateError> {
        serde_json::from_value(value).map_err(|error| TemplateError::at(&self.place(property), &error.to_string()))
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
        plain_text(&value).parse().map_err(|_| TemplateError::at(&self.place(property), "is not a whole number"))
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
            let place = format!("Resources.{}.Metadata.BuildProperties.Binary", self.id);
            return Err(TemplateError::at(&place, "is required: the name of the function's binary"));
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

    /// The statements beside the function, and those of the template's managed policies that it names.
    fn statements(&self) -> Result<Vec<Statement>, TemplateError> {
        let mut statements = Vec::new();
        for (number, policy) in each(&self.get("Policies")?).iter().enumerate() {
            let place = self.place(&format!("Policies[{number}]"));
            let (of, document) = match policy {
                Value::String(name) => (name.as_str(), self.managed_policy(name, &place)?),
                policy if !policy["Statement"].is_null() => (self.id, policy.clone()),
                _ => return Err(TemplateError::at(&place, "SAM's policy templates are not understood here")),
            };
            for (number, statement) in each(&document["Statement"]).iter().enumerate() {
                statements.push(Statement::read(statement, format!("{of}[{number}]"))?);
            }
        }
        Ok(statements)
    }

    fn managed_policy(&self, name: &str, place: &str) -> Result<Value, TemplateError> {
        let resource =
            self.scope.resources().get(name).filter(|resource| resource["Type"] == "AWS::IAM::ManagedPolicy");
        let resource =
            resource.ok_or_else(|| TemplateError::at(place, &format!("{name} is no policy of this template")))?;
        self.scope.evaluate(&resource["Properties"]["PolicyDocument"], &format!("Resources.{name}.Properties"))
    }

    fn triggers(&self) -> Result<Vec<Trigger>, TemplateError> {
        let events = self.get("Events")?;
        let mut triggers = Vec::new();
        for (name, event) in events.as_object().unwrap_or(&Map::new()) {
            let place = self.place(&format!("Events.{name}"));
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
                        .ok_or_else(|| TemplateError::at(&place, "only rate(...) schedules are understood here"))?,
                },
                other => {
                    return Err(TemplateError::at(&place, &format!("the event type {other} is not understood here")));
                }
            });
        }
        Ok(triggers)
    }
}

/// One value, several, or none.
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

/// `rate(5 minutes)` as a duration.
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
