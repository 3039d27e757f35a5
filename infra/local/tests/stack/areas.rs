//! The packages of the functions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn areas() -> Vec<PathBuf> {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
    std::fs::read_dir(functions).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// Each dependency of the binaries of an area, such as `hyper v1.12.0`, with its features.
fn dependencies(area: &Path) -> Vec<(String, String)> {
    let arguments = ["tree", "--offline", "--quiet", "--edges=normal,build", "--prefix=none", "--format={p}|{f}"];
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).arg("--manifest-path").arg(area.join("Cargo.toml"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let split = |line: &str| line.trim_end_matches(" (*)").split_once('|').map(|(name, of)| (name.into(), of.into()));
    text.lines().filter_map(split).collect()
}

/// SAM builds one area after the other. Cargo compiles a dependency again for each other set of features.
#[test]
fn areas_share_the_features_of_their_dependencies() {
    let mut features = BTreeMap::<String, BTreeSet<String>>::new();
    for area in areas() {
        for (name, of) in dependencies(&area) {
            features.entry(name).or_default().insert(of);
        }
    }
    assert!(features.keys().any(|name| name.starts_with("aws-sdk-dynamodb ")), "{features:?}");
    features.retain(|_, sets| sets.len() > 1);
    assert!(features.is_empty(), "name the missing features in shared/aws/Cargo.toml: {features:#?}");
}
