//! Objects in a directory.
//!
//! The content of an object is written first, to a file with a unique name. The object becomes visible when its record,
//! which contains that file name, is renamed into place. Readers see either the old object or the new one. Killing the
//! process loses no acknowledged write. A power failure may, because files are not synced.
//!
//! `records/<hash of bucket and key>.json`, `bytes/<uuid>`, `uploads/<id>/upload.json` and `part-<n>.json`, `tmp/`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use s3s::crypto::{Checksum as _, Sha256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Object headers and metadata set by the client.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Attributes {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) metadata: Option<HashMap<String, String>>,
}

/// Base64 checksums by algorithm, named as in headers, such as `sha256`.
pub(super) type Checksums = BTreeMap<String, String>;

/// Stored content of an object or of a part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    /// File name in `bytes/`.
    pub(super) file: String,
    pub(super) size: u64,
    /// MD5 in hex, or `<md5>-<number of parts>` for a multipart object.
    pub(super) etag: String,
    pub(super) checksums: Checksums,
    pub(super) at: Timestamp,
}

/// Object with its content and metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) stored: Stored,
    pub(super) attributes: Attributes,
}

/// Open multipart upload: neither completed nor aborted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) attributes: Attributes,
    /// Checksum algorithm that the upload was created with, named as in [`Checksums`].
    pub(super) algorithm: Option<String>,
    pub(super) initiated: Timestamp,
    #[serde(skip)]
    pub(super) parts: BTreeMap<i32, Stored>,
}

/// Condition of a write.
#[derive(Clone, Debug)]
pub(super) enum Precondition {
    None,
    Absent,
    Matches(String),
}

/// Error of a commit.
#[derive(Debug)]
pub(super) enum CommitError {
    NoSuchBucket,
    NoSuchUpload,
    PreconditionFailed,
    Io(io::Error),
}

impl From<io::Error> for CommitError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Debug, Default)]
struct Index {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    uploads: BTreeMap<String, Upload>,
}

/// Objects and uploads of all buckets.
#[derive(Debug)]
pub(super) struct ObjectStore {
    root: PathBuf,
    /// Everything except file contents. Loaded from disk once, when the store is opened.
    index: Mutex<Index>,
}

impl ObjectStore {
    /// Open or create the store in `root`, and delete unfinished files of a killed process.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        for folder in ["records", "bytes", "uploads", "buckets", "tmp"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let mut index = Index::default();
        for bucket in fs::read_dir(root.join("buckets"))? {
            if let Ok(name) = bucket?.file_name().into_string() {
                index.buckets.insert(name, BTreeMap::new());
            }
        }
        let mut referenced = HashSet::new();
        for record in fs::read_dir(root.join("records"))? {
            let object: Object = read_json(&record?.path())?;
            referenced.insert(object.stored.file.clone());
            let bucket = index.buckets.entry(object.bucket.clone()).or_default();
            bucket.insert(object.key.clone(), object);
        }
        for folder in fs::read_dir(root.join("uploads"))? {
            let folder = folder?;
            let Some((id, upload)) = read_upload(&folder.path())? else {
                fs::remove_dir_all(folder.path())?;
                continue;
            };
            referenced.extend(upload.parts.values().map(|part| part.file.clone()));
            index.uploads.insert(id, upload);
        }
        for unfinished in fs::read_dir(root.join("tmp"))? {
            fs::remove_file(unfinished?.path())?;
        }
        for bytes in fs::read_dir(root.join("bytes"))? {
            let bytes = bytes?;
            if !bytes.file_name().to_str().is_some_and(|name| referenced.contains(name)) {
                fs::remove_file(bytes.path())?;
            }
        }
        Ok(Self { root: root.to_owned(), index: Mutex::new(index) })
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Name and path for a new content file.
    pub(super) fn new_bytes(&self) -> (String, PathBuf) {
        let name = Uuid::new_v4().simple().to_string();
        let path = self.bytes_path(&name);
        (name, path)
    }

    pub(super) fn bytes_path(&self, name: &str) -> PathBuf {
        self.root.join("bytes").join(name)
    }

