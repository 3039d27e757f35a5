//! Count the billable AWS usage of a recording on the local stack, and price it.
//!
//! Calls and units are measured. Function durations and log sizes are assumed (`assumptions.json`), because this machine
//! is not Lambda. Prices are list prices (`prices.json`) without free tiers. Storage, transfer and transcription are not
//! included.

#![allow(clippy::print_stdout, reason = "the program prints its results")]

mod bill;
mod count;
mod metered;
mod scenario;
#[cfg(test)]
mod tests;

use std::error::Error;

use crate::bill::Tariff;
use crate::metered::Metered;
use crate::scenario::Scenario;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tariff = Tariff::read()?;
    for scenario in Scenario::ALL {
        let metered = Metered::start().await?;
        let count = scenario.count(&metered).await?;
        println!("## {scenario}\n\n{count}");
        println!("{}", tariff.bill(scenario.name(), &count, metered.template()));
    }
    Ok(())
}
