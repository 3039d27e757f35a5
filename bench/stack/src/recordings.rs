//! `load-stack [RECORDINGS] [CONCURRENCY]` creates and uploads recordings on a running stack and measures each call.
//!
//! Requires `CAPSTAN_URL`, `CAPSTAN_API_KEY` and `CAPSTAN_END_USER_ID` from `local.env`.

#![allow(clippy::print_stdout, reason = "the program prints its results")]

use std::error::Error;
use std::time::{Duration, Instant};

use capstan_bench_stack::{arguments, print_times, variable};
use capstan_local::client::Client;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};

/// Placeholder with the size of one second of Opus at 24 kb/s.
const FILE: &[u8] = &[0x5a; 3000];
const CALLS: [&str; 4] = ["create", "upload-url", "PUT", "upload-complete"];

struct Target {
    client: Client,
    key: String,
    end_user: String,
}

impl Target {
    async fn upload_one(&self) -> Result<[Duration; 4], Box<dyn Error>> {
        let mut took = [Duration::ZERO; 4];
        let post = |path: String, body: Value| async move {
            let began = Instant::now();
            let answer = self.client.call(Method::POST, &path, &self.key, Some(&body)).await;
            answer.map(|answer| (answer, began.elapsed()))
        };
        let (recording, create) = post("/v1/recordings".into(), json!({"end_user_id": self.end_user})).await?;
        let path = format!("/v1/recordings/{}", recording["id"].as_str().unwrap_or_default());
        let (upload, sign) = post(format!("{path}/upload-url"), json!({"file_size_bytes": FILE.len()})).await?;
        let headers = upload["headers"].as_object().into_iter().flatten();
        let headers: Vec<_> =
            headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        let began = Instant::now();
        let url = upload["upload_url"].as_str().unwrap_or_default();
        self.client.put(url, &headers, FILE, FILE.len() as u64, |_| {}).await?;
        let put = began.elapsed();
        let (_, complete) = post(format!("{path}/upload-complete"), json!({})).await?;
        took.copy_from_slice(&[create, sign, put, complete]);
        Ok(took)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [recordings, concurrency] = arguments([2000, 8])?;
    let target = Target {
        client: Client::new(&variable("CAPSTAN_URL")?),
        key: variable("CAPSTAN_API_KEY")?,
        end_user: variable("CAPSTAN_END_USER_ID")?,
    };
    let began = Instant::now();
    let took: Vec<[Duration; 4]> =
        stream::iter(0..recordings).map(|_| target.upload_one()).buffer_unordered(concurrency).try_collect().await?;
    let rate = recordings as f64 / began.elapsed().as_secs_f64();
    println!("{recordings} recordings, {concurrency} concurrent: {rate:.0} recordings/s, {:.0} requests/s", rate * 4.0);
    println!();
    print_times(CALLS.into_iter().enumerate().map(|(at, call)| (call, took.iter().map(|times| times[at]).collect())));
    Ok(())
}
