//! Makes devices known to a running stack, binds each to an end user and lets it tell that it is alive; then measures
//! what it costs to know who calls.
//!
//! Reads `CAPSTAN_URL` and `CAPSTAN_API_KEY` as `local.env` sets them.
//! `load-devices [DEVICES] [CONCURRENCY]`

#![allow(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use capstan_bench_stack::{arguments, percentile, print_times, variable};
use capstan_local::client::Client;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};

const CALLS: [&str; 4] = ["create end user", "create device", "bind", "heartbeat"];
/// Heartbeats with each credential, by which the price of looking one up is measured.
const COMPARED: usize = 300;

struct Target {
    client: Client,
    key: String,
    /// Tells the serial numbers of this run from those of others.
    run: u128,
}

/// A device that was bound.
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
    println!("{devices} devices, {concurrency} at a time: {rate:.0} devices/s, {:.0} requests/s\n", rate * 4.0);
    print_times(CALLS.into_iter().enumerate().map(|(at, call)| (call, bound.iter().map(|one| one.took[at]).collect())));

    // In turn, so that whatever else the machine does falls on both.
    let device = bound.first().ok_or("no device was bound")?;
    let (mut remembered, mut looked_up) = (Vec::new(), Vec::new());
    for _ in 0..COMPARED {
        remembered.push(target.heartbeat(&device.id, &target.key).await?.1);
        looked_up.push(target.heartbeat(&device.id, &device.token).await?.1);
    }
    remembered.sort();
    looked_up.sort();
    let added = percentile(&looked_up, 50) - percentile(&remembered, 50);
    println!();
    print_times([("heartbeat, key remembered", remembered), ("heartbeat, token looked up", looked_up)]);
    println!("\nlooking up who calls: 1 call, {added:.1} ms more at p50");
    Ok(())
}
