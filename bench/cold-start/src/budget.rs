//! Compare reproducible figures with `budget.json`: zip size, and instructions of initialization and of a warm request.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::candidate::{Candidate, functions, here};
use crate::measure::println;
use crate::work::Work;
use crate::world::World;

/// Contents of `budget.json`: accepted figures, and the allowed increase in percent.
#[derive(Debug, Serialize, Deserialize)]
struct Budget {
    allowance_percent: u64,
    functions: BTreeMap<String, Figures>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Figures {
    zip_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_instructions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_instructions: Option<u64>,
}

/// Functions with counted instructions: one signs a URL, one writes and publishes an event, one reads.
const COUNTED: [&str; 3] = ["create-upload-url", "complete-upload", "get-recording"];
/// Path of valgrind in Debian. If it is missing, only sizes are compared.
pub(crate) const VALGRIND: &str = "/usr/bin/valgrind";

/// Functions to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Only functions with counted instructions.
    Counted,
    /// All functions. For functions without counted instructions, only the size.
    All,
}

/// Print a comparison with the budget. Returns whether all figures are within the allowance.
pub(crate) async fn check(which: Which) -> io::Result<bool> {
    let budget: Budget = serde_json::from_slice(&std::fs::read(file())?)?;
    let mut within_budget = true;
    println("| | now | budget | change |");
    println("|---|---|---|---|");
    for name in names(which)? {
        let now = figures(&name).await?;
        let Some(accepted) = budget.functions.get(&name) else {
            println(&format!("| `{name}` | | not in budget.json | |"));
            within_budget = false;
            continue;
        };
        for (figure, now, accepted) in [
            ("zip, bytes", Some(now.zip_bytes), Some(accepted.zip_bytes)),
            ("init, instructions", now.init_instructions, accepted.init_instructions),
            ("warm request, instructions", now.warm_instructions, accepted.warm_instructions),
        ] {
            let (Some(now), Some(accepted)) = (now, accepted) else { continue };
            let within = now * 100 <= accepted * (100 + budget.allowance_percent);
            within_budget &= within;
            let verdict = if within { "" } else { " **over budget**" };
            println(&format!("| `{name}`, {figure} | {now} | {accepted} | {}{verdict} |", change(now, accepted)));
        }
    }
    if !Path::new(VALGRIND).exists() {
        println(&format!("\nOnly sizes were compared, because {VALGRIND} does not exist"));
    }
    if !within_budget {
        let allowed = budget.allowance_percent;
        println(&format!(
            "\nA figure increased by more than {allowed} %. To accept the increase, run: bench/cold-start/run keep"
        ));
    }
    Ok(within_budget)
}

/// Write the current figures of the measured functions to `budget.json`.
pub(crate) async fn keep(which: Which) -> io::Result<()> {
    if !Path::new(VALGRIND).exists() {
        return Err(io::Error::other(format!("counting instructions requires {VALGRIND}, which does not exist")));
    }
    let mut budget: Budget = serde_json::from_slice(&std::fs::read(file())?)?;
    for name in names(which)? {
        budget.functions.insert(name.clone(), figures(&name).await?);
    }
    std::fs::write(file(), serde_json::to_string_pretty(&budget)? + "\n")
}

fn file() -> PathBuf {
    here().join("budget.json")
}

fn names(which: Which) -> io::Result<Vec<String>> {
    match which {
        Which::Counted => Ok(COUNTED.map(str::to_owned).into()),
        Which::All => functions(),
    }
}

async fn figures(function: &str) -> io::Result<Figures> {
    let candidate = Candidate::rust(function, Work::of(function).unwrap_or(Work::Hello));
    let zip_bytes = candidate.zip_bytes()?;
    if !COUNTED.contains(&function) || !Path::new(VALGRIND).exists() {
        return Ok(Figures { zip_bytes, init_instructions: None, warm_instructions: None });
    }
    let init = instructions(&candidate, 0).await?;
    // The first request opens connections, so measure the third and the fourth.
    let (second, fourth) = (instructions(&candidate, 2).await?, instructions(&candidate, 4).await?);
    let warm = fourth.saturating_sub(second) / 2;
    Ok(Figures { zip_bytes, init_instructions: Some(init), warm_instructions: Some(warm) })
}

/// Instructions of a process until it has responded to `requests` requests. Without TLS, because TLS is random.
async fn instructions(candidate: &Candidate, requests: u32) -> io::Result<u64> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("callgrind");
    let mut world = World::start(false).await?;
    let mut sandbox = world.start_function(&candidate.counted(&file)).await?;
    for _ in 0..requests {
        world.invoke(&mut sandbox, candidate).await?;
    }
    sandbox.end().await?;
    total(&file)
}

fn total(file: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| io::Error::other("the valgrind output has no total"))
}

#[allow(clippy::cast_precision_loss, reason = "a percentage is shown to one decimal")]
fn change(now: u64, accepted: u64) -> String {
    format!("{:+.1} %", (now as f64 / accepted as f64 - 1.0) * 100.0)
}
