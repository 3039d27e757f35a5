//! Fault injection for calls to the emulated services.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::calls::{Call, Service};

/// Fault injected into one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Throttling: 400 `ThrottlingException` from DynamoDB and EventBridge, 503 `SlowDown` from S3.
    Throttle,
    /// Error response with this code: 400 from DynamoDB and EventBridge, 503 from S3.
    Refuse(&'static str),
    /// 500 in the service's error format. The call has no effect.
    Internal,
    /// 503 in the service's error format. The call has no effect.
    Unavailable,
    /// 200 with an error in the body, as S3 may return when completing a multipart upload takes long. The call has no
    /// effect.
    InternalInBody,
    /// The connection closes before the call is executed.
    DropConnection,
    /// The call is executed, then the connection closes without a response.
    LoseAnswer,
    /// The call is executed after this delay.
    Delay(Duration),
}

/// Whether a simulated crash happens before or after the interrupted call is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The call is not executed.
    Before,
    /// The call is executed, but the caller gets no response.
    After,
}

#[derive(Debug)]
struct Planned {
    operation: String,
    fault: Fault,
    skip: u32,
    times: u32,
}

#[derive(Debug, Default)]
struct Plan {
    planned: Vec<Planned>,
    /// Number of calls until the crash, and how the crash interrupts the call after them.
    crash: Option<(u32, Crash)>,
    crashed: bool,
}

/// Planned faults. Clones share one plan.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Inject `fault` into the next `times` calls of `operation`, such as `PutItem`, or `*` for any operation.
    pub fn fail_next(&self, operation: &str, fault: Fault, times: u32) {
        self.fail_after(0, operation, fault, times);
    }

    /// Skip `skip` calls of `operation`, then inject `fault` into the next `times` calls.
    pub fn fail_after(&self, skip: u32, operation: &str, fault: Fault, times: u32) {
        self.lock().planned.push(Planned { operation: operation.to_owned(), fault, skip, times });
    }

    /// Simulate a process crash at AWS call number `passes + 1`.
    ///
    /// `crash` decides whether that call is executed. Every later call fails until [`Faults::clear`].
    pub fn crash_after(&self, passes: u32, crash: Crash) {
        self.lock().crash = Some((passes, crash));
    }

    /// Whether the crash planned by [`Faults::crash_after`] has happened.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Remove all planned faults and end a crash.
    pub fn clear(&self) {
        *self.lock() = Plan::default();
    }

    /// Fault for `call`, if one is planned. Counts the call.
    pub(crate) fn next(&self, call: &Call) -> Option<Fault> {
        let mut plan = self.lock();
        if plan.crashed {
            return Some(Fault::DropConnection);
        }
        match &mut plan.crash {
            Some((0, crash)) => {
                let fault = match crash {
                    Crash::Before => Fault::DropConnection,
                    Crash::After => Fault::LoseAnswer,
                };
                plan.crashed = true;
                return Some(fault);
            }
            Some((passes, _)) => *passes -= 1,
            None => {}
        }
        let matching = plan
            .planned
            .iter_mut()
            .find(|planned| planned.times > 0 && (planned.operation == "*" || planned.operation == call.operation))?;
        if matching.skip > 0 {
            matching.skip -= 1;
            return None;
        }
        matching.times -= 1;
        Some(matching.fault)
    }
}

/// Error response of `service` for this fault.
pub(crate) fn error_response(service: Service, fault: Fault) -> Response<Full<Bytes>> {
    let (status, json_type, s3_code) = match fault {
        Fault::InternalInBody => (StatusCode::OK, "InternalServerError", "InternalError"),
        Fault::Throttle if service == Service::S3 => (StatusCode::SERVICE_UNAVAILABLE, "", "SlowDown"),
        Fault::Throttle => (StatusCode::BAD_REQUEST, "ThrottlingException", ""),
        Fault::Refuse(code) if service == Service::S3 => (StatusCode::SERVICE_UNAVAILABLE, "", code),
        Fault::Refuse(code) => (StatusCode::BAD_REQUEST, code, ""),
        Fault::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "ServiceUnavailable"),
        Fault::Internal | Fault::DropConnection | Fault::LoseAnswer | Fault::Delay(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "InternalError")
        }
    };
    let (content_type, body) = match service {
        Service::S3 => (
            "application/xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{s3_code}</Code><Message>injected</Message></Error>"
            ),
        ),
        Service::DynamoDb => (
            "application/x-amz-json-1.0",
            format!(r##"{{"__type":"com.amazonaws.dynamodb.v20120810#{json_type}","message":"injected"}}"##),
        ),
        Service::EventBridge => {
            ("application/x-amz-json-1.1", format!(r#"{{"__type":"{json_type}","message":"injected"}}"#))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
