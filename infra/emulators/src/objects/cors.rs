//! CORS rules of buckets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, request};
use serde::Deserialize;

/// One CORS rule of a bucket. Deserialized from CloudFormation's `CorsRules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CorsRule {
    /// Allowed origins. Each may contain one `*` wildcard.
    pub allowed_origins: Vec<String>,
    /// Allowed HTTP methods.
    pub allowed_methods: Vec<String>,
    /// Allowed request headers. Each may contain one `*` wildcard.
    pub allowed_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub exposed_headers: Vec<String>,
    /// Number of seconds that browsers may cache the preflight response.
    pub max_age: Option<u32>,
}

impl CorsRule {
    fn applies(&self, origin: &str, method: &str) -> bool {
        self.allowed_methods.iter().any(|allowed| allowed == method)
            && self.allowed_origins.iter().any(|allowed| matches(allowed, origin))
    }

    fn allows_header(&self, name: &str) -> bool {
        self.allowed_headers.iter().any(|allowed| matches(&allowed.to_lowercase(), &name.to_lowercase()))
    }

    fn headers(&self, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let any = self.allowed_origins.iter().any(|allowed| allowed == "*");
        insert(&mut headers, ACCESS_CONTROL_ALLOW_ORIGIN, if any { "*" } else { origin });
        insert(&mut headers, ACCESS_CONTROL_ALLOW_METHODS, &self.allowed_methods.join(", "));
        if !self.exposed_headers.is_empty() {
            insert(&mut headers, ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed_headers.join(", "));
        }
        insert(&mut headers, VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
        headers
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end),
    }
}

/// CORS rules by bucket name. Clones share the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct CorsRules(Arc<Mutex<HashMap<String, Vec<CorsRule>>>>);

impl CorsRules {
    pub(crate) fn set(&self, bucket: &str, rules: Vec<CorsRule>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(bucket.to_owned(), rules);
    }

    fn rule(&self, request: &request::Parts, method: &str) -> Option<(CorsRule, String)> {
        let bucket = request.uri.path().trim_start_matches('/').split('/').next()?;
        let origin = request.headers.get(ORIGIN)?.to_str().ok()?;
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.get(bucket)?.iter().find(|rule| rule.applies(origin, method))?;
        Some((rule.clone(), origin.to_owned()))
    }

    /// CORS headers of the response to `request`. Empty if no rule applies.
    pub(crate) fn for_response(&self, request: &request::Parts) -> HeaderMap {
        self.rule(request, request.method.as_str()).map(|(rule, origin)| rule.headers(&origin)).unwrap_or_default()
    }

    /// Headers of the preflight response. `None` if the rules do not allow the actual request.
    pub(crate) fn for_preflight(&self, request: &request::Parts) -> Option<HeaderMap> {
        let method = request.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()?;
        let (rule, origin) = self.rule(request, method)?;
        let mut headers = rule.headers(&origin);
        if let Some(wanted) = request.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            let allowed = |name: &str| rule.allows_header(name.trim());
            if !wanted.to_str().ok()?.split(',').all(allowed) {
                return None;
            }
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        if let Some(seconds) = rule.max_age {
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
        }
        Some(headers)
    }
}
