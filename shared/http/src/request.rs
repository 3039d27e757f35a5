//! Requests, parsed with errors that name the field and the rule.

use std::fmt;
use std::str::FromStr;

use capstan_domain::{Caller, Error, MediaId, Secret, Timestamp, count_values};
use lambda_http::request::RequestContext;
use lambda_http::{Body, RequestExt};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// Largest body, in bytes. A completion of 10,000 parts is smaller.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Most values in a body, as [`count_values`] counts them. The largest proper body lists 10,000 parts.
const MAX_BODY_VALUES: usize = 60_000;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A request, with the time at which it was received and randomness for its response.
pub struct Request {
    event: lambda_http::Request,
    now: Timestamp,
    received_at: Timestamp,
    entropy: u128,
    secret_bits: [u8; 32],
    caller: Option<Caller>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.event.method(), self.event.uri().path())
    }
}

/// Distinguishes null from absent, with `#[serde(default, deserialize_with = "present")]`.
///
/// # Errors
/// Those of the value.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Request {
    /// A request from Lambda's event.
    pub fn new(event: lambda_http::Request, now: Timestamp, entropy: u128, secret_bits: [u8; 32]) -> Self {
        Self { event, now, received_at: now, entropy, secret_bits, caller: None }
    }

    /// The request of an authenticated caller, with the time and the randomness of the original request.
    #[must_use]
    pub fn replaying(self, now: Timestamp, entropy: u128, secret_bits: [u8; 32], caller: Caller) -> Self {
        Self { now, entropy, secret_bits, caller: Some(caller), ..self }
    }

    /// The caller, if it was authenticated before the handler.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Whether it is a POST with an `Idempotency-Key`.
    pub fn is_post_with_idempotency_key(&self) -> bool {
        self.event.method() == http::Method::POST && self.event.headers().contains_key(IDEMPOTENCY_KEY)
    }

    /// Its path, without the query.
    pub fn path(&self) -> &str {
        self.event.uri().path()
    }

    /// The route that API Gateway matched, such as `GET /v1/recordings/{id}`; empty outside API Gateway.
    pub fn route(&self) -> &str {
        match self.event.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.route_key.as_deref().unwrap_or_default(),
            _ => "",
        }
    }

    /// The bytes of the body.
    pub fn body(&self) -> &[u8] {
        match self.event.body() {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
            _ => b"",
        }
    }

    /// When it was received; for a replay, when the original request was. The time of everything that it creates.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// When it was received, also for a replay. URLs and tokens of its response are valid from then on.
    pub fn received_at(&self) -> Timestamp {
        self.received_at
    }

    /// Random bits for identifiers. A replay has the same.
    pub fn entropy(&self) -> u128 {
        self.entropy
    }

    /// A new device token; the same for every call.
    pub fn device_token(&self) -> Secret {
        Secret::device_token(self.secret_bits)
    }

    /// A new upload token; the same for every call.
    pub fn upload_token(&self) -> Secret {
        Secret::upload_token(self.secret_bits)
    }

    /// Its method, such as `POST`.
    pub fn method(&self) -> &str {
        self.event.method().as_str()
    }

    /// The identifier in the path.
    ///
    /// # Errors
    /// [`Error::NotFound`] of `what` when it cannot be one.
    pub fn path_id<T: FromStr>(&self, what: &'static str) -> Result<T, Error> {
        self.path_parameter("id", what)
    }

    /// The media file in the path.
    ///
    /// # Errors
    /// [`Error::NotFound`], as [`Self::path_id`].
    pub fn path_media_id(&self) -> Result<MediaId, Error> {
        self.path_parameter("media_id", "media file")
    }

    /// A parameter of the path.
    ///
    /// # Errors
    /// [`Error::NotFound`] of `what` when it cannot be parsed.
    pub fn path_parameter<T: FromStr>(&self, name: &str, what: &'static str) -> Result<T, Error> {
        let parameters = self.event.path_parameters_ref();
        let id = parameters.and_then(|parameters| parameters.first(name)).and_then(|id| id.parse().ok());
        id.ok_or(Error::NotFound { what })
    }

    /// A query parameter. An empty one counts as absent.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the rule when it cannot be parsed.
    pub fn query<T: FromStr>(&self, name: &str, rule: &str) -> Result<Option<T>, Error> {
        let parameters = self.event.query_string_parameters_ref();
        let text = parameters.and_then(|parameters| parameters.first(name)).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|_| Error::invalid(name, rule))).transpose()
    }

    /// Its headers.
    pub fn headers(&self) -> &http::HeaderMap {
        self.event.headers()
    }

    /// The value of a header; `None` if it is absent or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.event.headers().get(name)?.to_str().ok()
    }

    /// The `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not 1 to 255 letters, digits, `-` and `_`.
    pub fn idempotency_key(&self) -> Result<Option<&str>, Error> {
        let Some(key) = self.event.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
        let valid = (1..=255).contains(&key.len()) && key.as_bytes().iter().all(allowed);
        match key.to_str() {
            Ok(key) if valid => Ok(Some(key)),
            _ => Err(Error::invalid("Idempotency-Key", "must be 1 to 255 letters, digits, `-` and `_`")),
        }
    }

    /// The body, a JSON object. An empty body counts as an empty object.
    ///
    /// # Errors
    /// [`Error::RequestTooLarge`], or [`Error::Invalid`] with the JSON path of the bad field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let bytes = self.body();
        if bytes.len() > MAX_BODY_BYTES {
            return Err(Error::RequestTooLarge { limit_bytes: MAX_BODY_BYTES });
        }
        // Small values take a hundred times their bytes once they are parsed.
        if count_values(bytes) > MAX_BODY_VALUES {
            return Err(Error::invalid("body", "must have at most 60,000 values, nested ones included"));
        }
        let bytes = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
        // Serde reads a struct from an array too, which no client intends.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Error::invalid("body", "must be a JSON object"));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            invalid_json(bytes, &path, error.inner())
        })?;
        deserializer.end().map_err(|error| invalid_json(bytes, ".", &error))?;
        Ok(value)
    }
}

