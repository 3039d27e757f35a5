//! Faults that tests inject into the calls to AWS.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::calls::{Call, Service};

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The service says "slow down": DynamoDB and EventBridge with a 400 `ThrottlingException`, S3 with a 503 `SlowDown`.
    Throttle,
    /// This error code, as the service words it: DynamoDB and EventBridge with a 400, S3 with a 503.
    Refuse(&'static str),
    /// 500 in the service's own shape. Nothing has taken effect.
    Internal,
    /// 503 in the service's own shape. Nothing has taken effect.
    Unavailable,
    /// S3 answers 200 and says in the body that it failed, as it may once a completion of parts takes long. Nothing has
    /// taken effect.
    InternalInBody,
    /// The connection closes before the call takes effect.
    DropConnection,
    /// The call takes effect, then the connection closes without an answer.
    LoseAnswer,
    /// The call is answered, but only after this long.
    Delay(Duration),
}

/// Where a simulated crash cuts the call that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The call never took effect.
    Before,
    /// The call took effect and the caller never learnt of it.
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
    /// Calls that still pass before the crash, and how it cuts the next one.
    crash: Option<(u32, Crash)>,
    crashed: bool,
}

/// The faults that are still to come. Clones share one plan.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next `times` calls of `operation` (`PutItem`, `*` for any) meet `fault`.
    pub fn fail_next(&self, operation: &str, fault: Fault, times: u32) {
        self.fail_after(0, operation, fault, times);
    }

    /// Lets `skip` calls of `operation` pass, then the next `times` meet `fault`.
    pub fn fail_after(&self, skip: u32, operation: &str, fault: Fault, times: u32) {
        self.lock().planned.push(Planned { operation: operation.to_owned(), fault, skip, times });
    }

    /// Simulates a process that dies at its AWS call number `passes + 1`:
    /// that call is cut as `crash` says, and every later one is refused until [`Faults::clear`].
    pub fn crash_after(&self, passes: u32, crash: Crash) {
        self.lock().crash = Some((passes, crash));
    }

    /// Whether the crash planned with [`Faults::crash_after`] has happened.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Forgets every planned fault and ends a crash.
    pub fn clear(&self) {
        *self.lock() = Plan::default();
    }

    /// The fault that `call` meets, if any.
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

/// How `service` words an error of this kind.
pub(crate) fn error_answer(service: Service, fault: Fault) -> Response<Full<Bytes>> {
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
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    answer
}
