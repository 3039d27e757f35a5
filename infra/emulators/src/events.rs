//! EventBridge `PutEvents`. Each entry becomes an event in the form that a rule's target receives.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::outbox::Outbox;
use crate::{ACCOUNT, REGION};

/// Maximum number of entries per `PutEvents` call.
const MAX_ENTRIES: usize = 10;
/// Maximum size of one entry.
const MAX_ENTRY_BYTES: usize = 256 * 1024;

/// An event published to a bus.
#[derive(Clone, Debug, PartialEq)]
pub struct BusEvent {
    /// Name of the bus.
    pub bus: String,
    /// The event as a rule's target receives it.
    pub event: Value,
}

/// Handle one EventBridge request and send each accepted entry to `accepted`.
pub(crate) fn handle(operation: &str, body: &[u8], accepted: &Outbox<BusEvent>) -> Response<Full<Bytes>> {
    if operation != "PutEvents" {
        return error("UnknownOperationException", "only PutEvents is emulated");
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return error("SerializationException", "the body is not JSON");
    };
    let entries = request["Entries"].as_array().map_or(&[][..], Vec::as_slice);
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return error("ValidationException", "Entries must have 1 to 10 members");
    }
    let results: Vec<Value> = entries.iter().map(|entry| put(entry, accepted)).collect();
    let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
    respond(StatusCode::OK, &json!({"FailedEntryCount": failed, "Entries": results}))
}

fn put(entry: &Value, accepted: &Outbox<BusEvent>) -> Value {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let reject = |code: &str, message: &str| json!({"ErrorCode": code, "ErrorMessage": message});
    if text("Source").is_empty() || text("DetailType").is_empty() || entry["Detail"].is_null() {
        return reject(
            "InvalidArgument",
            "Parameter Source, DetailType or Detail is not valid. Reason: it is required.",
        );
    }
    if text("Detail").len() + text("Source").len() + text("DetailType").len() > MAX_ENTRY_BYTES {
        return reject("InvalidArgument", "Total size of the entry is over 256 KB.");
    }
    let Ok(detail @ Value::Object(_)) = serde_json::from_str::<Value>(text("Detail")) else {
        return reject("MalformedDetail", "Detail is malformed.");
    };
    let time = entry["Time"]
        .as_f64()
        .and_then(|seconds| Timestamp::from_millisecond((seconds * 1000.0) as i64).ok())
        .unwrap_or_else(Timestamp::now);
    let id = uuid::Uuid::new_v4().to_string();
    let event = json!({
        "version": "0",
        "id": id,
        "detail-type": text("DetailType"),
        "source": text("Source"),
        "account": ACCOUNT,
        // EventBridge truncates to whole seconds.
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": entry.get("Resources").cloned().unwrap_or_else(|| json!([])),
        "detail": detail,
    });
    let bus = bus_name(text("EventBusName")).to_owned();
    accepted.send(BusEvent { bus, event });
    json!({"EventId": id})
}

/// Name of the bus for a name, an ARN, or an empty string, which means the default bus.
fn bus_name(name_or_arn: &str) -> &str {
    match name_or_arn.rsplit_once("event-bus/") {
        Some((_, name)) => name,
        None if name_or_arn.is_empty() => "default",
        None => name_or_arn,
    }
}

fn error(kind: &str, message: &str) -> Response<Full<Bytes>> {
    respond(StatusCode::BAD_REQUEST, &json!({"__type": kind, "message": message}))
}

fn respond(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    response
}
