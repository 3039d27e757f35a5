//! What the client says of its upload.

use capstan_domain::{Completion, Error, FileSize, Sha256};
use capstan_http::Request;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

/// What the client claims of the primary media file.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UploadClaim)]
pub(crate) struct Body {
    /// SHA-256 as 64 hexadecimal digits, to compare with the stored bytes.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{64}$")]
    content_sha256: Option<Sha256>,
    /// Size in bytes, to compare with the stored size.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 53_687_091_200_000u64)]
    file_size_bytes: Option<Number>,
}

/// A completion with what it claims.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) completion: Completion,
    pub(crate) size: Option<FileSize>,
}

impl Claim {
    pub(crate) fn of(request: &Request) -> Result<Self, Error> {
        let body: Body = request.json()?;
        let size = body.file_size_bytes.as_ref().map(FileSize::from_json).transpose()?;
        let idempotency_key = request.idempotency_key()?.map(str::to_owned);
        let request_id = Some(format!("{:032x}", request.entropy()));
        let size_bytes = size.map(FileSize::bytes);
        let completion =
            Completion { idempotency_key, content_sha256: body.content_sha256, size_bytes, request: request_id };
        Ok(Self { completion, size })
    }

    /// Whether nothing must be compared before the upload counts as complete.
    pub(crate) fn is_empty(&self) -> bool {
        self.completion.content_sha256.is_none() && self.size.is_none()
    }
}
