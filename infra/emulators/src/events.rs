//! EventBridge: `PutEvents`, whose entries are handed over as the events that a rule's target would receive.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::outbox::Outbox;
use crate::{ACCOUNT, REGION};

/// EventBridge refuses more entries than this in one call.
const MAX_ENTRIES: usize = 10;
/// EventBridge refuses an entry larger than this.
const MAX_ENTRY_BYTES: usize = 256 * 1024;

/// An event that was put on a bus.
#[derive(Clone, Debug, PartialEq)]
pub struct BusEvent {
    /// The name of the bus.
    pub bus: String,
    /// The event as a rule's target receives it.
    pub event: Value,
}

/// Answers one EventBridge request, sending each accepted entry to `accepted`.
pub(crate) fn answer(operation: &str, body: &[u8], accepted: &Outbox<BusEvent>) -> Response<Full<Bytes>> {
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
    let refuse = |code: &str, message: &str| json!({"ErrorCode": code, "ErrorMessage": message});
    if text("Source").is_empty() || text("DetailType").is_empty() || entry["Detail"].is_null() {
        return refuse(
            "InvalidArgument",
            "Parameter Source, DetailType or Detail is not valid. Reason: it is required.",
        );
    }
    if text("Detail").len() + text("Source").len() + text("DetailType").len() > MAX_ENTRY_BYTES {
        return refuse("InvalidArgument", "Total size of the entry is over 256 KB.");
    }
    let Ok(detail @ Value::Object(_)) = serde_json::from_str::<Value>(text("Detail")) else {
        return refuse("MalformedDetail", "Detail is malformed.");
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
        // EventBridge gives whole seconds.
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": entry.get("Resources").cloned().unwrap_or_else(|| json!([])),
        "detail": detail,
    });
    let bus = bus_name(text("EventBusName")).to_owned();
    accepted.send(BusEvent { bus, event });
    json!({"EventId": id})
}

/// The bus by name, whether the caller gave a name, an ARN or nothing.
fn bus_name(given: &str) -> &str {
    match given.rsplit_once("event-bus/") {
        Some((_, name)) => name,
        None if given.is_empty() => "default",
        None => given,
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
