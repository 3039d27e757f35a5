//! `load-devices [DEVICES] [CONCURRENCY]` registers devices with a running stack, binds each device to an end user and
//! sends a heartbeat. Then it measures the cost of reading a credential from the table.
//!
//! Requires `CAPSTAN_URL` and `CAPSTAN_API_KEY` from `local.env`.

#![allow(clippy::print_stdout, reason = "the program prints its results")]

use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use capstan_bench_stack::{arguments, percentile, print_times, variable};
use capstan_local::client::Client;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};

const CALLS: [&str; 4] = ["create end user", "create device", "bind", "heartbeat"];
/// Number of heartbeats per credential in the comparison of cached and uncached credentials.
const COMPARED_HEARTBEATS: usize = 300;

struct Target {
    client: Client,
    key: String,
    /// Prefix of the serial numbers, unique per run.
    run: u128,
}

/// A bound device and the duration of each call.
struct Bound {
    id: String,
    token: String,
    took: [Duration; 4],
}

impl Target {
    async fn post(&self, path: &str, key: &str, body: Value) -> Result<(Value, Duration), Box<dyn Error>> {
        let began = Instant::now();
        let answer = self.client.call(Method::POST, path, key, Some(&body)).await?;
        Ok((answer, began.elapsed()))
    }

    async fn bind_one(&self, number: usize) -> Result<Bound, Box<dyn Error>> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (end_user, first) = self.post("/v1/end-users", &self.key, json!({})).await?;
        let serial_number = format!("{}-{number}", self.run);
        let (device, second) = self.post("/v1/devices", &self.key, json!({"serial_number": serial_number})).await?;
        let id = text(&device["id"]);
        let binding = json!({"end_user_id": end_user["id"]});
        let (bound, third) = self.post(&format!("/v1/devices/{id}/bind"), &self.key, binding).await?;
        let token = text(&bound["device_token"]);
        let (_, fourth) = self.heartbeat("me", &token).await?;
        Ok(Bound { id, token, took: [first, second, third, fourth] })
    }

    async fn heartbeat(&self, id: &str, credential: &str) -> Result<(Value, Duration), Box<dyn Error>> {
        self.post(&format!("/v1/devices/{id}/heartbeat"), credential, json!({"battery_percent": 80})).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [devices, concurrency] = arguments([1000, 8])?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let target = Target { client: Client::new(&variable("CAPSTAN_URL")?), key: variable("CAPSTAN_API_KEY")?, run };
    let began = Instant::now();
    let bound: Vec<Bound> = stream::iter(0..devices)
        .map(|number| target.bind_one(number))
        .buffer_unordered(concurrency)
        .try_collect()
        .await?;
    let rate = devices as f64 / began.elapsed().as_secs_f64();
    println!("{devices} devices, {concurrency} concurrent: {rate:.0} devices/s, {:.0} requests/s\n", rate * 4.0);
    print_times(CALLS.into_iter().enumerate().map(|(at, call)| (call, bound.iter().map(|one| one.took[at]).collect())));

    // Alternate between the credentials so that other load affects both equally.
    let device = bound.first().ok_or("no device was bound")?;
    let (mut cached, mut uncached) = (Vec::new(), Vec::new());
    for _ in 0..COMPARED_HEARTBEATS {
        cached.push(target.heartbeat(&device.id, &target.key).await?.1);
        uncached.push(target.heartbeat(&device.id, &device.token).await?.1);
    }
    cached.sort();
    uncached.sort();
    let added = percentile(&uncached, 50) - percentile(&cached, 50);
    println!();
    print_times([("heartbeat, cached key", cached), ("heartbeat, uncached token", uncached)]);
    println!("\nreading the credential: 1 DynamoDB call, {added:.1} ms more at p50");
    Ok(())
}
