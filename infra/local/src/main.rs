//! Capstan on one machine.

use std::io::{self, Write};
use std::process::ExitCode;

use capstan_local::cli::Cli;
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(cli.log_filter()));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match cli.run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Of a command line that is not right; ends with 2, as clap does by itself.
            if let Some(usage) = error.downcast_ref::<clap::Error>() {
                usage.exit();
            }
            // A closed stderr is nobody to tell; the exit code says it all the same.
            let _ = writeln!(io::stderr(), "capstan: {error}");
            ExitCode::FAILURE
        }
    }
}
