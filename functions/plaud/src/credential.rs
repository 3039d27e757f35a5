//! How Plaud-shaped clients send their credential.

use capstan_domain::Error;
use capstan_http::{Access, Bearer, CredentialForm, Request};

/// `Authorization: <credential>`, with or without the scheme `Bearer`.
#[derive(Clone, Debug)]
pub struct WithOrWithoutScheme;

impl CredentialForm for WithOrWithoutScheme {
    fn credential(request: &Request) -> Result<&str, Error> {
        match request.header("authorization").map(str::trim) {
            Some(value) if !value.contains(' ') => Ok(value),
            _ => Bearer::credential(request),
        }
    }
}

/// Access for Plaud-shaped clients.
pub type PlaudAccess = Access<WithOrWithoutScheme>;
