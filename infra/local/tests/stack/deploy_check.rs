//! What `deploy-check` finds on machines that have everything, something and nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::process::output;

/// A machine with these programs, each a script with what it does, and these variables. It stands in this project.
fn check(programs: &[(&str, &str)], variables: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
    let machine = tempfile::tempdir().unwrap();
    for (name, does) in programs {
        let path = machine.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_capstan"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    command.env_clear().env("PATH", machine.path()).env("HOME", machine.path());
    // Nobody is asked over the network.
    command.env("AWS_EC2_METADATA_DISABLED", "true").envs(variables.iter().copied());
    let (success, stdout, stderr) = output(command.arg("deploy-check").args(arguments));
    assert_eq!(stderr, "");
    (success, stdout)
}

const SAM: (&str, &str) = ("sam", "echo 'SAM CLI, version 1.170.0'");
const CARGO_LAMBDA: (&str, &str) = ("cargo", "echo 'cargo-lambda 1.9.2'");
const ZIG: (&str, &str) = ("zig", "echo 0.17.0");
/// Has the target that it is asked about.
const RUSTC: (&str, &str) = ("rustc", "echo /");
const CREDENTIALS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hush")];
const REGION: (&str, &str) = ("AWS_DEFAULT_REGION", "eu-central-1");

#[test]
fn prints_the_deploy_command_if_nothing_is_missing() {
    let (success, screen) = check(
        &[SAM, CARGO_LAMBDA, ZIG, RUSTC],
        &[CREDENTIALS[0], CREDENTIALS[1], REGION],
        &["--architecture", "x86_64"],
    );
    assert!(success);
    insta::assert_snapshot!(screen, @r"
    ok       AWS credentials  AKIA..., found but not tried
    ok       AWS region       eu-central-1
    ok       SAM CLI          1.170.0
    ok       cargo-lambda     1.9.2
    ok       zig              0.17.0
    ok       Rust target      x86_64-unknown-linux-gnu
    ok       template.yaml    here
    ok       samconfig.toml   here

    sam build --parameter-overrides Architecture=x86_64 && sam deploy --guided --parameter-overrides Architecture=x86_64
    ");
    assert!(!screen.contains("EXAMPLE") && !screen.contains("hush"));
}

#[test]
fn lists_a_fix_for_each_missing_requirement_and_fails() {
    let (success, screen) = check(&[], &[], &[]);
    assert!(!success);
    insta::assert_snapshot!(screen, @r#"
    missing  AWS credentials  aws configure; or aws sso login && eval "$(aws configure export-credentials --format env)"
    missing  AWS region       aws configure set region eu-central-1; or export AWS_DEFAULT_REGION=eu-central-1
    missing  SAM CLI          pip install aws-sam-cli
    missing  cargo-lambda     pip install cargo-lambda
    missing  zig              pip install ziglang
    missing  Rust target      rustup target add aarch64-unknown-linux-gnu
    ok       template.yaml    here
    ok       samconfig.toml   here

    6 missing; run the command beside each
    "#);
}

#[test]
fn a_rust_target_without_a_standard_library_is_missing() {
    let rustc = ("rustc", "echo /nowhere/lib");
    let (success, screen) = check(&[SAM, CARGO_LAMBDA, ZIG, rustc], &[CREDENTIALS[0], CREDENTIALS[1], REGION], &[]);
    assert!(!success);
    assert!(screen.contains("missing  Rust target      rustup target add aarch64-unknown-linux-gnu\n"), "{screen}");
    assert_eq!(screen.matches("missing  ").count(), 1, "{screen}");
}

#[test]
fn zig_that_came_as_a_python_package_will_do() {
    let python = ("python3", "[ \"$*\" = '-m ziglang version' ] && echo 0.17.0");
    let (success, screen) = check(&[SAM, CARGO_LAMBDA, python, RUSTC], &[CREDENTIALS[0], CREDENTIALS[1], REGION], &[]);
    assert!(success, "{screen}");
}

#[test]
fn a_sam_too_old_to_build_a_workspace_is_missing() {
    for version in ["1.99.0", "1.169.9", "0.200.0", "unheard of"] {
        let sam = format!("echo 'SAM CLI, version {version}'");
        let (success, screen) = check(&[("sam", &sam)], &[], &[]);
        assert!(!success && screen.contains("pip install --upgrade aws-sam-cli, to 1.170 or newer"), "{screen}");
    }
    for version in ["1.170.0", "1.1000.0", "2.0.0"] {
        let sam = format!("echo 'SAM CLI, version {version}'");
        let (_, screen) = check(&[("sam", &sam)], &[], &[]);
        assert!(screen.contains(&format!("ok       SAM CLI          {version}\n")), "{screen}");
    }
}

#[test]
fn a_region_that_sam_does_not_read_is_missing() {
    let of = |variables: &[(&str, &str)]| check(&[], variables, &[]).1;
    let differs = "missing  AWS region       export AWS_DEFAULT_REGION=$AWS_REGION";
    assert!(of(&[("AWS_REGION", "eu-west-1")]).contains(differs));
    assert!(of(&[("AWS_REGION", "eu-west-1"), REGION]).contains(differs));
    assert!(of(&[("AWS_REGION", "eu-central-1"), REGION]).contains("ok       AWS region       eu-central-1\n"));
}

#[test]
fn reads_the_aws_profile() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config"), "[profile field]\nregion = eu-north-1\n").unwrap();
    fs::write(home.path().join("credentials"), "[field]\naws_access_key_id = AKIAX\naws_secret_access_key = hush\n")
        .unwrap();
    let path = |name| home.path().join(name).to_str().unwrap().to_owned();
    let (config, credentials) = (path("config"), path("credentials"));
    let variables =
        [("AWS_PROFILE", "field"), ("AWS_CONFIG_FILE", &*config), ("AWS_SHARED_CREDENTIALS_FILE", &*credentials)];
    let (_, screen) = check(&[], &variables, &[]);
    assert!(screen.contains("ok       AWS credentials  AKIA..., found but not tried\n"), "{screen}");
    assert!(screen.contains("ok       AWS region       eu-north-1\n"), "{screen}");
}
