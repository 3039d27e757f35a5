//! `long-lists [MANY] [PAGES]` compares the latency of list pages in a small and in a large project.
//!
//! Lists the devices of the project and the recordings of one device. Starts its own stack.

#![allow(clippy::print_stdout, reason = "the program prints its results")]

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use capstan_bench_stack::{arguments, percentile};
use capstan_domain::{Device, DeviceId, EndUserId, Grant, Mode, Recording, RecordingId, Tenant, Timestamp};
use capstan_lambda::Clock;
use capstan_local::client::Client;
use capstan_local::{Options, Stack, functions, keys};
use capstan_store::Store;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::Value;

/// Number of devices, and of recordings, in the small project.
const FEW: usize = 50;
/// Maximum number of items per `BatchWriteItem`.
const BATCH: usize = 25;
/// Number of shards of a project's list index.
const SHARDS: usize = 8;

type Item = HashMap<String, AttributeValue>;

/// A filled project: its API key, and the device that has all recordings.
struct Project {
    key: String,
    device: DeviceId,
}

struct Bench {
    stack: Stack,
    store: Store,
    dynamodb: DynamoDb,
    table: String,
}

impl Bench {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let make = functions::of_this_project(Clock::system());
        let stack = Stack::start(Options::for_tests(make)).await?;
        let table = stack.template().tables.first().map(|table| table.name().to_owned()).ok_or("there is no table")?;
        let dynamodb = stack.emulators().dynamodb();
        Ok(Self { store: Store::new(dynamodb.clone(), table.as_str()), stack, dynamodb, table })
    }

    async fn fill(&self, project: &str, count: usize) -> Result<Project, Box<dyn Error>> {
        let tenant = Tenant { project_id: project.parse()?, mode: Mode::Live };
        let key = keys::create(&self.store, tenant.clone(), Grant::Secret, None).await?.text;
        let now = keys::now();
        let device = Device::new(DeviceId::new(now, 0), tenant.clone(), "first".parse()?, now);
        self.store.register_device(&device).await?;
        let mut recording = Recording::new(RecordingId::new(now, 0), tenant.clone(), Some(EndUserId::new(now, 0)), now);
        recording.origin.device_id = Some(device.id.clone());
        self.store.create_recording(recording.clone()).await?;
        let (device_item, recording_item) = (
            self.item(&format!("DEV#{}", device.id), "DEV").await?,
            self.item(&format!("REC#{}", recording.id), "REC").await?,
        );
        let at = |number: usize| Timestamp::from_milliseconds(now.milliseconds() - number as i64).unwrap_or(now);
        let devices = (1..count).map(|number| {
            let id = DeviceId::new(at(number), number as u128);
            copy(&device_item, "DEV", id.as_str(), &format!("{tenant}#devices#{}", number % SHARDS))
        });
        self.write(devices).await?;
        let recordings = (1..count).map(|number| {
            let id = RecordingId::new(at(number), number as u128);
            copy(&recording_item, "REC", id.as_str(), &format!("{tenant}#{}", number % SHARDS))
        });
        self.write(recordings).await?;
        Ok(Project { key, device: device.id })
    }

    async fn item(&self, partition: &str, sort: &str) -> Result<Item, Box<dyn Error>> {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let get = self.dynamodb.get_item().table_name(&self.table);
        Ok(get.key("PK", text(partition)).key("SK", text(sort)).send().await?.item.ok_or("the item does not exist")?)
    }

    async fn write(&self, items: impl Iterator<Item = Item>) -> Result<(), Box<dyn Error>> {
        let puts = items.map(|item| PutRequest::builder().set_item(Some(item)).build());
        let puts = puts.collect::<Result<Vec<_>, _>>()?;
        let batches: Vec<Vec<_>> = puts
            .chunks(BATCH)
            .map(|batch| batch.iter().map(|put| WriteRequest::builder().put_request(put.clone()).build()).collect())
            .collect();
        let write = |batch| self.dynamodb.batch_write_item().request_items(&self.table, batch).send();
        let done: Vec<_> = stream::iter(batches).map(write).buffer_unordered(4).try_collect().await?;
        let left = done.iter().filter_map(|answer| answer.unprocessed_items.as_ref()).any(|left| !left.is_empty());
        if left { Err("some items were not written".into()) } else { Ok(()) }
    }
}

/// Copy of an item with another ID.
fn copy(item: &Item, kind: &str, id: &str, project_key: &str) -> Item {
    let mut copy = item.clone();
    for (name, value) in
        [("PK", format!("{kind}#{id}")), ("id", id.to_owned()), ("project_key", project_key.to_owned())]
    {
        copy.insert(name.to_owned(), AttributeValue::S(value));
    }
    copy
}

/// Reads consecutive pages of a list.
struct Reader<'a> {
    client: &'a Client,
    key: &'a str,
    list: String,
    cursor: Option<String>,
}

impl Reader<'_> {
    async fn read_page(&mut self) -> Result<Duration, Box<dyn Error>> {
        let cursor = self.cursor.take().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let began = Instant::now();
        let page = self.client.call(Method::GET, &format!("{}{cursor}", self.list), self.key, None).await?;
        let took = began.elapsed();
        // After the last page, start again from the first page.
        self.cursor = page["next_cursor"].as_str().map(str::to_owned);
        match page["data"].as_array().map_or(0, Vec::<Value>::len) {
            25 => Ok(took),
            other => Err(format!("expected 25 items on a page, got {other}").into()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [many, pages] = arguments([100_000, 200])?;
    let bench = Bench::start().await?;
    let began = Instant::now();
    let (few_project, many_project) = (bench.fill("proj_few", FEW).await?, bench.fill("proj_many", many).await?);
    println!("{many} devices and {many} recordings of one device, written in {:.0} s\n", began.elapsed().as_secs_f64());
    println!(
        "| page of 25 | of {FEW}: p50 ms | p99 ms | of {many}: p50 ms | p99 ms | ratio of p50 |\n|---|---|---|---|---|---|"
    );
    let client = Client::new(&bench.stack.url());
    for (list, resource) in [("devices of the project", None), ("recordings of one device", Some("recordings"))] {
        let path = |project: &'_ Project| match resource {
            None => "/v1/devices?limit=25".to_owned(),
            Some(_) => format!("/v1/recordings?limit=25&device_id={}", project.device),
        };
        let mut few = Reader { client: &client, key: &few_project.key, list: path(&few_project), cursor: None };
        let mut many = Reader { client: &client, key: &many_project.key, list: path(&many_project), cursor: None };
        let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
        for _ in 0..pages {
            of_few.push(few.read_page().await?);
            of_many.push(many.read_page().await?);
        }
        of_few.sort();
        of_many.sort();
        let [few_50, few_99, many_50, many_99] =
            [percentile(&of_few, 50), percentile(&of_few, 99), percentile(&of_many, 50), percentile(&of_many, 99)];
        println!("| {list} | {few_50:.1} | {few_99:.1} | {many_50:.1} | {many_99:.1} | {:.2} |", many_50 / few_50);
    }
    Ok(())
}