fn invalid_json(body: &[u8], path: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let (rule, position) = match text.rfind(" at line ") {
        Some(at) => text.split_at(at),
        None => (text.as_str(), ""),
    };
    // If the JSON is invalid, the path is only the position of the parser. But serde_json also reports a wrong type of an enum,
    // a number outside the range of floats and half a surrogate pair as invalid syntax.
    if !error.is_data() && serde_json::from_slice::<IgnoredAny>(body).is_err() {
        return Error::invalid("body", format!("must be valid JSON: {rule}{position}"));
    }
    let rule = if rule == "expected value" { "must be text" } else { rule };
    Error::invalid(if path == "." { "body" } else { shortened(path) }, shortened(rule))
}

/// Quotes at most 200 characters of what the client sent.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(200).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    struct Sample {
        name: Option<String>,
        inner: Option<Vec<Inner>>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Kind {
        Any,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        number: u8,
    }

    fn read(body: &str) -> Result<Sample, Error> {
        let event = lambda_http::Request::new(Body::Text(body.to_owned()));
        let now = Timestamp::from_milliseconds(0).unwrap();
        Request::new(event, now, 0, [0; 32]).json()
    }

    fn refusal(body: &str) -> String {
        read(body).unwrap_err().to_string()
    }

    #[test]
    fn ignores_unknown_fields_and_accepts_an_empty_body() {
        let inner = Some(vec![Inner { number: 1 }]);
        let body = r#"{"inner": [{"number": 1, "x": {}}], "y": [[]]}"#;
        assert_eq!(read(body).unwrap(), Sample { inner, ..Sample::default() });
        assert_eq!(read(" \n").unwrap(), Sample::default());
    }

    #[test]
    fn an_error_names_the_path_and_the_rule() {
        assert_eq!(refusal(r#"{"name": 5}"#), "name: invalid type: integer `5`, expected a string");
        assert_eq!(
            refusal(r#"{"inner": [{"number": 1}, {"number": 256}]}"#),
            "inner[1].number: invalid value: integer `256`, expected u8"
        );
    }

    #[test]
    fn quotes_at_most_200_characters() {
        let refusal = refusal(&format!(r#"{{"inner": "{}"}}"#, "x".repeat(100_000)));
        assert!(refusal.starts_with("inner: invalid type: string") && refusal.len() < 300, "{refusal}");
    }

    #[test]
    fn valid_json_with_a_wrong_value_names_the_field() {
        assert_eq!(refusal(r#"{"kind": 5}"#), "kind: must be text");
        assert_eq!(refusal(r#"{"name": "\ud800"}"#), "name: unexpected end of hex escape");
        assert!(refusal(r#"{"kind": x}"#).starts_with("body: must be valid JSON"));
    }

    #[test]
    fn rejects_a_body_that_is_no_json_object() {
        assert_eq!(refusal("[]"), "body: must be a JSON object");
        assert_eq!(refusal("null"), "body: must be a JSON object");
        assert!(refusal(r#"{"name": "a""#).starts_with("body: must be valid JSON: EOF"));
        assert!(refusal(r#"{} {}"#).starts_with("body: must be valid JSON: trailing characters"));
        assert!(refusal(&format!("{{\"x\": {}", "[".repeat(50_000))).starts_with("body: must be valid JSON: EOF"));
    }

    #[test]
    fn rejects_duplicate_fields() {
        assert!(refusal(r#"{"name": "a", "name": "b"}"#).contains("duplicate field `name`"));
    }

    #[test]
    fn rejects_a_body_with_over_60_000_values() {
        let body = |count: usize| format!("{{\"name\": \"a\", \"x\": [{}{{}}]}}", "{},".repeat(count));
        assert_eq!(refusal(&body(30_000)), "body: must have at most 60,000 values, nested ones included");
    }

    #[test]
    fn rejects_a_body_over_the_limit() {
        let body = format!("{{\"name\": \"{}\"}}", "a".repeat(MAX_BODY_BYTES));
        assert!(refusal(&body).contains("over 1048576 bytes"));
    }
}
