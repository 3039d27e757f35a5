//! What does not jitter: the size of a function, and the instructions of its start and of one more request. Held against
//! figures that are kept.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::contestant::{Contestant, functions, here};
use crate::measure::println;
use crate::work::Work;
use crate::world::World;

/// The figures that are kept, and by how much one may exceed its own.
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

/// The functions whose instructions are counted: one that signs, one that writes and tells the bus, one that reads.
const COUNTED: [&str; 3] = ["create-upload-url", "complete-upload", "get-recording"];
/// Where Debian's package puts what counts instructions. Without it, only sizes are compared.
pub(crate) const VALGRIND: &str = "/usr/bin/valgrind";

/// Which functions are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those whose instructions are counted.
    Counted,
    /// All, of the others the size only.
    All,
}

/// Whether all keep within their figures.
pub(crate) async fn check(which: Which) -> io::Result<bool> {
    let kept: Budget = serde_json::from_slice(&std::fs::read(file())?)?;
    let mut holds = true;
    println("| | now | kept | change |");
    println("|---|---|---|---|");
    for name in names(which)? {
        let now = figures(&name).await?;
        let Some(kept_of) = kept.functions.get(&name) else {
            println(&format!("| `{name}` | | none is kept | |"));
            holds = false;
            continue;
        };
        for (what, now, kept_of) in [
            ("zip, bytes", Some(now.zip_bytes), Some(kept_of.zip_bytes)),
            ("init, instructions", now.init_instructions, kept_of.init_instructions),
            ("warm request, instructions", now.warm_instructions, kept_of.warm_instructions),
        ] {
            let (Some(now), Some(kept_of)) = (now, kept_of) else { continue };
            let within = now * 100 <= kept_of * (100 + kept.allowance_percent);
            holds &= within;
            let verdict = if within { "" } else { " **too much**" };
            println(&format!("| `{name}`, {what} | {now} | {kept_of} | {}{verdict} |", change(now, kept_of)));
        }
    }
    if !Path::new(VALGRIND).exists() {
        println(&format!("\nOnly sizes were compared: instructions are counted where there is {VALGRIND}"));
    }
    if !holds {
        let allowed = kept.allowance_percent;
        println(&format!(
            "\nA function got dearer by more than {allowed} %. If it is worth it: bench/cold-start/run keep"
        ));
    }
    Ok(holds)
}

/// Keeps what they have now; what is kept of others stays.
pub(crate) async fn keep(which: Which) -> io::Result<()> {
    if !Path::new(VALGRIND).exists() {
        return Err(io::Error::other(format!("instructions are counted by {VALGRIND}, which is not there")));
    }
    let mut kept: Budget = serde_json::from_slice(&std::fs::read(file())?)?;
    for name in names(which)? {
        kept.functions.insert(name.clone(), figures(&name).await?);
    }
    std::fs::write(file(), serde_json::to_string_pretty(&kept)? + "\n")
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
    let contestant = Contestant::ours(function, Work::of(function).unwrap_or(Work::Hello));
    let zip_bytes = contestant.zipped()?;
    if !COUNTED.contains(&function) || !Path::new(VALGRIND).exists() {
        return Ok(Figures { zip_bytes, init_instructions: None, warm_instructions: None });
    }
    let init = instructions(&contestant, 0).await?;
    // The first request connects, the second finds all that is made once.
    let (second, fourth) = (instructions(&contestant, 2).await?, instructions(&contestant, 4).await?);
    let warm = fourth.saturating_sub(second) / 2;
    Ok(Figures { zip_bytes, init_instructions: Some(init), warm_instructions: Some(warm) })
}

/// What a process executes until it has answered that many requests. Without TLS, whose numbers are random.
async fn instructions(contestant: &Contestant, requests: u32) -> io::Result<u64> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("callgrind");
    let mut world = World::make(false).await?;
    let mut sandbox = world.start(&contestant.counted(&file)).await?;
    for _ in 0..requests {
        world.invoke(&mut sandbox, contestant).await?;
    }
    sandbox.end().await?;
    total(&file)
}

fn total(file: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| io::Error::other("valgrind counted nothing"))
}

#[allow(clippy::cast_precision_loss, reason = "a percentage is shown to one decimal")]
fn change(now: u64, kept: u64) -> String {
    format!("{:+.1} %", (now as f64 / kept as f64 - 1.0) * 100.0)
}
