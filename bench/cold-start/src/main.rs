//! Start functions as Lambda does, and measure starts and requests. Use the `run` script, which builds the functions.

mod budget;
mod candidate;
mod measure;
mod runtime_api;
mod sandbox;
mod tls_proxy;
mod work;
mod world;

use std::io;
use std::process::ExitCode;

use budget::Which;
use world::World;

#[tokio::main]
async fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().map_err(io::Error::other);
    match arguments[..] {
        ["starts", times, ref only @ ..] => {
            measure::starts(&mut World::start(true).await?, number(times)?, None, only).await?;
        }
        ["starts-without-tls", times, ref only @ ..] => {
            measure::starts(&mut World::start(false).await?, number(times)?, None, only).await?;
        }
        ["starts-on-an-eighth", times, ref only @ ..] => {
            let group = sandbox::group_with_core_share(8)?;
            measure::starts(&mut World::start(true).await?, number(times)?, Some(&group), only).await?;
        }
        ["warm", times, ref only @ ..] => measure::warm(&mut World::start(true).await?, number(times)?, only).await?,
        ["every-function", times] => measure::every_function(&World::start(true).await?, number(times)?).await?,
        ["keep"] => budget::keep(Which::Counted).await?,
        ["keep-all"] => budget::keep(Which::All).await?,
        ["check"] => return exit_code(budget::check(Which::Counted).await?),
        ["check-all"] => return exit_code(budget::check(Which::All).await?),
        _ => return Err(io::Error::other("unknown arguments: use bench/cold-start/run")),
    }
    Ok(ExitCode::SUCCESS)
}

fn exit_code(success: bool) -> io::Result<ExitCode> {
    Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
