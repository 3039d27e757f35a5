//! The real binary: what it says when it cannot start, what it writes, what outlives a kill.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use capstan_emulators::template::Template;
use capstan_local::client::Client;
use capstan_local::local_env::LocalEnv;
use http::Method;
use serde_json::{Value, json};

pub(crate) fn capstan(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capstan"));
    // A request that s3s rejects is an error to s3s. Some tests provoke it.
    command.arg("--data-dir").arg(data_dir).env("RUST_LOG", "error,s3s=off");
    command
}

/// Runs to the end.
pub(crate) fn output(command: &mut Command) -> (bool, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.success(), text(stdout), text(stderr))
}

/// A stack in a process of its own. Killed when dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) env: LocalEnv,
    /// What it said before it was ready.
    greeting: String,
}

impl Running {
    /// Starts on any port and waits until the stack answers.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_ahead(data_dir, 0)
    }

    /// Starts with the functions' clock so many seconds ahead.
    pub(crate) fn start_ahead(data_dir: &Path, seconds: u32) -> Self {
        let mut process = capstan(data_dir)
            .args(["--port", "0", &format!("--clock-ahead={seconds}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut greeting = String::new();
        // The last line of the greeting says how to stop it.
        while !greeting.contains("Ctrl-C") {
            let read = lines.read_line(&mut greeting).unwrap();
            assert!(read > 0, "the stack ended: {greeting}");
        }
        // Read on, so that the process never waits for a full pipe.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let env = LocalEnv::read(&LocalEnv::path(data_dir)).unwrap().unwrap();
        Self { process, env, greeting }
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.env.get(name).unwrap_or_else(|| panic!("local.env has no {name}"))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.get("CAPSTAN_URL"))
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.kill_in_place();
    }

    pub(crate) fn kill_in_place(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGINT, as Ctrl-C sends it.
    fn interrupt(&mut self) -> std::process::ExitStatus {
        let sent = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.process.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn create(running: &Running, name: &str) -> Value {
    let body = json!({"name": name});
    let token = running.get("CAPSTAN_DEVICE_TOKEN");
    running.client().call(Method::POST, "/v1/recordings", token, Some(&body)).await.unwrap()
}

async fn list(running: &Running, key: &str) -> Result<Vec<Value>, String> {
    let answer = running.client().call(Method::GET, "/v1/recordings", key, None).await;
    let page = answer.map_err(|error| error.to_string())?;
    Ok(page["data"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_killed_stack_restarts_with_its_data_keys_and_port() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let first = Running::start(&data);
    let key = first.get("CAPSTAN_API_KEY").to_owned();
    assert!(first.greeting.contains(&key));
    let aws = first.get("AWS_ENDPOINT_URL_S3").to_owned();
    let made = create(&first, "kept").await;
    let mode = std::fs::metadata(LocalEnv::path(&data)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    first.kill();

    let second = Running::start(&data);
    assert!(!second.greeting.contains(&key), "keys are shown once: {}", second.greeting);
    assert_eq!(second.get("CAPSTAN_API_KEY"), key);
    assert_eq!(second.get("AWS_ENDPOINT_URL_S3"), aws);
    assert_eq!(list(&second, &key).await.unwrap(), [made]);
}

#[test]
fn local_env_has_every_variable_of_every_function() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(&root.path().join("data"));
    for function in Template::of_this_project().unwrap().functions {
        for name in function.environment.keys().filter(|name| *name != "RUST_LOG") {
            assert!(running.env.get(name).is_some(), "{} starts without {name}", function.name);
        }
    }
}

#[tokio::test]
async fn an_interrupt_stops_the_stack_with_exit_status_0() {
    let root = tempfile::tempdir().unwrap();
    let mut running = Running::start(&root.path().join("data"));
    // The client keeps this connection open. An idle connection must not prevent the stop.
    create(&running, "x").await;
    assert!(running.interrupt().success());
}

#[test]
fn a_failed_start_prints_one_line() {
    let root = tempfile::tempdir().unwrap();
    let fails = |command: &mut Command, expected: &str| {
        let (success, stdout, stderr) = output(command);
        assert!(!success && stdout.is_empty() && stderr.lines().count() == 1, "{stdout}\n{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fails(capstan(&root.path().join("a")).args(["--port", &port]), &format!("port {port} is taken"));
    fails(capstan(&root.path().join("b")).args(["demo", "no-such-file.ogg"]), "cannot read no-such-file.ogg");
    fails(capstan(&root.path().join("c")).args(["demo", "Cargo.toml"]), "cannot tell the type");

    let other = root.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("version"), "0").unwrap();
    fails(capstan(&other).args(["--port", "0"]), "has version 0");
    fails(capstan(&root.path().join("file")).args(["keys", "create", "--project", "proj_1", "--scopes", "x"]), "`x`");
    File::create(root.path().join("file")).unwrap();
    fails(capstan(&root.path().join("file")).args(["--port", "0"]), "cannot use the data directory");
}

#[tokio::test]
async fn a_second_stack_on_the_same_data_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let running = Running::start(&data);
    let (success, _, stderr) = output(capstan(&data).args(["--port", "0"]));
    assert!(!success && stderr.contains("in use by a running stack"), "{stderr}");
    drop(running);
}

#[tokio::test]
async fn creates_a_key_for_a_running_and_a_stopped_stack() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let running = Running::start(&data);
    create(&running, "x").await;
    let project = running.get("CAPSTAN_PROJECT_ID").to_owned();
    let make = |scopes: &str| {
        let arguments = ["keys", "create", "--project", &project, "--scopes", scopes];
        let (success, stdout, stderr) = output(capstan(&data).args(arguments));
        assert!(success, "{stderr}");
        stdout.trim().to_owned()
    };
    let reader = make("recordings:read");
    assert!(reader.starts_with("rk_test_"), "{reader}");
    assert_eq!(list(&running, &reader).await.unwrap().len(), 1);
    let refused = list(&running, &make("webhooks:read")).await.unwrap_err();
    assert!(refused.contains("403"), "{refused}");
    running.kill();

    let made_at_rest = make("recordings:read");
    let running = Running::start(&data);
    assert_eq!(list(&running, &made_at_rest).await.unwrap().len(), 1);
}

#[test]
fn demo_succeeds_for_the_sample_and_fails_for_text() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let (success, stdout, stderr) = output(capstan(&data).arg("demo"));
    assert!(success && stderr.contains("completed"), "{stderr}");
    assert!(stdout.contains("peaks.json") && stdout.contains("http://127.0.0.1:"), "{stdout}");

    let _running = Running::start(&data);
    let noise = root.path().join("noise.ogg");
    std::fs::write(&noise, b"no audio at all").unwrap();
    let (success, stdout, stderr) = output(capstan(&data).arg("demo").arg(&noise));
    assert!(!success && stderr.contains("failed"), "{stderr}");
    assert!(stdout.contains("\"error\": {"), "{stdout}");
}
