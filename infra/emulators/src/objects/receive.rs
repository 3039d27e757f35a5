//! Receive request bodies, and reject bodies that do not match the declared length or checksums.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt;
use jiff::Timestamp;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};

use super::store::{Checksums, ObjectStore, Stored};

/// Large enough to avoid one blocking write per network packet.
const BUFFER: usize = 256 * 1024;

/// Length and checksums that the client declared for the body.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) length: Option<i64>,
    /// Base64, as in `Content-MD5`.
    pub(super) md5: Option<String>,
    /// Checksums from request headers.
    pub(super) checksums: Checksums,
    /// Further algorithms to compute, such as `sha256`: the value is in a trailer, or S3 adds the checksum by default.
    pub(super) algorithms: Vec<String>,
    pub(super) trailers: Option<TrailingHeaders>,
}

/// Checksums of an S3 input or output, by algorithm.
macro_rules! checksums_of {
    ($from:expr) => {
        [
            ("crc32", &$from.checksum_crc32),
            ("crc32c", &$from.checksum_crc32c),
            ("crc64nvme", &$from.checksum_crc64nvme),
            ("sha1", &$from.checksum_sha1),
            ("sha256", &$from.checksum_sha256),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect::<$crate::objects::store::Checksums>()
    };
}
pub(super) use checksums_of;

/// Hasher for the given algorithms, named as in [`Checksums`].
pub(super) fn hasher<'a>(algorithms: impl IntoIterator<Item = &'a str>) -> S3Result<ChecksumHasher> {
    let mut hasher = ChecksumHasher::default();
    for algorithm in algorithms {
        match algorithm {
            "crc32" => hasher.crc32 = Some(Default::default()),
            "crc32c" => hasher.crc32c = Some(Default::default()),
            "crc64nvme" => hasher.crc64nvme = Some(Default::default()),
            "sha1" => hasher.sha1 = Some(Default::default()),
            "sha256" => hasher.sha256 = Some(Default::default()),
            _ => return Err(s3_error!(InvalidRequest, "unsupported checksum algorithm")),
        }
    }
    Ok(hasher)
}

/// Checksums computed by a hasher, by algorithm.
pub(super) fn results(hasher: ChecksumHasher) -> Checksums {
    let sums: Checksum = hasher.finalize();
    checksums_of!(sums)
}

/// File being written. Deleted on drop unless kept, for example if the client disconnects.
struct Incoming<'a> {
    store: &'a ObjectStore,
    file: Option<String>,
}

impl Incoming<'_> {
    fn keep(mut self) -> String {
        self.file.take().unwrap_or_default()
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        self.store.discard(self.file.as_deref());
    }
}

/// Write `body` to a new file and verify it. On an error the file is deleted.
pub(super) async fn receive(store: &ObjectStore, body: StreamingBlob, claims: Claims) -> S3Result<Stored> {
    let (file, path) = store.new_bytes();
    let incoming = Incoming { store, file: Some(file) };
    let (size, md5, checksums) = write(&path, body, claims).await?;
    Ok(Stored { file: incoming.keep(), size, etag: hex::encode(md5), checksums, at: Timestamp::now() })
}

async fn write(path: &Path, mut body: StreamingBlob, mut claims: Claims) -> S3Result<(u64, [u8; 16], Checksums)> {
    let mut file = BufWriter::with_capacity(BUFFER, File::create(path).await.map_err(S3Error::internal_error)?);
    let wanted = claims.checksums.keys().chain(&claims.algorithms).map(String::as_str);
    let mut hasher = hasher(wanted)?;
    let mut md5 = Md5::new();
    let mut size = 0_u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| S3Error::with_source(s3s::S3ErrorCode::IncompleteBody, error))?;
        size += chunk.len() as u64;
        md5.update(&chunk);
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(S3Error::internal_error)?;
    }
    file.flush().await.map_err(S3Error::internal_error)?;

    if claims.length.is_some_and(|length| u64::try_from(length) != Ok(size)) {
        return Err(s3_error!(IncompleteBody, "the body length does not match Content-Length"));
    }
    let md5: [u8; 16] = md5.finalize();
    if claims.md5.is_some_and(|claimed| claimed != BASE64.encode(md5)) {
        return Err(s3_error!(BadDigest, "the Content-MD5 you specified did not match"));
    }
    let computed = results(hasher);
    for (name, value) in claims.trailers.and_then(|trailers| trailers.take()).iter().flatten() {
        if let (Some(algorithm), Ok(value)) = (name.as_str().strip_prefix("x-amz-checksum-"), value.to_str()) {
            claims.checksums.insert(algorithm.to_owned(), value.to_owned());
        }
    }
    for (algorithm, claimed) in &claims.checksums {
        if computed.get(algorithm) != Some(claimed) {
            return Err(s3_error!(BadDigest, "the {algorithm} you specified did not match"));
        }
    }
    Ok((size, md5, computed))
}

/// Concatenate parts in the given order into a new file. Returns its name, size and checksum.
pub(super) async fn concatenate(
    store: &ObjectStore,
    parts: &[Stored],
    algorithm: &str,
) -> S3Result<(String, u64, Checksums)> {
    let (file, path) = store.new_bytes();
    let incoming = Incoming { store, file: Some(file) };
    let mut sink = BufWriter::with_capacity(BUFFER, File::create(&path).await.map_err(S3Error::internal_error)?);
    let mut hasher = hasher([algorithm])?;
    let mut buffer = vec![0; BUFFER];
    let mut size = 0_u64;
    for part in parts {
        let mut source = File::open(store.bytes_path(&part.file)).await.map_err(S3Error::internal_error)?;
        loop {
            let read = source.read(&mut buffer).await.map_err(S3Error::internal_error)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            sink.write_all(&buffer[..read]).await.map_err(S3Error::internal_error)?;
            size += read as u64;
        }
    }
    sink.flush().await.map_err(S3Error::internal_error)?;
    Ok((incoming.keep(), size, results(hasher)))
}
