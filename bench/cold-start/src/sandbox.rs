//! A function's process, as Lambda starts and uses it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::front::Front;
use crate::runtime_api::{RuntimeApi, Told};

/// How a process is started.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    /// The program and its arguments.
    pub(crate) command: Vec<PathBuf>,
    /// The control group that limits its processor time.
    pub(crate) group: Option<PathBuf>,
}

/// A running function that waits for an event.
pub(crate) struct Sandbox {
    api: RuntimeApi,
    process: Child,
    /// From the start of the process until it asked for its first event.
    pub(crate) init: Duration,
}

/// What an invocation took.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// From the event to the answer.
    pub(crate) duration: Duration,
    /// What of it AWS took.
    pub(crate) aws: Duration,
    pub(crate) answer: Bytes,
}

impl Sandbox {
    pub(crate) async fn start(bootstrap: &Bootstrap, variables: &[(String, String)]) -> io::Result<Self> {
        let mut api = RuntimeApi::open().await?;
        let mut command = bootstrap.command();
        command.env_clear().envs(variables.iter().cloned());
        command.env("AWS_LAMBDA_RUNTIME_API", api.address.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        if std::env::var_os("COLD_START_LOGS").is_none() {
            command.stderr(Stdio::null());
        }
        let began = Instant::now();
        let mut process = command.spawn()?;
        let asked = tokio::select! {
            asked = asked(&mut api) => asked?,
            ended = process.wait() => {
                let program = command.as_std().get_program().to_string_lossy();
                return Err(io::Error::other(format!("{program} ended before it asked for an event: {}", ended?)));
            }
        };
        Ok(Self { api, process, init: asked.saturating_duration_since(began) })
    }

    /// Hands it an event, and waits until it asks for the next.
    pub(crate) async fn invoke(&mut self, event: Value, front: &Front) -> io::Result<Invocation> {
        let _ = front.take_spent();
        let began = Instant::now();
        self.api.hand(event)?;
        let (ended, answer) = match self.api.told().await? {
            Told::Answers(ended, answer) => (ended, answer),
            Told::Asks(_) => return Err(io::Error::other("it asks for the next event before it has answered")),
            Told::Fails(how) => return Err(failure(&how)),
        };
        let aws = front.take_spent();
        asked(&mut self.api).await?;
        Ok(Invocation { duration: ended.saturating_duration_since(began), aws, answer })
    }

    /// The most memory that it ever had, in KiB.
    pub(crate) fn peak_memory(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other("the kernel tells no VmHWM"))
    }

    /// The processor time of all its threads so far, which another's load does not lengthen as it does the clock's.
    pub(crate) fn processor_time(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.id()?))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Asks the process to end and waits for that.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.id()?.to_string()]).status().await?;
        if !asked.success() {
            return Err(io::Error::other("the process could not be told to end"));
        }
        self.process.wait().await.map(drop)
    }

    fn id(&self) -> io::Result<u32> {
        self.process.id().ok_or_else(|| io::Error::other("the process has ended"))
    }
}

impl Bootstrap {
    fn command(&self) -> Command {
        let Some(group) = &self.group else {
            let mut command = Command::new(&self.command[0]);
            command.args(&self.command[1..]);
            return command;
        };
        // The shell puts itself into the group and becomes the function: about a millisecond, for every contestant.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.join("cgroup.procs")).args(&self.command);
        command
    }
}

async fn asked(api: &mut RuntimeApi) -> io::Result<Instant> {
    match api.told().await? {
        Told::Asks(at) => Ok(at),
        Told::Answers(..) => Err(io::Error::other("it answers what it was not asked")),
        Told::Fails(how) => Err(failure(&how)),
    }
}

fn failure(how: &[u8]) -> io::Error {
    io::Error::other(String::from_utf8_lossy(how).into_owned())
}

/// Lambda's period: <https://docs.kernel.org/scheduler/sched-bwc.html>.
const PERIOD_MICROSECONDS: u32 = 20_000;

/// A control group that gets a share of one core; of either version of the kernel's interface.
pub(crate) fn group_with_a_core_in(parts: u32) -> io::Result<PathBuf> {
    let quota = PERIOD_MICROSECONDS / parts;
    let first = Path::new("/sys/fs/cgroup/cpu");
    if first.join("cpu.cfs_quota_us").exists() {
        let group = first.join("capstan-cold-start");
        std::fs::create_dir_all(&group)?;
        std::fs::write(group.join("cpu.cfs_period_us"), PERIOD_MICROSECONDS.to_string())?;
        std::fs::write(group.join("cpu.cfs_quota_us"), quota.to_string())?;
        return Ok(group);
    }
    let group = Path::new("/sys/fs/cgroup").join("capstan-cold-start");
    std::fs::create_dir_all(&group)?;
    std::fs::write(group.join("cpu.max"), format!("{quota} {PERIOD_MICROSECONDS}"))?;
    Ok(group)
}
