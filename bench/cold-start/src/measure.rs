//! Measure times. Candidates take turns so that other load affects all equally.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::candidate::{Candidate, functions};
use crate::sandbox::Sandbox;
use crate::work::Work;
use crate::world::World;

#[derive(Default)]
struct Starts {
    init: Vec<Duration>,
    first: Vec<Duration>,
    sum: Vec<Duration>,
    init_cpu: Vec<Duration>,
    cpu: Vec<Duration>,
    memory: u64,
    calls: String,
}

/// Start each candidate `times` times, and send one request to each new process.
pub(crate) async fn starts(world: &mut World, times: usize, group: Option<&Path>, only: &[&str]) -> io::Result<()> {
    let candidates = Candidate::working(only);
    let mut measured: Vec<Starts> = candidates.iter().map(|_| Starts::default()).collect();
    for _ in 0..times {
        for (candidate, measured) in candidates.iter().zip(&mut measured) {
            let mut sandbox = world.start_function(&candidate.bootstrap(group)).await?;
            measured.init_cpu.push(sandbox.cpu_time()?);
            let first = world.invoke(&mut sandbox, candidate).await?;
            measured.cpu.push(sandbox.cpu_time()?);
            measured.calls = world.calls().join(", ");
            measured.init.push(sandbox.init);
            measured.first.push(first.duration);
            measured.sum.push(sandbox.init + first.duration);
            measured.memory = measured.memory.max(sandbox.peak_memory()?);
            sandbox.end().await?;
        }
    }
    println(&format!("{times} starts each, milliseconds; CPU time is p50, memory is the peak after one request\n"));
    println("| | init p50 | p99 | first request p50 | p99 | both p50 | p99 | CPU, init | CPU, both | MB | calls |");
    println("|---|---|---|---|---|---|---|---|---|---|---|");
    for (candidate, measured) in candidates.iter().zip(&mut measured) {
        println(&format!(
            "| {} `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} |",
            candidate.language,
            candidate.function,
            percentile(&mut measured.init, 50),
            percentile(&mut measured.init, 99),
            percentile(&mut measured.first, 50),
            percentile(&mut measured.first, 99),
            percentile(&mut measured.sum, 50),
            percentile(&mut measured.sum, 99),
            percentile(&mut measured.init_cpu, 50),
            percentile(&mut measured.cpu, 50),
            megabytes(measured.memory),
            measured.calls,
        ));
    }
    Ok(())
}

/// Running process and the times of its requests.
struct Warm {
    sandbox: Sandbox,
    whole: Vec<Duration>,
    own: Vec<Duration>,
    cpu: Vec<Duration>,
}

/// Requests before the measurement, so that Node compiles its hot code.
const WARM_UP: usize = 20;

/// Send `times` requests to one running process of each candidate, in turn.
pub(crate) async fn warm(world: &mut World, times: usize, only: &[&str]) -> io::Result<()> {
    let candidates = Candidate::working(only);
    let mut running = Vec::new();
    for candidate in &candidates {
        let sandbox = world.start_function(&candidate.bootstrap(None)).await?;
        running.push(Warm { sandbox, whole: Vec::new(), own: Vec::new(), cpu: Vec::new() });
    }
    for round in 0..WARM_UP + times {
        for (candidate, Warm { sandbox, whole, own, cpu }) in candidates.iter().zip(&mut running) {
            let before = sandbox.cpu_time()?;
            let invocation = world.invoke(sandbox, candidate).await?;
            if round >= WARM_UP {
                cpu.push(sandbox.cpu_time()?.saturating_sub(before));
                whole.push(invocation.duration);
                own.push(invocation.duration.saturating_sub(invocation.aws));
            }
        }
    }
    println(&format!("{times} requests each to a running process, milliseconds; own excludes calls to AWS\n"));
    println("| | p50 | p99 | own p50 | p99 | CPU p50 | peak MB |");
    println("|---|---|---|---|---|---|---|");
    for (candidate, Warm { sandbox, whole, own, cpu }) in candidates.iter().zip(&mut running) {
        println(&format!(
            "| {} `{}` | {} | {} | {} | {} | {} | {:.1} |",
            candidate.language,
            candidate.function,
            percentile(whole, 50),
            percentile(whole, 99),
            percentile(own, 50),
            percentile(own, 99),
            percentile(cpu, 50),
            megabytes(sandbox.peak_memory()?),
        ));
    }
    for warm in running {
        warm.sandbox.end().await?;
    }
    Ok(())
}

/// Start every function and `hello` `times` times: time to the first `next`, memory at that point, and size.
pub(crate) async fn every_function(world: &World, times: usize) -> io::Result<()> {
    let all = ["hello".to_owned()].into_iter().chain(functions()?);
    let all: Vec<_> = all.map(|function| Candidate::rust(&function, Work::Hello)).collect();
    let mut measured: Vec<Starts> = all.iter().map(|_| Starts::default()).collect();
    for _ in 0..times {
        for (function, measured) in all.iter().zip(&mut measured) {
            let sandbox = world.start_function(&function.bootstrap(None)).await?;
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
            in_millions(function.zip_bytes()?)
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

#[allow(clippy::cast_precision_loss, reason = "the values are small enough for f64")]
fn in_millions(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn megabytes(kibibytes: u64) -> f64 {
    in_millions(kibibytes * 1024)
}

#[allow(clippy::print_stdout, reason = "the program prints its results")]
pub(crate) fn println(line: &str) {
    println!("{line}");
}
