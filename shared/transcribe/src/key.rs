//! Values that must not be printed: API keys, signed URLs and callback tokens.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, header};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::JobName;

/// A provider's key. Only requests to that provider hold it.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key as the provider gave it out.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into().trim().to_owned())
    }

    /// The value of a header: `scheme` and the key.
    pub(crate) fn header(&self, scheme: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("{scheme}{}", self.0))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// A URL that lets in whoever has it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedUrl(String);

impl SignedUrl {
    /// The whole URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedUrl(..)")
    }
}

/// Token that the callback for one job must contain.
///
/// An HMAC of the job's name under the provider's own key, so that nobody else can guess it, each attempt at a job has
/// the same one, and none needs to be stored. Another key ends the callbacks that are under way.
pub(crate) struct CallbackToken(String);

impl CallbackToken {
    /// The user of basic authentication.
    const USER: &'static str = "capstan";

    pub(crate) fn new(key: &ApiKey, job: &JobName) -> Self {
        let message = format!("capstan callback {job}");
        // HMAC takes keys of any length; without one there would be no token, and no callback is let in.
        let mac = Hmac::<Sha256>::new_from_slice(key.0.as_bytes()).map(|mac| mac.chain_update(message).finalize());
        Self(mac.map(|mac| hex::encode(mac.into_bytes())).unwrap_or_default())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `https://host/path` as `https://capstan:<token>@host/path`.
    pub(crate) fn in_url(&self, url: &str) -> Option<String> {
        let (scheme, rest) = url.split_once("://")?;
        Some(format!("{scheme}://{}:{}@{rest}", Self::USER, self.0))
    }

    /// Whether the headers have it as basic authentication (RFC 7617).
    pub(crate) fn is_basic_of(&self, headers: &HeaderMap) -> bool {
        let expected = STANDARD.encode(format!("{}:{}", Self::USER, self.0));
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let credentials = match given.split_at_checked(6) {
            Some((scheme, credentials)) if scheme.eq_ignore_ascii_case(b"Basic ") => credentials,
            _ => &[],
        };
        self.admits(credentials, expected.as_bytes())
    }

    /// Whether the headers have it under a name of its own.
    pub(crate) fn is_header(&self, name: &str, headers: &HeaderMap) -> bool {
        self.admits(headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default(), self.0.as_bytes())
    }

    fn admits(&self, given: &[u8], expected: &[u8]) -> bool {
        !self.0.is_empty() && bool::from(given.ct_eq(expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(key: &str, job: &str) -> CallbackToken {
        CallbackToken::new(&ApiKey::new(key), &job.parse().unwrap())
    }

    fn headers(authorization: &str) -> HeaderMap {
        [(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())].into_iter().collect()
    }

    #[test]
    fn a_token_is_of_one_job_and_one_key() {
        let mine = token("key", "rec_a.txn_b");
        assert_eq!(mine.as_str().len(), 64);
        assert_eq!(mine.as_str(), token("key", "rec_a.txn_b").as_str());
        for other in [token("key2", "rec_a.txn_b"), token("key", "rec_a.txn_c"), token("key", "rec_a.txn_b.0")] {
            assert_ne!(mine.as_str(), other.as_str());
        }
    }

    #[test]
    fn only_the_whole_token_is_let_in() {
        let token = token("key", "rec_a.txn_b");
        let basic = |credentials: &str| headers(&format!("Basic {}", STANDARD.encode(credentials)));
        assert!(token.is_basic_of(&basic(&format!("capstan:{}", token.as_str()))));
        assert!(!token.is_basic_of(&basic(&format!("capstan:{}", &token.as_str()[1..]))));
        assert!(!token.is_basic_of(&basic("capstan:")));
        assert!(!token.is_basic_of(&headers(&format!("Bearer {}", token.as_str()))));
        assert!(!token.is_basic_of(&headers("Basic")));
        assert!(!token.is_basic_of(&HeaderMap::new()));
        assert!(!token.is_header("x-token", &HeaderMap::new()));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let printed = format!("{:?} {:?}", ApiKey::new("sk-123"), SignedUrl::new("https://b/k?sig=123"));
        assert_eq!(printed, "ApiKey(..) SignedUrl(..)");
        assert_eq!(format!("{:?}", ApiKey::new("sk-123").header("Bearer ").unwrap()), "Sensitive");
    }
}
