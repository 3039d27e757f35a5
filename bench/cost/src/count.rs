//! Count of billable AWS usage.

use std::collections::BTreeMap;
use std::fmt;

/// Number of DynamoDB calls and their request units.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Units {
    pub(crate) calls: u64,
    pub(crate) read: f64,
    pub(crate) write: f64,
}

/// Usage that AWS bills per request, invocation, event or unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Count {
    pub(crate) api_requests: u64,
    pub(crate) events: u64,
    /// Invocations by function name.
    pub(crate) invocations: BTreeMap<String, u64>,
    /// Requests by operation name.
    pub(crate) s3: BTreeMap<String, u64>,
    /// Calls and units by operation name.
    pub(crate) dynamodb: BTreeMap<String, Units>,
}

impl Count {
    /// Total of all DynamoDB calls.
    pub(crate) fn units(&self) -> Units {
        self.dynamodb.values().fold(Units::default(), |sum, one| Units {
            calls: sum.calls + one.calls,
            read: sum.read + one.read,
            write: sum.write + one.write,
        })
    }

    /// S3 requests by price class: (PUT, COPY, POST, LIST) and (GET and others). Deleting and aborting are free.
    pub(crate) fn s3_classes(&self) -> (u64, u64) {
        let (mut put, mut get) = (0, 0);
        for (operation, times) in &self.s3 {
            match operation.as_str() {
                "DeleteObject" | "DeleteObjects" | "AbortMultipartUpload" => {}
                "GetObject" | "HeadObject" => get += times,
                _ => put += times,
            }
        }
        (put, get)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "API requests {}, events {}", self.api_requests, self.events)?;
        for (function, times) in &self.invocations {
            writeln!(out, "Lambda {function} {times}")?;
        }
        for (operation, times) in &self.s3 {
            writeln!(out, "S3 {operation} {times}")?;
        }
        for (operation, Units { calls, read, write }) in &self.dynamodb {
            writeln!(out, "DynamoDB {operation} {calls}: {read} read, {write} written")?;
        }
        let Units { calls, read, write } = self.units();
        writeln!(out, "DynamoDB total {calls}: {read} read, {write} written")
    }
}
