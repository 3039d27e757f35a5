//! `ListObjectsV2` with prefix, delimiter and pagination.

use s3s::dto::{CommonPrefix, ETag, ListObjectsV2Input, ListObjectsV2Output, Object};
use s3s::{S3Response, S3Result, s3_error};

use super::store::Object as StoredObject;
use super::{Objects, PAGE, signed, timestamp};

/// One entry of a listing.
enum Entry {
    Object(Box<StoredObject>),
    /// Common prefix of several keys, including the delimiter.
    Folder(String),
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Object(object) => &object.key,
            Self::Folder(prefix) => prefix,
        }
    }
}

impl Objects {
    pub(super) fn list_page(&self, input: ListObjectsV2Input) -> S3Result<S3Response<ListObjectsV2Output>> {
        let after = input.continuation_token.as_deref().or(input.start_after.as_deref()).unwrap_or_default();
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let found = self.store.list(&input.bucket, prefix, after).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let limit = usize::try_from(input.max_keys.unwrap_or(1000)).map_or(PAGE, |max| max.min(PAGE));
        let mut entries = entries(found, prefix.len(), input.delimiter.as_deref(), after);
        let is_truncated = entries.len() > limit;
        entries.truncate(limit);

        let next = entries.last().filter(|_| is_truncated).map(|last| last.name().to_owned());
        let key_count = i32::try_from(entries.len()).ok();
        let (mut contents, mut folders) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Object(object) => contents.push(listed(*object)),
                Entry::Folder(prefix) => folders.push(CommonPrefix { prefix: Some(prefix) }),
            }
        }
        Ok(S3Response::new(ListObjectsV2Output {
            key_count,
            max_keys: i32::try_from(limit).ok(),
            contents: Some(contents),
            common_prefixes: Some(folders),
            is_truncated: Some(is_truncated),
            next_continuation_token: next,
            continuation_token: input.continuation_token,
            delimiter: input.delimiter,
            start_after: input.start_after,
            prefix: input.prefix,
            name: Some(input.bucket),
            ..ListObjectsV2Output::default()
        }))
    }
}

/// Entries of a listing, in order. Keys with the same prefix up to the delimiter are one entry.
fn entries(found: Vec<StoredObject>, prefix_length: usize, delimiter: Option<&str>, after: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for object in found {
        let folder = delimiter.filter(|delimiter| !delimiter.is_empty()).and_then(|delimiter| {
            let end = object.key[prefix_length..].find(delimiter)? + prefix_length + delimiter.len();
            Some(object.key[..end].to_owned())
        });
        match folder {
            None => entries.push(Entry::Object(Box::new(object))),
            // The folder was already listed, on a previous page or on this page.
            Some(folder) if folder.as_str() <= after => {}
            Some(folder) if entries.last().is_some_and(|last| last.name() == folder) => {}
            Some(folder) => entries.push(Entry::Folder(folder)),
        }
    }
    entries
}

fn listed(object: StoredObject) -> Object {
    Object {
        key: Some(object.key),
        size: Some(signed(object.stored.size)),
        e_tag: Some(ETag::Strong(object.stored.etag)),
        last_modified: Some(timestamp(object.stored.at)),
        ..Object::default()
    }
}