    /// Delete unreferenced content files. Files that cannot be deleted now are deleted at the next start.
    pub(super) fn discard<'a>(&self, files: impl IntoIterator<Item = &'a str>) {
        for name in files {
            let _ = fs::remove_file(self.bytes_path(name));
        }
    }

    pub(super) fn create_bucket(&self, name: &str) -> io::Result<bool> {
        let mut index = self.lock();
        if index.buckets.contains_key(name) {
            return Ok(false);
        }
        fs::create_dir(self.root.join("buckets").join(name))?;
        index.buckets.insert(name.to_owned(), BTreeMap::new());
        Ok(true)
    }

    pub(super) fn has_bucket(&self, name: &str) -> bool {
        self.lock().buckets.contains_key(name)
    }

    pub(super) fn buckets(&self) -> Vec<String> {
        self.lock().buckets.keys().cloned().collect()
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.lock().buckets.get(bucket)?.get(key).cloned()
    }

    /// Objects with keys that start with `prefix` and are greater than `after`. `None` if the bucket does not exist.
    pub(super) fn list(&self, bucket: &str, prefix: &str, after: &str) -> Option<Vec<Object>> {
        let index = self.lock();
        let found = index.buckets.get(bucket)?.range(prefix.to_owned()..);
        Some(
            found
                .take_while(|(key, _)| key.starts_with(prefix))
                .filter(|(key, _)| key.as_str() > after)
                .map(|(_, object)| object.clone())
                .collect(),
        )
    }

    /// Create or replace the object under its key.
    pub(super) fn commit(&self, object: Object, only_if: &Precondition) -> Result<(), CommitError> {
        let replaced = self.commit_locked(&mut self.lock(), object, only_if)?;
        self.discard(replaced.as_deref());
        Ok(())
    }

    fn commit_locked(
        &self,
        index: &mut Index,
        object: Object,
        only_if: &Precondition,
    ) -> Result<Option<String>, CommitError> {
        let Some(bucket) = index.buckets.get_mut(&object.bucket) else {
            return Err(CommitError::NoSuchBucket);
        };
        let current = bucket.get(&object.key).map(|current| current.stored.etag.as_str());
        let holds = match only_if {
            Precondition::None => true,
            Precondition::Absent => current.is_none(),
            Precondition::Matches(etag) => current == Some(etag),
        };
        if !holds {
            return Err(CommitError::PreconditionFailed);
        }
        self.write_json(&self.record_path(&object.bucket, &object.key), &object)?;
        Ok(bucket.insert(object.key.clone(), object).map(|old| old.stored.file))
    }

    /// Delete an object. Succeeds if the object does not exist.
    pub(super) fn remove(&self, bucket: &str, key: &str) -> io::Result<()> {
        let mut index = self.lock();
        if let Some(object) = index.buckets.get_mut(bucket).and_then(|objects| objects.remove(key)) {
            fs::remove_file(self.record_path(bucket, key))?;
            self.discard([object.stored.file.as_str()]);
        }
        Ok(())
    }

    pub(super) fn create_upload(&self, upload: Upload) -> io::Result<String> {
        let id = Uuid::new_v4().simple().to_string();
        fs::create_dir(self.upload_path(&id))?;
        self.write_json(&self.upload_path(&id).join("upload.json"), &upload)?;
        self.lock().uploads.insert(id.clone(), upload);
        Ok(id)
    }

    pub(super) fn upload(&self, id: &str, bucket: &str, key: &str) -> Option<Upload> {
        let index = self.lock();
        let upload = index.uploads.get(id)?;
        (upload.bucket == bucket && upload.key == key).then(|| upload.clone())
    }

    pub(super) fn uploads(&self, bucket: &str, prefix: &str) -> Vec<(String, Upload)> {
        let index = self.lock();
        let of_bucket = |upload: &Upload| upload.bucket == bucket && upload.key.starts_with(prefix);
        let mut found: Vec<_> = index
            .uploads
            .iter()
            .filter(|(_, upload)| of_bucket(upload))
            .map(|(id, upload)| (id.clone(), upload.clone()))
            .collect();
        found.sort_by(|a, b| (&a.1.key, a.1.initiated).cmp(&(&b.1.key, b.1.initiated)));
        found
    }

    pub(super) fn put_part(&self, id: &str, number: i32, part: Stored) -> Result<(), CommitError> {
        let replaced = {
            let mut index = self.lock();
            let upload = index.uploads.get_mut(id).ok_or(CommitError::NoSuchUpload)?;
            self.write_json(&self.upload_path(id).join(format!("part-{number}.json")), &part)?;
            upload.parts.insert(number, part)
        };
        self.discard(replaced.as_ref().map(|part| part.file.as_str()));
        Ok(())
    }

    /// Commit `object` and remove the upload `id`, atomically for readers.
    pub(super) fn complete_upload(&self, id: &str, object: Object, only_if: &Precondition) -> Result<(), CommitError> {
        let mut index = self.lock();
        if !index.uploads.contains_key(id) {
            return Err(CommitError::NoSuchUpload);
        }
        let replaced = self.commit_locked(&mut index, object, only_if)?;
        self.discard(replaced.as_deref());
        self.end_upload(&mut index, id)
    }

    pub(super) fn abort_upload(&self, id: &str) -> Result<(), CommitError> {
        self.end_upload(&mut self.lock(), id)
    }

    fn end_upload(&self, index: &mut Index, id: &str) -> Result<(), CommitError> {
        let upload = index.uploads.remove(id).ok_or(CommitError::NoSuchUpload)?;
        fs::remove_dir_all(self.upload_path(id))?;
        self.discard(upload.parts.values().map(|part| part.file.as_str()));
        Ok(())
    }

    fn upload_path(&self, id: &str) -> PathBuf {
        self.root.join("uploads").join(id)
    }

    /// The name is a hash: keys may be longer than a file name, and both `a` and `a/b` may be keys.
    fn record_path(&self, bucket: &str, key: &str) -> PathBuf {
        let name = hex::encode(Sha256::checksum(format!("{bucket}/{key}").as_bytes()));
        self.root.join("records").join(format!("{name}.json"))
    }

    fn write_json(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        let unfinished = self.root.join("tmp").join(Uuid::new_v4().simple().to_string());
        fs::write(&unfinished, serde_json::to_vec(value)?)?;
        fs::rename(&unfinished, path)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)
}

fn read_upload(folder: &Path) -> io::Result<Option<(String, Upload)>> {
    let record = folder.join("upload.json");
    let (Some(id), true) = (folder.file_name().and_then(OsStr::to_str), record.exists()) else {
        return Ok(None);
    };
    let mut upload: Upload = read_json(&record)?;
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let number = path
            .file_stem()
            .and_then(OsStr::to_str)
            .and_then(|stem| stem.strip_prefix("part-"))
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            upload.parts.insert(number, read_json(&path)?);
        }
    }
    Ok(Some((id.to_owned(), upload)))
}
