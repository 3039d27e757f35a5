//! `many-jobs [JOBS] [CONCURRENCY] [SECONDS]` runs transcriptions with a provider that limits concurrent requests and
//! takes a fixed time for each.
//!
//! CONCURRENCY is the provider's limit and the number of concurrent invocations, as the deployment parameter
//! `TranscriptionConcurrency` would allow. The provider rejects further requests with 429.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "the program prints its results and panics on errors"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use capstan_domain::{ContentType, Transcription, TranscriptionId, TranscriptionOptions, TranscriptionStatus};
use capstan_emulators::peer::{Peer, Reply};
use capstan_lambda::event_function;
use capstan_test_environment::{TestEnvironment, event, transcribing};
use futures_util::{StreamExt, stream};
use transcriptions::run_transcription::{ApiUrl, handle};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let mut next = |default| arguments.next().unwrap_or(default);
    let (jobs, concurrency, seconds) = (next(1000), usize::try_from(next(50)).unwrap(), next(2));
    let wait = Duration::from_secs(seconds);

    let in_flight = Arc::new(AtomicUsize::new(0));
    let rejected = Arc::new(AtomicUsize::new(0));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = (Arc::clone(&in_flight), Arc::clone(&rejected), Arc::clone(&calls));
    let peer = Peer::answering(move |request| {
        let (in_flight, rejected, calls) = &counted;
        calls.fetch_add(1, Ordering::SeqCst);
        if in_flight.fetch_add(1, Ordering::SeqCst) >= concurrency {
            in_flight.fetch_sub(1, Ordering::SeqCst);
            rejected.fetch_add(1, Ordering::SeqCst);
            return Reply::json(429, "{}").with("retry-after", "1");
        }
        let in_flight = Arc::clone(in_flight);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            in_flight.fetch_sub(1, Ordering::SeqCst);
        });
        Reply::After(wait, Box::new(transcribing(request)))
    })
    .await;

    let environment = TestEnvironment::start().await;
    let mut ids = Vec::new();
    for number in 0..jobs {
        let recording = environment.recording().id(&format!("rec_{number}")).holding(ContentType::AudioOpus, "x");
        let recording = recording.completed().await;
        let options = TranscriptionOptions { provider: "whisper".parse().ok(), ..TranscriptionOptions::default() };
        let id = TranscriptionId::of(&recording.id);
        let transcription = Transcription::new(id.clone(), &recording, options, environment.now()).unwrap();
        environment.store.create_transcription(transcription, &recording).await.unwrap();
        ids.push(id);
    }
    let providers = environment.providers_waiting("whisper", &peer.url, Duration::from_secs(60));
    let function = event_function(
        "run-transcription",
        (environment.transcripts(), providers, ApiUrl(String::new())),
        environment.clock(),
        handle,
    );

    let started = Instant::now();
    stream::iter(&ids)
        .for_each_concurrent(concurrency, |id| {
            let mut event = event("run-transcription");
            event["detail"]["transcription_id"] = id.as_str().into();
            let function = function.clone();
            async move { drop(function.invoke(event).await.unwrap()) }
        })
        .await;
    let seconds_taken = started.elapsed().as_secs_f64();
    let ideal = jobs.div_ceil(concurrency as u64) as f64 * wait.as_secs_f64();

    let mut completed = 0;
    for id in &ids {
        let status = environment.store.transcription(id).await.unwrap().unwrap().status;
        completed += usize::from(status == TranscriptionStatus::Completed);
    }
    println!(
        "{jobs} jobs, {concurrency} concurrent, {seconds} s each: {seconds_taken:.1} s, ideal {ideal:.1} s, ratio {:.2}",
        seconds_taken / ideal
    );
    println!(
        "completed {completed}, calls {}, rejected {}",
        calls.load(Ordering::SeqCst),
        rejected.load(Ordering::SeqCst)
    );
}
