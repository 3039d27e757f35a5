//! SIGKILL at every step of an upload: what was acknowledged is there after the restart, and the rest can be repeated.

use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::ended;
use super::process::Running;

const SAMPLE: &[u8] = include_bytes!("../../sample/spoken.ogg");
/// Beyond every lease and every wait for a lost event.
const LATER: u32 = 600;

/// The last step that was acknowledged before the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Acknowledged {
    Nothing,
    Created,
    Signed,
    Stored,
    /// And this long the stack lived on.
    Completed(Duration),
}

/// A device that repeats what was not acknowledged.
struct Device {
    recording: Option<String>,
    signed: Option<Value>,
}

impl Device {
    async fn call(&self, stack: &Running, path: &str, body: Value) -> Value {
        let token = stack.get("CAPSTAN_DEVICE_TOKEN");
        stack.client().call(Method::POST, path, token, Some(&body)).await.unwrap()
    }

    fn path(&self) -> String {
        format!("/v1/recordings/{}", self.recording.as_ref().unwrap())
    }

    /// Takes the steps from the first that is not acknowledged up to `until`.
    async fn go(&mut self, stack: &Running, done: Acknowledged, until: Acknowledged) {
        if done < Acknowledged::Created && until >= Acknowledged::Created {
            let made = self.call(stack, "/v1/recordings", json!({"name": "killed"})).await;
            self.recording = Some(made["id"].as_str().unwrap().to_owned());
        }
        if done < Acknowledged::Signed && until >= Acknowledged::Signed {
            let wanted = json!({"content_type": "audio/ogg", "file_size_bytes": SAMPLE.len()});
            self.signed = Some(self.call(stack, &format!("{}/upload-url", self.path()), wanted).await);
        }
        if done < Acknowledged::Stored && until >= Acknowledged::Stored {
            self.put(stack).await.unwrap();
        }
        if done < Acknowledged::Completed(Duration::ZERO)
            && let Acknowledged::Completed(and_then) = until
        {
            self.call(stack, &format!("{}/upload-complete", self.path()), json!({})).await;
            tokio::time::sleep(and_then).await;
        }
    }

    async fn put(&self, stack: &Running) -> Result<(), capstan_local::client::ClientError> {
        let signed = self.signed.as_ref().unwrap();
        let headers: Vec<(String, String)> = signed["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let url = signed["upload_url"].as_str().unwrap();
        stack.client().put(url, &headers, SAMPLE, SAMPLE.len() as u64, |_| {}).await
    }
}

/// The recording once it is processed.
async fn processed(stack: &Running, path: &str) -> Value {
    let key = stack.get("CAPSTAN_API_KEY");
    ended(path, async || stack.client().call(Method::GET, path, key, None).await.unwrap()).await
}

async fn assert_whole(stack: &Running, path: &str) {
    let recording = processed(stack, path).await;
    assert_eq!(recording["status"], "completed", "{recording}");
    let answer = stack
        .client()
        .call(Method::GET, &format!("{path}/download-url"), stack.get("CAPSTAN_API_KEY"), None)
        .await
        .unwrap();
    let mut bytes = Vec::new();
    stack.client().get(answer["download_url"].as_str().unwrap(), &mut bytes).await.unwrap();
    assert_eq!(bytes, SAMPLE);
}

async fn survives(data: &Path, moment: Acknowledged) {
    let mut device = Device { recording: None, signed: None };
    let stack = Running::start(data);
    device.go(&stack, Acknowledged::Nothing, moment).await;
    stack.kill();

    // A device that had its last answer never calls again: what is left is the clock's.
    let is_done = moment >= Acknowledged::Completed(Duration::ZERO);
    let stack = if is_done { Running::start_ahead(data, LATER) } else { Running::start(data) };
    device.go(&stack, moment, Acknowledged::Completed(Duration::ZERO)).await;
    let path = device.path();
    if !is_done {
        return assert_whole(&stack, &path).await;
    }
    processed(&stack, &path).await;
    stack.kill();
    // Signed in the real present, since S3 goes by the machine's clock.
    assert_whole(&Running::start(data), &path).await;
}

#[tokio::test]
async fn an_upload_survives_a_kill_after_every_acknowledged_step() {
    let root = tempfile::tempdir().unwrap();
    for moment in [Acknowledged::Created, Acknowledged::Signed, Acknowledged::Stored] {
        survives(&root.path().join("data"), moment).await;
    }
}

#[tokio::test]
async fn a_completed_upload_is_processed_though_the_stack_was_killed_at_any_point_of_it() {
    let root = tempfile::tempdir().unwrap();
    for milliseconds in [0, 1, 3, 8, 20, 50, 90] {
        survives(&root.path().join("data"), Acknowledged::Completed(Duration::from_millis(milliseconds))).await;
    }
}

#[tokio::test]
async fn an_interrupted_put_leaves_nothing_and_can_be_repeated() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let mut device = Device { recording: None, signed: None };
    let stack = Running::start(&data);
    device.go(&stack, Acknowledged::Nothing, Acknowledged::Signed).await;
    let put = device.put(&stack);
    // Cut while the bytes are on their way.
    let _ = tokio::time::timeout(Duration::from_micros(400), put).await;
    stack.kill();
    let stack = Running::start(&data);
    device.go(&stack, Acknowledged::Signed, Acknowledged::Completed(Duration::ZERO)).await;
    assert_whole(&stack, &device.path()).await;
}
