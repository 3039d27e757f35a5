//! Many transcriptions at a provider that takes its time and so many at once: `many-jobs [JOBS] [AT_ONCE] [SECONDS]`.
//!
//! The function gets the events, as many at a time as the deployment's `TranscriptionConcurrency` would let through; the
//! provider refuses (429) what comes beyond what it takes.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a program that reports, or ends")]

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
    let (jobs, at_once, seconds) = (next(1000), usize::try_from(next(50)).unwrap(), next(2));
    let wait = Duration::from_secs(seconds);

    let under_way = Arc::new(AtomicUsize::new(0));
    let refused = Arc::new(AtomicUsize::new(0));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = (Arc::clone(&under_way), Arc::clone(&refused), Arc::clone(&calls));
    let peer = Peer::answering(move |asked| {
        let (under_way, refused, calls) = &counted;
        calls.fetch_add(1, Ordering::SeqCst);
        if under_way.fetch_add(1, Ordering::SeqCst) >= at_once {
            under_way.fetch_sub(1, Ordering::SeqCst);
            refused.fetch_add(1, Ordering::SeqCst);
            return Reply::json(429, "{}").with("retry-after", "1");
        }
        let under_way = Arc::clone(under_way);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            under_way.fetch_sub(1, Ordering::SeqCst);
        });
        Reply::After(wait, Box::new(transcribing(asked)))
    })
    .await;

    let environment = TestEnvironment::start().await;
    let mut ids = Vec::new();
    for number in 0..jobs {
        let recording = environment.recording().id(&format!("rec_{number}")).holding(ContentType::AudioOpus, "x");
        let recording = recording.completed().await;
        let options = TranscriptionOptions { provider: "whisper".parse().ok(), ..TranscriptionOptions::default() };
        let id = TranscriptionId::of(&recording.id);
        let wanted = Transcription::new(id.clone(), &recording, options, environment.now()).unwrap();
        environment.store.create_transcription(wanted, &recording).await.unwrap();
        ids.push(id);
    }
    let providers = environment.providers_waiting("whisper", &peer.url, Duration::from_secs(60));
    let function = event_function(
        "run-transcription",
        (environment.transcripts(), providers, ApiUrl(String::new())),
        environment.clock(),
        handle,
    );

    let began = Instant::now();
    stream::iter(&ids)
        .for_each_concurrent(at_once, |id| {
            let mut event = event("run-transcription");
            event["detail"]["transcription_id"] = id.as_str().into();
            let function = function.clone();
            async move { drop(function.invoke(event).await.unwrap()) }
        })
        .await;
    let took = began.elapsed().as_secs_f64();
    let ideal = jobs.div_ceil(at_once as u64) as f64 * wait.as_secs_f64();

    let mut completed = 0;
    for id in &ids {
        let status = environment.store.transcription(id).await.unwrap().unwrap().status;
        completed += usize::from(status == TranscriptionStatus::Completed);
    }
    println!(
        "{jobs} jobs, {at_once} at once, {seconds} s each: {took:.1} s, ideal {ideal:.1} s, ratio {:.2}",
        took / ideal
    );
    println!(
        "completed {completed}, calls {}, of which refused {}",
        calls.load(Ordering::SeqCst),
        refused.load(Ordering::SeqCst)
    );
}
