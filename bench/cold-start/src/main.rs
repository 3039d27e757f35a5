//! Starts functions as Lambda does and measures what that costs. `run` beside this builds what it needs.

mod budget;
mod contestant;
mod front;
mod measure;
mod runtime_api;
mod sandbox;
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
            measure::starts(&mut World::make(true).await?, number(times)?, None, only).await?;
        }
        ["starts-without-tls", times, ref only @ ..] => {
            measure::starts(&mut World::make(false).await?, number(times)?, None, only).await?;
        }
        ["starts-on-an-eighth", times, ref only @ ..] => {
            let group = sandbox::group_with_a_core_in(8)?;
            measure::starts(&mut World::make(true).await?, number(times)?, Some(&group), only).await?;
        }
        ["warm", times, ref only @ ..] => measure::warm(&mut World::make(true).await?, number(times)?, only).await?,
        ["every-function", times] => measure::every_function(&World::make(true).await?, number(times)?).await?,
        ["keep"] => budget::keep(Which::Counted).await?,
        ["keep-all"] => budget::keep(Which::All).await?,
        ["check"] => return verdict(budget::check(Which::Counted).await?),
        ["check-all"] => return verdict(budget::check(Which::All).await?),
        _ => return Err(io::Error::other("say what to do: `run` beside this does")),
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(holds: bool) -> io::Result<ExitCode> {
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
