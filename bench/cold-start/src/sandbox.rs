//! Process of a function, started and invoked as in Lambda.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::runtime_api::{Report, RuntimeApi};
use crate::tls_proxy::TlsProxy;

/// Command that starts a process.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    /// Program and arguments.
    pub(crate) command: Vec<PathBuf>,
    /// Control group that limits the CPU time. `None` for no limit.
    pub(crate) group: Option<PathBuf>,
}

/// A running function that waits for an event.
pub(crate) struct Sandbox {
    api: RuntimeApi,
    process: Child,
    /// Time from the start of the process to its first request for an event.
    pub(crate) init: Duration,
}

/// Times and response of an invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// Time from the event to the response.
    pub(crate) duration: Duration,
    /// Part of `duration` spent in calls to AWS.
    pub(crate) aws: Duration,
    pub(crate) response: Bytes,
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
        let started = Instant::now();
        let mut process = command.spawn()?;
        let ready = tokio::select! {
            ready = next_event_requested(&mut api) => ready?,
            ended = process.wait() => {
                let program = command.as_std().get_program().to_string_lossy();
                return Err(io::Error::other(format!("{program} exited before its first request for an event: {}", ended?)));
            }
        };
        Ok(Self { api, process, init: ready.saturating_duration_since(started) })
    }

    /// Send an event, and wait until the function requests the next event.
    pub(crate) async fn invoke(&mut self, event: Value, proxy: &TlsProxy) -> io::Result<Invocation> {
        let _ = proxy.take_upstream_time();
        let started = Instant::now();
        self.api.send(event)?;
        let (ended, response) = match self.api.next_report().await? {
            Report::Response(ended, response) => (ended, response),
            Report::NextRequested(_) => {
                return Err(io::Error::other("the function requested the next event before it responded"));
            }
            Report::Error(body) => return Err(failure(&body)),
        };
        let aws = proxy.take_upstream_time();
        next_event_requested(&mut self.api).await?;
        Ok(Invocation { duration: ended.saturating_duration_since(started), aws, response })
    }

    /// Peak resident memory in KiB.
    pub(crate) fn peak_memory(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other("/proc/PID/status has no VmHWM"))
    }

    /// CPU time of all threads so far. Less affected by other load than wall-clock time.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.id()?))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Send SIGTERM and wait until the process exits.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        let kill = Command::new("kill").args(["-TERM", &self.id()?.to_string()]).status().await?;
        if !kill.success() {
            return Err(io::Error::other("cannot send SIGTERM to the process"));
        }
        self.process.wait().await.map(drop)
    }

    fn id(&self) -> io::Result<u32> {
        self.process.id().ok_or_else(|| io::Error::other("the process has exited"))
    }
}

impl Bootstrap {
    fn command(&self) -> Command {
        let Some(group) = &self.group else {
            let mut command = Command::new(&self.command[0]);
            command.args(&self.command[1..]);
            return command;
        };
        // The shell joins the control group and then executes the function. Adds about 1 ms to every candidate.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.join("cgroup.procs")).args(&self.command);
        command
    }
}

async fn next_event_requested(api: &mut RuntimeApi) -> io::Result<Instant> {
    match api.next_report().await? {
        Report::NextRequested(at) => Ok(at),
        Report::Response(..) => Err(io::Error::other("the function responded without an event")),
        Report::Error(body) => Err(failure(&body)),
    }
}

fn failure(body: &[u8]) -> io::Error {
    io::Error::other(String::from_utf8_lossy(body).into_owned())
}

/// Scheduling period of Lambda: <https://docs.kernel.org/scheduler/sched-bwc.html>.
const PERIOD_MICROSECONDS: u32 = 20_000;

/// Create a control group (v1 or v2) that gets one core divided by `divisor`.
pub(crate) fn group_with_core_share(divisor: u32) -> io::Result<PathBuf> {
    let quota = PERIOD_MICROSECONDS / divisor;
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
