//! `local.env`: what another process needs to join a running stack, as lines that a shell sources.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const HEADER: &str = "\
# Written by the stack at every start; source it to join. Only `cargo run` reads it back: for the keys it made.
# S3 is at an IP address, so every AWS SDK uses path-style URLs by itself; the aws CLI does too.
";

/// Variables in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalEnv(Vec<(String, String)>);

impl LocalEnv {
    /// The file of a data directory.
    #[must_use]
    pub fn path(data_directory: &Path) -> PathBuf {
        data_directory.join("local.env")
    }

    /// Reads what [`LocalEnv::write`] wrote. `None` when there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let line = |line: &str| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), value.trim_matches('\'').replace(r"'\''", "'")))
        };
        Ok(Some(Self(text.lines().filter_map(line).collect())))
    }

    /// Adds a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Adds a variable unless it is there.
    pub fn set_if_absent(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// A variable's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// Writes the file in one step, for its owner's eyes only: it holds keys.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = HEADER.to_owned();
        for (name, value) in &self.0 {
            text.push_str(&format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
        }
        let unfinished = path.with_extension("env.new");
        // An unfinished file of another mode may be there; the mode is given at creation only.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&unfinished, path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_reads_back_and_only_its_owner_can_read_it() {
        let root = tempfile::tempdir().unwrap();
        let path = LocalEnv::path(root.path());
        assert_eq!(LocalEnv::read(&path).unwrap(), None);
        let mut env = LocalEnv::default();
        env.set("A", "it's $HOME");
        env.set("B", "");
        env.write(&path).unwrap();
        env.write(&path).unwrap();
        assert_eq!(LocalEnv::read(&path).unwrap(), Some(env));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let sourced =
            std::process::Command::new("sh").arg("-c").arg(". \"$0\"; echo \"$A\"").arg(&path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&sourced.stdout), "it's $HOME\n");
    }
}
