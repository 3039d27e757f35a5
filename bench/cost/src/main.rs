//! Counts what AWS bills of a recording's life, on the local stack, and prices it.
//!
//! Calls and units are counted; durations and log lines are assumed (`assumptions.json`), as those of this machine are not
//! AWS's. Prices are list prices (`prices.json`), without free tiers. Storage, transfer and transcription are not in it.

#![allow(clippy::print_stdout, reason = "the figures are its output")]

mod bill;
mod count;
mod life;
mod metered;
#[cfg(test)]
mod tests;

use std::error::Error;

use crate::bill::Tariff;
use crate::life::Life;
use crate::metered::Metered;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tariff = Tariff::read()?;
    for life in Life::ALL {
        let metered = Metered::start().await?;
        let count = life.count(&metered).await?;
        println!("## {life}\n\n{count}");
        println!("{}", tariff.bill(life.name(), &count, metered.template()));
    }
    Ok(())
}
