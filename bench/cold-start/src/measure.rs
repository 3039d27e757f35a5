//! Times, in turn, so that what else the machine does meets all alike.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::contestant::{Contestant, functions};
use crate::sandbox::Sandbox;
use crate::work::Work;
use crate::world::World;

#[derive(Default)]
struct Starts {
    init: Vec<Duration>,
    first: Vec<Duration>,
    sum: Vec<Duration>,
    init_processor: Vec<Duration>,
    processor: Vec<Duration>,
    memory: u64,
    calls: String,
}

/// Starts each contestant that often, and gives each new process one request.
pub(crate) async fn starts(world: &mut World, times: usize, group: Option<&Path>, only: &[&str]) -> io::Result<()> {
    let contestants = Contestant::working(only);
    let mut measured: Vec<Starts> = contestants.iter().map(|_| Starts::default()).collect();
    for _ in 0..times {
        for (contestant, measured) in contestants.iter().zip(&mut measured) {
            let mut sandbox = world.start(&contestant.bootstrap(group)).await?;
            measured.init_processor.push(sandbox.processor_time()?);
            let first = world.invoke(&mut sandbox, contestant).await?;
            measured.processor.push(sandbox.processor_time()?);
            measured.calls = world.calls().join(", ");
            measured.init.push(sandbox.init);
            measured.first.push(first.duration);
            measured.sum.push(sandbox.init + first.duration);
            measured.memory = measured.memory.max(sandbox.peak_memory()?);
            sandbox.end().await?;
        }
    }
    println(&format!("{times} starts each, milliseconds; processor time is p50, memory the peak after one request\n"));
    println("| | init p50 | p99 | first request p50 | p99 | both p50 | p99 | processor, init | both | MB | calls |");
    println("|---|---|---|---|---|---|---|---|---|---|---|");
    for (contestant, measured) in contestants.iter().zip(&mut measured) {
        println(&format!(
            "| {} `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} |",
            contestant.language,
            contestant.function,
            percentile(&mut measured.init, 50),
            percentile(&mut measured.init, 99),
            percentile(&mut measured.first, 50),
            percentile(&mut measured.first, 99),
            percentile(&mut measured.sum, 50),
            percentile(&mut measured.sum, 99),
            percentile(&mut measured.init_processor, 50),
            percentile(&mut measured.processor, 50),
            megabytes(measured.memory),
            measured.calls,
        ));
    }
    Ok(())
}

/// A running process, and what its requests took.
struct Warm {
    sandbox: Sandbox,
    whole: Vec<Duration>,
    own: Vec<Duration>,
    processor: Vec<Duration>,
}

/// Requests before the measured ones, for Node to compile what is hot.
const UNMEASURED: usize = 20;

/// Gives a running process of each contestant that many requests, in turn.
pub(crate) async fn warm(world: &mut World, times: usize, only: &[&str]) -> io::Result<()> {
    let contestants = Contestant::working(only);
    let mut running = Vec::new();
    for contestant in &contestants {
        let sandbox = world.start(&contestant.bootstrap(None)).await?;
        running.push(Warm { sandbox, whole: Vec::new(), own: Vec::new(), processor: Vec::new() });
    }
    for round in 0..UNMEASURED + times {
        for (contestant, Warm { sandbox, whole, own, processor }) in contestants.iter().zip(&mut running) {
            let before = sandbox.processor_time()?;
            let invocation = world.invoke(sandbox, contestant).await?;
            if round >= UNMEASURED {
                processor.push(sandbox.processor_time()?.saturating_sub(before));
                whole.push(invocation.duration);
                own.push(invocation.duration.saturating_sub(invocation.aws));
            }
        }
    }
    println(&format!("{times} requests each to a running process, milliseconds; own is without AWS's time\n"));
    println("| | p50 | p99 | own p50 | p99 | processor p50 | peak MB |");
    println("|---|---|---|---|---|---|---|");
    for (contestant, Warm { sandbox, whole, own, processor }) in contestants.iter().zip(&mut running) {
        println(&format!(
            "| {} `{}` | {} | {} | {} | {} | {} | {:.1} |",
            contestant.language,
            contestant.function,
            percentile(whole, 50),
            percentile(whole, 99),
            percentile(own, 50),
            percentile(own, 99),
            percentile(processor, 50),
            megabytes(sandbox.peak_memory()?),
        ));
    }
    for warm in running {
        warm.sandbox.end().await?;
    }
    Ok(())
}

/// Starts every function that often, `hello` among them: time to the first `next`, memory there, and size.
pub(crate) async fn every_function(world: &World, times: usize) -> io::Result<()> {
    let all = ["hello".to_owned()].into_iter().chain(functions()?);
    let all: Vec<_> = all.map(|function| Contestant::ours(&function, Work::Hello)).collect();
    let mut measured: Vec<Starts> = all.iter().map(|_| Starts::default()).collect();
    for _ in 0..times {
        for (function, measured) in all.iter().zip(&mut measured) {
            let sandbox = world.start(&function.bootstrap(None)).await?;
            measured.init.push(sandbox.init);
            measured.memory = measured.memory.max(sandbox.peak_memory()?);
            sandbox.end().await?;
        }
    }
    println(&format!("{times} starts each\n"));
    println("| | init p50 ms | peak MB | zip MB |");
    println("|---|---|---|---|");
    for (function, measured) in all.iter().zip(&mut measured) {
        let (init, memory) = (percentile(&mut measured.init, 50), megabytes(measured.memory));
        println(&format!(
            "| `{}` | {init} | {memory:.1} | {:.2} |",
            function.function,
            in_millions(function.zipped()?)
        ));
    }
    Ok(())
}

fn percentile(durations: &mut [Duration], percent: usize) -> String {
    durations.sort_unstable();
    let rank = (durations.len() * percent).div_ceil(100).saturating_sub(1);
    let duration = durations.get(rank).copied().unwrap_or_default();
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}

#[allow(clippy::cast_precision_loss, reason = "far below what a float holds")]
fn in_millions(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn megabytes(kibibytes: u64) -> f64 {
    in_millions(kibibytes * 1024)
}

#[allow(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn println(line: &str) {
    println!("{line}");
}
