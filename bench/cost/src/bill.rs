//! Price a count of billable usage.

use std::collections::BTreeMap;
use std::fmt::Write;

use capstan_emulators::template::{DEFAULT_STORAGE, Function, Template};
use serde::Deserialize;

use crate::count::Count;

/// `prices.json`: US dollars per million units.
#[derive(Deserialize)]
struct Prices {
    region: String,
    read_on: String,
    usd_per_million: PerMillion,
}

#[derive(Deserialize)]
struct PerMillion {
    http_api_request: f64,
    lambda_request: f64,
    lambda_arm64_gb_second: f64,
    lambda_storage_gb_second: f64,
    dynamodb_write_unit: f64,
    dynamodb_read_unit: f64,
    s3_put_copy_post_list: f64,
    s3_get_and_others: f64,
    eventbridge_custom_event: f64,
    cloudwatch_logs_kilobyte: f64,
}

/// `assumptions.json`: usage that cannot be measured on this machine.
#[derive(Deserialize)]
struct Assumptions {
    log_kilobytes: LogKilobytes,
    /// Duration of each function, in milliseconds.
    milliseconds: BTreeMap<String, f64>,
    /// Average duration of functions that depends on the scenario, by scenario and function.
    milliseconds_by_scenario: BTreeMap<String, BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
struct LogKilobytes {
    /// Log lines of the function. With the log settings of template.yaml, Lambda itself logs only failures.
    invocation: f64,
    /// Access log line of API Gateway.
    api_request: f64,
}

/// Prices and assumptions.
pub(crate) struct Tariff {
    prices: Prices,
    assumptions: Assumptions,
}

impl Tariff {
    pub(crate) fn read() -> Result<Self, serde_json::Error> {
        Ok(Self {
            prices: serde_json::from_str(include_str!("../prices.json"))?,
            assumptions: serde_json::from_str(include_str!("../assumptions.json"))?,
        })
    }

    /// Quantity per run and US dollars per million runs, for each billed item.
    fn lines(&self, scenario: &str, count: &Count, template: &Template) -> Vec<(&'static str, f64, f64)> {
        let price = &self.prices.usd_per_million;
        let (put, get) = count.s3_classes();
        let units = count.units();
        let invocations = count.invocations.values().sum::<u64>() as f64;
        let requests = count.api_requests as f64;
        let log = &self.assumptions.log_kilobytes;
        let kilobytes = log.invocation * invocations + log.api_request * requests;
        let memory = |function: &Function| function.memory_mb;
        let storage = |function: &Function| function.storage_mb.saturating_sub(DEFAULT_STORAGE);
        [
            ("API Gateway, requests", requests, price.http_api_request),
            ("Lambda, requests", invocations, price.lambda_request),
            ("Lambda, GB-seconds", self.gb_seconds(scenario, count, template, memory), price.lambda_arm64_gb_second),
            (
                "Lambda, storage GB-seconds",
                self.gb_seconds(scenario, count, template, storage),
                price.lambda_storage_gb_second,
            ),
            ("DynamoDB, write units", units.write, price.dynamodb_write_unit),
            ("DynamoDB, read units", units.read, price.dynamodb_read_unit),
            ("S3, PUT, COPY, POST, LIST", put as f64, price.s3_put_copy_post_list),
            ("S3, GET and others", get as f64, price.s3_get_and_others),
            ("EventBridge, events", count.events as f64, price.eventbridge_custom_event),
            ("CloudWatch Logs, kB", kilobytes, price.cloudwatch_logs_kilobyte),
        ]
        .map(|(item, quantity, price)| (item, quantity, quantity * price))
        .to_vec()
    }

    fn gb_seconds(&self, scenario: &str, count: &Count, template: &Template, megabytes: fn(&Function) -> u64) -> f64 {
        let seconds = |function: &str| {
            let by_scenario =
                self.assumptions.milliseconds_by_scenario.get(scenario).and_then(|durations| durations.get(function));
            // A function without an assumed duration makes the sum NaN.
            by_scenario.or_else(|| self.assumptions.milliseconds.get(function)).map_or(f64::NAN, |time| time / 1000.0)
        };
        let gigabytes = |name: &str| {
            let function = template.functions.iter().find(|function| function.name == name);
            function.map_or(f64::NAN, |function| megabytes(function) as f64 / 1024.0)
        };
        count.invocations.iter().map(|(name, times)| *times as f64 * seconds(name) * gigabytes(name)).sum()
    }

    /// US dollars per million runs of the scenario.
    #[cfg(test)]
    pub(crate) fn usd_per_million(&self, scenario: &str, count: &Count, template: &Template) -> f64 {
        self.lines(scenario, count, template).iter().map(|(_, _, usd)| usd).sum()
    }

    /// The bill as a Markdown table.
    pub(crate) fn bill(&self, scenario: &str, count: &Count, template: &Template) -> String {
        let Prices { region, read_on, .. } = &self.prices;
        let mut table = format!("| {region}, {read_on} | per run | USD per million |\n|---|---|---|\n");
        let lines = self.lines(scenario, count, template);
        for (item, quantity, usd) in &lines {
            let _ = writeln!(table, "| {item} | {quantity:.3} | {usd:.2} |");
        }
        let _ = writeln!(table, "| total | | {:.2} |", lines.iter().map(|(_, _, usd)| usd).sum::<f64>());
        table
    }
}
