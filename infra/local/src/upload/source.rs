//! The file that is sent.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt, Take};
use tokio::task::JoinHandle;

use crate::file_type;
use crate::upload::error::UploadError;

/// A file, as it was when its upload was begun.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    content_type: &'static str,
    version: Version,
}

/// What a change of the content changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    size_bytes: u64,
    modified_seconds: i64,
    modified_nanoseconds: i64,
}

impl From<&Metadata> for Version {
    fn from(of: &Metadata) -> Self {
        Self { size_bytes: of.size(), modified_seconds: of.mtime(), modified_nanoseconds: of.mtime_nsec() }
    }
}

impl Source {
    /// # Errors
    /// Where it is no file of a type that is known by its name, or has no bytes.
    pub(crate) fn of(path: &Path) -> Result<Self, UploadError> {
        let found = path.canonicalize().and_then(|path| Ok((path.metadata()?, path)));
        let (metadata, absolute) = found.map_err(UploadError::Unreadable)?;
        if !metadata.is_file() {
            return Err(UploadError::NotAFile);
        }
        if metadata.len() == 0 {
            return Err(UploadError::Empty);
        }
        let content_type = file_type::of_name(path).ok_or(UploadError::UnknownType)?;
        Ok(Self { path: absolute, content_type, version: Version::from(&metadata) })
    }

    /// The path's bytes, which need not be text.
    pub(crate) fn path_bytes(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }

    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(crate) fn content_type(&self) -> &'static str {
        self.content_type
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.version.size_bytes
    }

    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// # Errors
    /// [`UploadError::Changed`].
    pub(crate) async fn require_unchanged(&self) -> Result<(), UploadError> {
        let metadata = tokio::fs::metadata(&self.path).await.map_err(UploadError::Unreadable)?;
        if Version::from(&metadata) == self.version { Ok(()) } else { Err(UploadError::Changed) }
    }

    /// `size` bytes from `offset` on.
    pub(crate) async fn slice(&self, offset: u64, size: u64) -> Result<Take<tokio::fs::File>, UploadError> {
        let open = async {
            let mut file = tokio::fs::File::open(&self.path).await?;
            file.seek(io::SeekFrom::Start(offset)).await?;
            Ok(file.take(size))
        };
        open.await.map_err(UploadError::Unreadable)
    }

    /// Begins to compute the SHA-256 of the whole, as hexadecimal digits.
    pub(crate) fn hash(&self) -> JoinHandle<io::Result<String>> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || {
            let (mut file, mut hash, mut buffer) = (std::fs::File::open(path)?, Sha256::new(), vec![0; 256 * 1024]);
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(hex::encode(hash.finalize())),
                    read => hash.update(&buffer[..read]),
                }
            }
        })
    }
}
