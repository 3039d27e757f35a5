//! What is missing on this machine for `sam build && sam deploy --guided`.

use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use clap::ValueEnum;

/// The first SAM CLI that compiles what the functions share once. Those before 1.170 were not tried: the ones of
/// mid-2026 compile every dependency again for each function, and the oldest ones do not find a workspace's binaries.
/// <https://github.com/aws/aws-lambda-builders/pull/901>
const SAM_AT_LEAST: (u32, u32) = (1, 170);

/// Processor of the functions: `Architecture` of `template.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Architecture {
    /// Graviton; the default of `template.yaml`.
    #[value(name = "arm64")]
    Arm64,
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86_64,
}

impl Architecture {
    /// Name of the Rust target.
    #[must_use]
    pub fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }
}

/// One thing that a deployment needs.
#[derive(Debug)]
pub struct Requirement {
    /// Name of the requirement.
    pub name: &'static str,
    /// What was found, or the command that installs it.
    pub found: Result<String, String>,
}

/// Checks everything that a deployment from `project`, the folder of `template.yaml`, needs. Sends no request to AWS
/// and changes nothing.
pub async fn check(project: &Path, architecture: Architecture) -> Vec<Requirement> {
    let configuration = aws_config::load_from_env().await;
    let requirement = |name, found: Result<String, &str>| Requirement { name, found: found.map_err(str::to_owned) };
    vec![
        requirement("AWS credentials", credentials(&configuration).await),
        requirement("AWS region", region(&configuration)),
        requirement("SAM CLI", sam()),
        requirement("cargo-lambda", cargo_lambda().ok_or("pip install cargo-lambda")),
        requirement("zig", zig().ok_or("pip install ziglang")),
        Requirement { name: "Rust target", found: target(architecture.target()) },
        requirement(
            "template.yaml",
            file(project, "template.yaml").ok_or("cd to the folder of Capstan's template.yaml"),
        ),
        requirement("samconfig.toml", file(project, "samconfig.toml").ok_or("git checkout samconfig.toml")),
    ]
}

/// Formats the requirements for a terminal.
#[must_use]
pub fn screen(requirements: &[Requirement]) -> String {
    let width = requirements.iter().map(|requirement| requirement.name.len()).max().unwrap_or_default();
    let mut screen = String::new();
    for Requirement { name, found } in requirements {
        let (status, text) = match found {
            Ok(what) => ("ok     ", what),
            Err(fix) => ("missing", fix),
        };
        // A string takes whatever is written.
        let _ = writeln!(screen, "{status}  {name:width$}  {text}");
    }
    screen
}

/// Asks the SDK's whole provider chain, which also finds the credentials of an EC2 instance or a container. They are
/// not sent to AWS.
async fn credentials(configuration: &SdkConfig) -> Result<String, &'static str> {
    const FIX: &str = "aws configure; or aws sso login && eval \"$(aws configure export-credentials --format env)\"";
    let provider = configuration.credentials_provider().ok_or(FIX)?;
    let found = provider.provide_credentials().await.map_err(|_| FIX)?;
    // The first four letters give the kind of the key. The rest is not shown, because screens are shared.
    let kind: String = found.access_key_id().chars().take(4).collect();
    Ok(format!("{kind}..., found but not tried"))
}

/// `cargo run -- keys` goes to `AWS_REGION` first; `sam` and the other tools written in Python read `AWS_DEFAULT_REGION`
/// only. Where both are silent, both read the profile's.
fn region(configuration: &SdkConfig) -> Result<String, &'static str> {
    const FIX: &str = "aws configure set region eu-central-1; or export AWS_DEFAULT_REGION=eu-central-1";
    let region = configuration.region().ok_or(FIX)?.to_string();
    let differs = env::var("AWS_REGION").is_ok() && env::var("AWS_DEFAULT_REGION").as_ref() != Ok(&region);
    if differs { Err("export AWS_DEFAULT_REGION=$AWS_REGION, because sam reads no AWS_REGION") } else { Ok(region) }
}

fn sam() -> Result<String, &'static str> {
    let line = first_line("sam", &["--version"]).ok_or("pip install aws-sam-cli")?;
    let version = line.rsplit(' ').next().unwrap_or_default().to_owned();
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let known = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if known < SAM_AT_LEAST { Err("pip install --upgrade aws-sam-cli, to 1.170 or newer") } else { Ok(version) }
}

fn cargo_lambda() -> Option<String> {
    let line = first_line("cargo", &["lambda", "--version"])?;
    Some(line.trim_start_matches("cargo-lambda ").to_owned())
}

/// Where cargo-lambda looks for it.
fn zig() -> Option<String> {
    first_line("zig", &["version"]).or_else(|| first_line("python3", &["-m", "ziglang", "version"]))
}

/// Whether the compiler that builds here has the target's standard library, with rustup or without.
fn target(target: &str) -> Result<String, String> {
    let folder = first_line("rustc", &["--print", "target-libdir", "--target", target]).map(PathBuf::from);
    match folder {
        Some(folder) if folder.is_dir() => Ok(target.to_owned()),
        _ => Err(format!("rustup target add {target}")),
    }
}

fn file(folder: &Path, name: &str) -> Option<String> {
    folder.join(name).is_file().then(|| "here".to_owned())
}

/// First line of a program's output, if it exists and succeeds.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.lines().next()?.trim().to_owned())
}
