//! Parts of a file in requests and responses.

use capstan_domain::{PartNumber, PlannedPart, ReceivedPart};
use serde::Serialize;
use utoipa::ToSchema;

use crate::page::MAX_BODY_BYTES;

/// Most bytes of JSON around a URL.
const BYTES_AROUND_URL: usize = 80;

/// Presigned URL of one part.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartUrl)]
pub struct PartUrlBody {
    /// Number of the part.
    #[schema(minimum = 1, maximum = 10_000)]
    pub part_number: u16,
    /// Size in bytes. S3 rejects any other.
    pub size_bytes: u64,
    /// Presigned URL, for PUT.
    pub upload_url: String,
}

/// A part that S3 has received.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceivedPart)]
pub struct ReceivedPartBody {
    /// Number of the part.
    #[schema(minimum = 1, maximum = 10_000)]
    pub part_number: u16,
    /// S3's entity tag, without quotes.
    pub etag: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

impl From<&ReceivedPart> for ReceivedPartBody {
    fn from(part: &ReceivedPart) -> Self {
        let etag = part.etag.as_str().to_owned();
        Self { part_number: part.number.get(), etag, size_bytes: part.size_bytes }
    }
}

/// URLs of as many parts as fit into one response: some thousands, or about 15 GB.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct PartUrls {
    /// Parts to upload, in any order and concurrently.
    pub parts: Vec<PartUrlBody>,
    /// First part without a URL in this response. Request the next ones with `from_part` of the resume endpoint. Null
    /// if all have URLs.
    #[schema(required, minimum = 1, maximum = 10_000)]
    pub next_part_number: Option<u16>,
}

impl PartUrls {
    /// Number of parts that fit into one response with URLs of this length.
    pub fn room_for(url: &str) -> PartNumber {
        let room = MAX_BODY_BYTES / (url.len() + BYTES_AROUND_URL);
        u64::try_from(room).ok().and_then(PartNumber::new).unwrap_or(PartNumber::LAST)
    }

    /// Signs URLs until a response with `taken` other bytes is full.
    pub fn fill(
        mut taken: usize,
        parts: impl Iterator<Item = PlannedPart>,
        sign: impl Fn(PlannedPart) -> String,
    ) -> Self {
        let mut urls = Self::default();
        for part in parts {
            let upload_url = sign(part);
            taken += upload_url.len() + BYTES_AROUND_URL;
            if taken > MAX_BODY_BYTES {
                urls.next_part_number = Some(part.number.get());
                break;
            }
            urls.parts.push(PartUrlBody { part_number: part.number.get(), size_bytes: part.size_bytes, upload_url });
        }
        urls
    }
}

#[cfg(test)]
mod tests {
    use capstan_domain::{FileSize, PartPlan};

    use super::*;

    #[test]
    fn an_answer_that_is_full_names_the_part_to_go_on_with() {
        let plan = PartPlan::of(FileSize::new(FileSize::MAX).unwrap());
        let fill = |taken, length: usize| PartUrls::fill(taken, plan.parts(), |_| "x".repeat(length));
        let small = fill(0, 400);
        assert_eq!((small.parts.len(), small.next_part_number), (10_000, None));
        let large = fill(0, 1_700);
        assert_eq!((large.parts.len(), large.next_part_number), (2_808, Some(2_809)));
        let text = serde_json::to_string(&large).unwrap();
        assert!(text.len() <= MAX_BODY_BYTES, "{}", text.len());
        let beside = fill(1_000_000, 1_700);
        assert_eq!(beside.next_part_number, Some(2_248));
    }
}
