//! A count as a bill.

use std::collections::BTreeMap;
use std::fmt::Write;

use capstan_emulators::template::{DEFAULT_STORAGE, Function, Template};
use serde::Deserialize;

use crate::count::Count;

/// `prices.json`: US dollars for a million of each.
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

/// `assumptions.json`: what cannot be counted here.
#[derive(Deserialize)]
struct Assumptions {
    log_kilobytes: LogKilobytes,
    /// How long each function runs.
    milliseconds: BTreeMap<String, f64>,
    /// How long those run that have more or less to do in one life than in another, on average.
    milliseconds_by_life: BTreeMap<String, BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
struct LogKilobytes {
    /// Our lines. The platform tells of failures only, by template.yaml.
    invocation: f64,
    /// API Gateway's line.
    api_request: f64,
}

/// What everything costs.
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

    /// Each service's quantity and US dollars, for a million lives of that name.
    fn lines(&self, life: &str, count: &Count, template: &Template) -> Vec<(&'static str, f64, f64)> {
        let price = &self.prices.usd_per_million;
        let (put, get) = count.s3_classes();
        let units = count.units();
        let invocations = count.invocations.values().sum::<u64>() as f64;
        let requests = count.api_requests as f64;
        let logged = &self.assumptions.log_kilobytes;
        let kilobytes = logged.invocation * invocations + logged.api_request * requests;
        let memory = |function: &Function| function.memory_mb;
        let storage = |function: &Function| function.storage_mb.saturating_sub(DEFAULT_STORAGE);
        [
            ("API Gateway, requests", requests, price.http_api_request),
            ("Lambda, requests", invocations, price.lambda_request),
            ("Lambda, GB-seconds", self.gb_seconds(life, count, template, memory), price.lambda_arm64_gb_second),
            (
                "Lambda, storage GB-seconds",
                self.gb_seconds(life, count, template, storage),
                price.lambda_storage_gb_second,
            ),
            ("DynamoDB, write units", units.write, price.dynamodb_write_unit),
            ("DynamoDB, read units", units.read, price.dynamodb_read_unit),
            ("S3, PUT, COPY, POST, LIST", put as f64, price.s3_put_copy_post_list),
            ("S3, GET and others", get as f64, price.s3_get_and_others),
            ("EventBridge, events", count.events as f64, price.eventbridge_custom_event),
            ("CloudWatch Logs, kB", kilobytes, price.cloudwatch_logs_kilobyte),
        ]
        .map(|(what, quantity, price)| (what, quantity, quantity * price))
        .to_vec()
    }

    fn gb_seconds(&self, life: &str, count: &Count, template: &Template, megabytes: fn(&Function) -> u64) -> f64 {
        let seconds = |function: &str| {
            let here = self.assumptions.milliseconds_by_life.get(life).and_then(|here| here.get(function));
            // A function that nobody has assumed anything of makes the sum no number.
            here.or_else(|| self.assumptions.milliseconds.get(function)).map_or(f64::NAN, |time| time / 1000.0)
        };
        let gigabytes = |name: &str| {
            let function = template.functions.iter().find(|function| function.name == name);
            function.map_or(f64::NAN, |function| megabytes(function) as f64 / 1024.0)
        };
        count.invocations.iter().map(|(name, times)| *times as f64 * seconds(name) * gigabytes(name)).sum()
    }

    /// US dollars for a million lives of that name.
    #[cfg(test)]
    pub(crate) fn usd_per_million(&self, life: &str, count: &Count, template: &Template) -> f64 {
        self.lines(life, count, template).iter().map(|(_, _, usd)| usd).sum()
    }

    /// As a table.
    pub(crate) fn bill(&self, life: &str, count: &Count, template: &Template) -> String {
        let Prices { region, read_on, .. } = &self.prices;
        let mut table = format!("| {region}, {read_on} | each | USD a million |\n|---|---|---|\n");
        let lines = self.lines(life, count, template);
        for (what, quantity, usd) in &lines {
            let _ = writeln!(table, "| {what} | {quantity:.3} | {usd:.2} |");
        }
        let _ = writeln!(table, "| in all | | {:.2} |", lines.iter().map(|(_, _, usd)| usd).sum::<f64>());
        table
    }
}
