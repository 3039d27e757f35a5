//! How meeting workers send their credential.

use capstan_domain::Error;
use capstan_http::{Access, Bearer, CredentialForm, Request};

/// `X-API-Key: <credential>`, else `Authorization: Bearer <credential>`.
#[derive(Clone, Debug)]
pub struct ApiKeyHeader;

impl CredentialForm for ApiKeyHeader {
    fn credential(request: &Request) -> Result<&str, Error> {
        request.header("x-api-key").map_or_else(|| Bearer::credential(request), |key| Ok(key.trim()))
    }
}

/// Access for meeting workers.
pub type ScootAccess = Access<ApiKeyHeader>;
