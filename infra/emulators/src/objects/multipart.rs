//! Multipart uploads, with the errors of S3: unknown upload, wrong ETag, wrong order, part too small.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::{S3Response, S3Result, TrailingHeaders, s3_error};

use super::receive::{Claims, checksums_of, concatenate, hasher, receive, results};
use super::store::{Attributes, Checksums, Object as StoredObject, Stored, Upload};
use super::{Objects, PAGE, checksum, checksum_type, commit_error, precondition, signed, timestamp};

/// Minimum size in bytes of every part except the last.
const MIN_PART: u64 = 5 * 1024 * 1024;
const MAX_PART_NUMBER: i32 = 10_000;

impl Objects {
    fn upload(&self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        self.store
            .upload(id, bucket, key)
            .ok_or_else(|| s3_error!(NoSuchUpload, "The specified upload does not exist."))
    }

    pub(super) fn create_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.bucket(&input.bucket)?;
        let upload = Upload {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            attributes: Attributes {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                metadata: input.metadata,
            },
            algorithm: input.checksum_algorithm.as_ref().map(|a| a.as_str().to_lowercase()),
            initiated: jiff::Timestamp::now(),
            parts: std::collections::BTreeMap::new(),
        };
        let id = self.store.create_upload(upload).map_err(s3s::S3Error::internal_error)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn receive_part(
        &self,
        mut input: UploadPartInput,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        if !(1..=MAX_PART_NUMBER).contains(&input.part_number) {
            return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
        }
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let claims = Claims {
            length: input.content_length,
            md5: input.content_md5.take(),
            checksums: checksums_of!(input),
            algorithms: input.checksum_algorithm.iter().map(|a| a.as_str().to_lowercase()).collect(),
            trailers,
        };
        // S3 rejects a part without a checksum of the algorithm that the upload was created with.
        let expected = upload.algorithm.filter(|algorithm| algorithm != "crc64nvme");
        if let Some(algorithm) = expected
            && !claims.checksums.contains_key(&algorithm)
            && !claims.algorithms.contains(&algorithm)
        {
            return Err(s3_error!(
                InvalidRequest,
                "Checksum Type mismatch occurred, expected checksum Type: {algorithm}, actual checksum Type: null"
            ));
        }
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let part = receive(&self.store, body, claims).await?;
        self.store.put_part(&input.upload_id, input.part_number, part.clone()).map_err(|error| {
            self.store.discard([part.file.as_str()]);
            commit_error(error)
        })?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(part.etag.clone())),
            checksum_crc32: checksum(&part, "crc32"),
            checksum_crc32c: checksum(&part, "crc32c"),
            checksum_crc64nvme: checksum(&part, "crc64nvme"),
            checksum_sha1: checksum(&part, "sha1"),
            checksum_sha256: checksum(&part, "sha256"),
            ..UploadPartOutput::default()
        }))
    }

    pub(super) fn received_parts(&self, input: ListPartsInput) -> S3Result<S3Response<ListPartsOutput>> {
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let marker = input.part_number_marker.unwrap_or(0);
        let limit = usize::try_from(input.max_parts.unwrap_or(1000)).map_or(PAGE, |max| max.min(PAGE));
        let remaining: Vec<_> = upload.parts.range(marker.saturating_add(1)..).collect();
        let is_truncated = remaining.len() > limit;
        let parts: Vec<Part> = remaining
            .into_iter()
            .take(limit)
            .map(|(number, part)| Part {
                part_number: Some(*number),
                e_tag: Some(ETag::Strong(part.etag.clone())),
                size: Some(signed(part.size)),
                last_modified: Some(timestamp(part.at)),
                checksum_crc32: checksum(part, "crc32"),
                checksum_crc32c: checksum(part, "crc32c"),
                checksum_crc64nvme: checksum(part, "crc64nvme"),
                checksum_sha1: checksum(part, "sha1"),
                checksum_sha256: checksum(part, "sha256"),
            })
            .collect();
        Ok(S3Response::new(ListPartsOutput {
            next_part_number_marker: parts.last().filter(|_| is_truncated).and_then(|part| part.part_number),
            is_truncated: Some(is_truncated),
            max_parts: i32::try_from(limit).ok(),
            parts: Some(parts),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        }))
    }

    /// All open uploads in one response. Pagination is not emulated.
    pub(super) fn open_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.bucket(&input.bucket)?;
        let found = self.store.uploads(&input.bucket, input.prefix.as_deref().unwrap_or_default());
        let listed = |(id, upload): (String, Upload)| MultipartUpload {
            key: Some(upload.key),
            upload_id: Some(id),
            initiated: Some(timestamp(upload.initiated)),
            ..MultipartUpload::default()
        };
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(found.into_iter().map(listed).collect()),
            is_truncated: Some(false),
            bucket: Some(input.bucket),
            prefix: input.prefix,
            ..ListMultipartUploadsOutput::default()
        }))
    }

    pub(super) async fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let only_if = precondition(input.if_match, input.if_none_match)?;
        let requested = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let parts = listed_parts(&upload, &requested)?;
        let composite = upload.algorithm.as_deref().filter(|algorithm| *algorithm != "crc64nvme");
        let (file, size, mut checksums) = concatenate(&self.store, &parts, "crc64nvme").await?;
        if let Some(algorithm) = composite {
            checksums = composite_checksum(algorithm, &parts)?;
        }
        let stored =
            Stored { file: file.clone(), size, etag: multipart_etag(&parts), checksums, at: jiff::Timestamp::now() };
        let object = StoredObject {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            stored: stored.clone(),
            attributes: upload.attributes,
        };
        self.store.complete_upload(&input.upload_id, object.clone(), &only_if).map_err(|error| {
            self.store.discard([file.as_str()]);
            commit_error(error)
        })?;
        self.notifier.object_created("ObjectCreated:CompleteMultipartUpload", &object);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            checksum_crc32: checksum(&stored, "crc32"),
            checksum_crc32c: checksum(&stored, "crc32c"),
            checksum_crc64nvme: checksum(&stored, "crc64nvme"),
            checksum_sha1: checksum(&stored, "sha1"),
            checksum_sha256: checksum(&stored, "sha256"),
            checksum_type: checksum_type(&stored),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    pub(super) fn abort_upload(
        &self,
        input: &AbortMultipartUploadInput,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.upload(&input.upload_id, &input.bucket, &input.key)?;
        self.store.abort_upload(&input.upload_id).map_err(commit_error)?;
        let mut response = S3Response::new(AbortMultipartUploadOutput::default());
        response.status = Some(http::StatusCode::NO_CONTENT);
        Ok(response)
    }
}

