//! Compared implementations: the deployed functions, a minimal Rust function, and two endpoints in Node and Python.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::budget::VALGRIND;
use crate::sandbox::Bootstrap;
use crate::work::Work;

/// One implementation of a function.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) language: &'static str,
    pub(crate) function: String,
    pub(crate) work: Work,
    command: Vec<PathBuf>,
}

impl Candidate {
    /// A function of this project, or `hello`, built with the release profile.
    pub(crate) fn rust(function: &str, work: Work) -> Self {
        let command = vec![target().join("release").join(function)];
        Self { language: "Rust", function: function.to_owned(), work, command }
    }

    /// All candidates with a real request, starting with `hello`. If `only` is not empty, only its functions.
    pub(crate) fn working(only: &[&str]) -> Vec<Self> {
        let rust = [
            "hello",
            "create-upload-url",
            "complete-upload",
            "get-recording",
            "process-recording",
            "run-transcription",
        ];
        let rust = rust.iter().filter_map(|function| Some(Self::rust(function, Work::of(function)?)));
        let others = ["create-upload-url", "complete-upload"];
        let others = others.iter().filter_map(|function| Some((*function, Work::of(function)?)));
        let others = others.flat_map(|(function, work)| [Self::node(function, work), Self::python(function, work)]);
        rust.chain(others).filter(|one| only.is_empty() || only.contains(&one.function.as_str())).collect()
    }

    fn node(function: &str, work: Work) -> Self {
        let bundle = target().join("cold-start/node").join(function).join("index.js");
        let command = vec![program("COLD_START_NODE", "/usr/bin/node"), bundle];
        Self { language: "Node", function: function.to_owned(), work, command }
    }

    fn python(function: &str, work: Work) -> Self {
        let module = here().join("python").join(format!("{}.py", function.replace('-', "_")));
        let command = vec![target().join("cold-start/python/bin/python"), module];
        Self { language: "Python", function: function.to_owned(), work, command }
    }

    /// Start command, optionally in a control group.
    pub(crate) fn bootstrap(&self, group: Option<&Path>) -> Bootstrap {
        Bootstrap { command: self.command.clone(), group: group.map(Path::to_owned) }
    }

    /// Start command under valgrind, which writes instruction counts to `file`.
    pub(crate) fn counted(&self, file: &Path) -> Bootstrap {
        let mut out = std::ffi::OsString::from("--callgrind-out-file=");
        out.push(file);
        let mut command: Vec<PathBuf> = vec![VALGRIND.into(), "--tool=callgrind".into(), out.into()];
        command.extend(self.command.iter().cloned());
        Bootstrap { command, group: None }
    }

    /// Compressed size of the deployed binary in bytes. The zip format adds 100 to 200 bytes.
    pub(crate) fn zip_bytes(&self) -> io::Result<u64> {
        let file = self.command.last().ok_or_else(|| io::Error::other("the start command is empty"))?;
        let gzip = Command::new("gzip").args(["-6", "-c"]).arg(file).output()?;
        if !gzip.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&gzip.stderr).into_owned()));
        }
        Ok(gzip.stdout.len() as u64)
    }
}

/// Names of all deployed functions: the binaries of the packages in `functions/`.
pub(crate) fn functions() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for area in std::fs::read_dir(here().join("../../functions"))? {
        for binary in std::fs::read_dir(area?.path().join("src/bin"))? {
            names.extend(binary?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Directory of this package.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Target directory of the `run` script.
pub(crate) fn target() -> PathBuf {
    here().join("../../target")
}

fn program(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}
