//! The directory that a stack keeps its data in: one stack at a time, of one version.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The form of the data. A stack refuses a directory of another one rather than misread it.
const VERSION: &str = "1";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// It cannot be read or written.
    #[error("cannot use the data directory {}: {source}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another stack runs on it.
    #[error("the data directory {} is in use by a running stack", .0.display())]
    InUse(PathBuf),
    /// Another version of Capstan wrote it.
    #[error("the data directory {} has version {found}, and this is version {VERSION}: choose another with --data-dir", path.display())]
    OtherVersion {
        /// The directory.
        path: PathBuf,
        /// What its version file says.
        found: String,
    },
    /// It holds something that is not Capstan's.
    #[error("{} holds other files: choose an empty or new directory with --data-dir", .0.display())]
    Foreign(PathBuf),
}

/// A data directory that this process alone uses.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Locked as long as it is open; a killed process holds no lock.
    _lock: File,
}

impl DataDirectory {
    /// Opens or makes the directory and locks it.
    ///
    /// # Errors
    /// [`DataDirectoryError`] when it is someone else's.
    pub fn open(path: &Path) -> Result<Self, DataDirectoryError> {
        let unusable = |source| DataDirectoryError::Unusable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let is_new = fs::read_dir(path).map_err(unusable)?.next().is_none();
        let version = path.join("version");
        match fs::read_to_string(&version) {
            Ok(found) if found.trim() == VERSION => {}
            Ok(found) => {
                let found = found.trim().to_owned();
                return Err(DataDirectoryError::OtherVersion { path: path.to_owned(), found });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_new => {
                fs::write(&version, VERSION).map_err(unusable)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DataDirectoryError::Foreign(path.to_owned()));
            }
            Err(error) => return Err(unusable(error)),
        }
        let lock = File::create(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirectoryError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the emulated AWS keeps its data.
    #[must_use]
    pub fn aws(&self) -> PathBuf {
        self.path.join("aws")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stack_per_data_directory() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let first = DataDirectory::open(&path).unwrap();
        assert!(matches!(DataDirectory::open(&path), Err(DataDirectoryError::InUse(_))));
        drop(first);
        DataDirectory::open(&path).unwrap();
    }

    #[test]
    fn another_version_and_a_foreign_directory_are_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("version"), "0\n").unwrap();
        let error = DataDirectory::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("has version 0"), "{error}");
        fs::rename(root.path().join("version"), root.path().join("thesis.doc")).unwrap();
        assert!(matches!(DataDirectory::open(root.path()), Err(DataDirectoryError::Foreign(_))));
    }
}
