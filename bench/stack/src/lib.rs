//! What the benchmarks of the stack share: their arguments and how they print times.

#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::error::Error;
use std::time::Duration;

/// The numbers of the command line, with what stands for those that are not there.
///
/// # Errors
/// When one is no number.
pub fn arguments<const N: usize>(defaults: [usize; N]) -> Result<[usize; N], Box<dyn Error>> {
    let mut numbers = defaults;
    for (number, text) in numbers.iter_mut().zip(std::env::args().skip(1)) {
        *number = text.parse()?;
    }
    Ok(numbers)
}

/// A variable that `local.env` sets.
///
/// # Errors
/// When it is not set.
pub fn variable(name: &str) -> Result<String, Box<dyn Error>> {
    std::env::var(name).map_err(|_| format!("{name} is not set: source local.env").into())
}

/// Milliseconds that so many percent of the times stay below. The times must be sorted.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// Prints a table of what took how long.
pub fn print_times<'a>(rows: impl IntoIterator<Item = (&'a str, Vec<Duration>)>) {
    println!("| call | p50 ms | p99 ms |\n|---|---|---|");
    for (call, mut times) in rows {
        times.sort();
        println!("| {call} | {:.1} | {:.1} |", percentile(&times, 50), percentile(&times, 99));
    }
}
