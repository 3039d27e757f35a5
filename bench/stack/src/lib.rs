//! Shared by the stack benchmarks: command-line arguments and output of times.

#![allow(clippy::print_stdout, reason = "the program prints its results")]

use std::error::Error;
use std::time::Duration;

/// Numeric command-line arguments. Missing arguments have their defaults.
///
/// # Errors
/// Returns an error if an argument is not a number.
pub fn arguments<const N: usize>(defaults: [usize; N]) -> Result<[usize; N], Box<dyn Error>> {
    let mut numbers = defaults;
    for (number, text) in numbers.iter_mut().zip(std::env::args().skip(1)) {
        *number = text.parse()?;
    }
    Ok(numbers)
}

/// Value of an environment variable from `local.env`.
///
/// # Errors
/// Returns an error if the variable is not set.
pub fn variable(name: &str) -> Result<String, Box<dyn Error>> {
    std::env::var(name).map_err(|_| format!("{name} is not set: run `. .capstan/local.env` first").into())
}

/// Percentile of sorted times, in milliseconds. NaN if there are no times.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// Print a table with the median and the 99th percentile of each call.
pub fn print_times<'a>(rows: impl IntoIterator<Item = (&'a str, Vec<Duration>)>) {
    println!("| call | p50 ms | p99 ms |\n|---|---|---|");
    for (call, mut times) in rows {
        times.sort();
        println!("| {call} | {:.1} | {:.1} |", percentile(&times, 50), percentile(&times, 99));
    }
}
