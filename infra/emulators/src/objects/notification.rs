//! S3 event notifications for new objects, in the format for Lambda targets, not for EventBridge.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::Object;
use crate::REGION;
use crate::outbox::Outbox;

/// Percent-encoding of object keys in notifications. A space becomes `+`.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

#[derive(Debug)]
pub(super) struct Notifier {
    created: Outbox<Value>,
    last_sequencer: AtomicU64,
}

impl Notifier {
    pub(super) fn new(created: Outbox<Value>) -> Self {
        Self { created, last_sequencer: AtomicU64::new(0) }
    }

    /// Send the notification for a new object.
    pub(super) fn object_created(&self, event: &str, object: &Object) {
        self.created.send(self.notification(event, object));
    }

    /// A sequencer larger than all previous sequencers. Based on the clock, so it also increases across restarts.
    ///
    /// The last digit is never zero because stored sequencers lose trailing zeros. Item sizes therefore do not vary.
    fn sequencer(&self) -> String {
        let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last_sequencer.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).unwrap_or_default();
        format!("{:017X}1", now.max(last + 1))
    }

    fn notification(&self, event: &str, object: &Object) -> Value {
        let key = utf8_percent_encode(&object.key, KEY).to_string().replace(' ', "+");
        json!({"Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": REGION,
            "eventTime": object.stored.at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            "eventName": event,
            "userIdentity": {"principalId": "AWS:AROAEXAMPLE:device"},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {
                "x-amz-request-id": Uuid::new_v4().simple().to_string(),
                "x-amz-id-2": Uuid::new_v4().simple().to_string(),
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "object-created",
                "bucket": {
                    "name": object.bucket,
                    "ownerIdentity": {"principalId": "AEXAMPLE"},
                    "arn": format!("arn:aws:s3:::{}", object.bucket),
                },
                "object": {
                    "key": key,
                    "size": object.stored.size,
                    "eTag": object.stored.etag,
                    "sequencer": self.sequencer(),
                },
            },
        }]})
    }
}