/// Stored parts that the client listed, in the client's order.
fn listed_parts(upload: &Upload, requested: &[CompletedPart]) -> S3Result<Vec<Stored>> {
    if requested.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    let numbers: Vec<i32> = requested.iter().map(|part| part.part_number.unwrap_or_default()).collect();
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
    }
    let mut parts = Vec::with_capacity(requested.len());
    for (position, part) in requested.iter().enumerate() {
        let etag = part.e_tag.as_ref().map(|etag| etag.value().trim_matches('"'));
        let stored = upload
            .parts
            .get(&numbers[position])
            .filter(|stored| etag == Some(stored.etag.as_str()))
            .ok_or_else(|| s3_error!(InvalidPart, "One or more of the specified parts could not be found."))?;
        if position + 1 < requested.len() && stored.size < MIN_PART {
            return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
        }
        parts.push(stored.clone());
    }
    Ok(parts)
}

/// ETag of a multipart object: MD5 of the concatenated part MD5s, `-`, number of parts.
fn multipart_etag(parts: &[Stored]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&hex::decode(&part.etag).unwrap_or_default());
    }
    format!("{}-{}", hex::encode(md5.finalize()), parts.len())
}

/// Composite checksum: checksum of the concatenated part checksums, `-`, number of parts.
fn composite_checksum(algorithm: &str, parts: &[Stored]) -> S3Result<Checksums> {
    let mut sum = hasher([algorithm])?;
    for part in parts {
        let of_part = part.checksums.get(algorithm).and_then(|value| BASE64.decode(value).ok());
        sum.update(&of_part.unwrap_or_default());
    }
    let with_count = |value: String| format!("{value}-{}", parts.len());
    Ok(results(sum).into_iter().map(|(name, value)| (name, with_count(value))).collect())
}
