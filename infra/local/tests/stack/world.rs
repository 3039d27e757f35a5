//! The project's own functions on a stack in this process, with a clock that a test puts forward, and a client that
//! sends whatever it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use capstan_domain::{Credential, CredentialHash, Grant, Mode, Tenant, Timestamp};
use capstan_lambda::Clock;
use capstan_local::first_run::FirstProject;
use capstan_local::{Options, Stack, functions, keys};
use capstan_store::Store;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// 2.5 s of speech, 7 kB.
pub(crate) const OPUS: &[u8] = include_bytes!("../../../../shared/audio/fixtures/opus-16k-mono.ogg");
/// The bucket beside the media bucket in which workers may name objects.
pub(crate) const MEETINGS: &str = "meetings";
/// Longer than every lease and every wait for a lost event, and a minute more: things are due at whole minutes.
pub(crate) const LATER: i64 = 190;
/// Longer than anything is kept or waited for.
pub(crate) const YEAR: i64 = 365 * 24 * 3600;

pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) store: Store,
    pub(crate) project: FirstProject,
    ahead: Arc<AtomicI64>,
}

impl Drop for World {
    /// Whatever a test is about: no function asks for more than template.yaml lets it do.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.stack.emulators().denials(), []);
        }
    }
}

/// Response of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// The status, and the code of an error: `200`, `400 invalid_request`.
    pub(crate) fn outcome(&self) -> String {
        match self.json()["error"]["code"].as_str() {
            Some(code) if self.status >= 400 => format!("{} {code}", self.status),
            _ => self.status.to_string(),
        }
    }

    pub(crate) fn expect(self, outcome: &str) -> Value {
        assert_eq!(self.outcome(), outcome, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// Asserts that this is a refusal in the one shape of all errors, and gives its code.
    pub(crate) fn refusal(&self, what: &str) -> String {
        let body = self.json();
        let context = format!("{what}: {} {}", self.status, String::from_utf8_lossy(&self.bytes));
        assert!((400..500).contains(&self.status), "{context}");
        assert_eq!(self.headers["content-type"], "application/json", "{context}");
        let error = body["error"].as_object().unwrap_or_else(|| panic!("{context}"));
        assert!(error["code"].is_string() && !error["message"].as_str().unwrap().is_empty(), "{context}");
        assert_eq!(error["request_id"].as_str().unwrap(), self.headers["x-request-id"], "{context}");
        assert!(!error["request_id"].as_str().unwrap().is_empty(), "{context}");
        assert!(self.bytes.len() < 2000, "{what}: {} bytes of error", self.bytes.len());
        error["code"].as_str().unwrap().to_owned()
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let whisper = || ("TRANSCRIPTION_PROVIDERS".to_owned(), "whisper".to_owned());
        Self::with(|options| options.variables.extend([whisper()])).await
    }

    /// A world of a deployment that differs.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let ahead = Arc::new(AtomicI64::new(0));
        let offset = Arc::clone(&ahead);
        let clock = Clock::telling(move || keys::now().plus_seconds(offset.load(Ordering::SeqCst)));
        let mut options = Options::for_tests(functions::of_this_project(clock));
        options.parameters.push(("ScootBucketArns", format!("arn:aws:s3:::{MEETINGS}")));
        change(&mut options);
        let stack = Stack::start(options).await.unwrap();
        stack.emulators().create_bucket(MEETINGS, Vec::new()).unwrap();
        let store = Store::new(stack.emulators().dynamodb(), stack.template().tables[0].name());
        let project = FirstProject::new().unwrap();
        project.register(&store).await.unwrap();
        // The key's first use is recorded here, so that tests count the calls of a usual request.
        let hash = CredentialHash::of(&project.api_key);
        let key = store.credential(&hash).await.unwrap().unwrap();
        store.record_use(&hash, &key, keys::now()).await.unwrap();
        let _ = stack.emulators().take_calls();
        Self { stack, store, project, ahead }
    }

    /// Current time of the functions.
    pub(crate) fn now(&self) -> Timestamp {
        keys::now().plus_seconds(self.ahead.load(Ordering::SeqCst))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn tenant(&self) -> Tenant {
        Tenant { project_id: self.project.project_id.clone(), mode: Mode::Test }
    }

    /// Another credential.
    pub(crate) async fn credential(&self, tenant: Tenant, grant: Grant) -> String {
        let text = keys::draw(&grant, tenant.mode).unwrap();
        let credential = Credential::new(tenant, grant, keys::now());
        self.store.put_credential(&CredentialHash::of(&text), &credential).await.unwrap();
        text
    }

    pub(crate) fn faults(&self) -> &capstan_emulators::Faults {
        self.stack.emulators().faults()
    }

    /// Calls with any credential.
    pub(crate) async fn call_as(&self, credential: &str, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.stack.url()))
            .header("authorization", format!("Bearer {credential}"))
            .header("content-type", "application/json");
        let body = body.map(ToString::to_string).unwrap_or_default();
        answer(request.body(Full::from(body)).unwrap()).await
    }

    /// Calls with the secret key.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.call_as(&self.project.api_key, method, path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(&body)).await
    }

    /// A new recording's path, `/v1/recordings/rec_...`.
    pub(crate) async fn create(&self) -> String {
        let body = json!({"end_user_id": self.project.end_user_id.as_str()});
        let made = self.post("/v1/recordings", body).await.expect("201");
        format!("/v1/recordings/{}", made["id"].as_str().unwrap())
    }

    pub(crate) async fn sign(&self, path: &str, body: Value) -> Value {
        self.post(&format!("{path}/upload-url"), body).await.expect("200")
    }

    pub(crate) async fn complete(&self, path: &str) -> Answer {
        self.post(&format!("{path}/upload-complete"), json!({})).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await.expect("200")
    }

    /// A pending recording whose only file is uploaded. Returns its path and the response of `upload-url`.
    pub(crate) async fn sent(&self, content_type: &str, bytes: &[u8]) -> (String, Value) {
        let path = self.create().await;
        let signed = self.sign(&path, json!({"content_type": content_type, "file_size_bytes": bytes.len()})).await;
        assert_eq!(put(&signed, bytes).await, 200);
        (path, signed)
    }

    /// A recording whose only file is uploaded and completed. Returns its path.
    pub(crate) async fn uploaded(&self, content_type: &str, bytes: &[u8]) -> String {
        let (path, _) = self.sent(content_type, bytes).await;
        self.complete(&path).await.expect("200");
        path
    }

    /// Waits for what is under way, then does what has become due, until nothing more happens.
    pub(crate) async fn sweep(&self) {
        self.stack.bus().settle().await;
        self.stack.bus().tick().await.unwrap();
        self.stack.bus().settle().await;
    }

    /// Number of items that are due within `seconds`.
    pub(crate) async fn due_within(&self, seconds: i64) -> usize {
        self.store.due(self.now().plus_seconds(seconds), 100).await.unwrap().len()
    }

    /// The number of items that stay due, once the upload URLs have expired and objects that nobody recorded were looked up.
    /// Work that failed, as on a busy machine, is due again after its lease.
    pub(crate) async fn left_after_urls(&self) -> usize {
        self.advance(capstan_domain::URL_SECONDS.into());
        let mut due = usize::MAX;
        for _ in 0..5 {
            self.sweep().await;
            due = self.due_within(YEAR).await;
            if due == 0 {
                break;
            }
            self.advance(LATER);
        }
        due
    }

    /// How often this event of the recording was published.
    pub(crate) fn published(&self, path: &str, what: &str) -> usize {
        let id = path.rsplit('/').next().unwrap();
        let events = self.stack.emulators().events();
        events
            .iter()
            .filter(|put| put.event["detail"]["recording_id"] == id && put.event["detail-type"] == what)
            .count()
    }

    /// The keys of all objects.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let bucket = &self.stack.template().buckets[0].name;
        let listed = self.stack.emulators().s3().list_objects_v2().bucket(bucket).send().await.unwrap();
        listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()
    }

    /// The ids of all uploads in parts that are under way, with their keys.
    pub(crate) async fn open_uploads(&self) -> Vec<(String, String)> {
        let bucket = &self.stack.template().buckets[0].name;
        let listed = self.stack.emulators().s3().list_multipart_uploads().bucket(bucket).send().await.unwrap();
        let open = listed.uploads.unwrap_or_default().into_iter();
        open.map(|upload| (upload.upload_id.unwrap(), upload.key.unwrap())).collect()
    }

    /// The partition keys of all recordings in the table.
    pub(crate) async fn recordings_kept(&self) -> Vec<String> {
        let table = self.stack.template().tables[0].name();
        let scanned = self.stack.emulators().dynamodb().scan().table_name(table).send().await.unwrap();
        let keys = scanned.items().iter().map(|item| item["PK"].as_s().unwrap().clone());
        keys.filter(|key| key.starts_with("REC#")).collect()
    }

    /// Deletes the recording and asserts that in the end neither the bucket nor the table holds anything of it.
    pub(crate) async fn assert_nothing_is_left(&self, path: &str, what: &str) {
        self.call(Method::DELETE, path, None).await.expect("204");
        for _ in 0..3 {
            self.sweep().await;
            self.advance(7300);
        }
        assert_eq!(self.objects().await, [""; 0], "{what}");
        assert_eq!(self.open_uploads().await, [], "{what}");
        assert_eq!(self.recordings_kept().await, [""; 0], "{what}");
    }

    /// How often renditions of the recording were stored.
    pub(crate) fn renditions_stored(&self, path: &str) -> usize {
        let id = path.rsplit('/').next().unwrap();
        let calls = self.stack.emulators().calls();
        let stored = |call: &&capstan_emulators::Call| {
            call.operation == "PutObject" && call.target.contains(id) && call.target.contains("/renditions/")
        };
        calls.iter().filter(stored).count()
    }

    /// Sends bytes as they are to the API and reads the answer.
    pub(crate) async fn raw(&self, head: &[u8], body: &[u8]) -> Answer {
        raw(self.stack.url().trim_start_matches("http://"), head, body).await
    }
}

/// A name that nothing else has.
pub(crate) fn unique() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A PUT as the signed answer asks for it; gives the status.
pub(crate) async fn put(signed: &Value, bytes: &[u8]) -> u16 {
    put_with(signed, signed["upload_url"].as_str().unwrap(), &[], bytes).await
}

/// A PUT with another URL or with other headers than were signed.
pub(crate) async fn put_with(signed: &Value, url: &str, headers: &[(&str, &str)], bytes: &[u8]) -> u16 {
    let mut request = Request::put(url);
    for (name, value) in signed["headers"].as_object().unwrap() {
        if !headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            request = request.header(name, value.as_str().unwrap());
        }
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    answer(request.body(Full::from(bytes.to_vec())).unwrap()).await.status
}

pub(crate) async fn answer(request: Request<Full<Bytes>>) -> Answer {
    let (parts, bytes) = super::send(request).await.into_parts();
    Answer { status: parts.status.as_u16(), headers: parts.headers, bytes }
}

/// Sends bytes as they are and reads until the server closes. `head` must ask it to.
pub(crate) async fn raw(address: &str, head: &[u8], body: &[u8]) -> Answer {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let sending = [head, body].concat();
    // A server that answers early closes while this is still writing.
    let writer = tokio::spawn(async move {
        let _ = writing.write_all(&sending).await;
        // Kept open: a client that closes its side is taken for gone.
        writing
    });
    let mut got = Vec::new();
    let _ = reading.read_to_end(&mut got).await;
    writer.abort();
    parse(&got)
}

fn parse(got: &[u8]) -> Answer {
    let end = got.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer: {got:?}"));
    let head = String::from_utf8(got[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.parse::<http::HeaderName>().unwrap(), value.trim().parse().unwrap())
        })
        .collect();
    Answer { status, headers, bytes: Bytes::copy_from_slice(&got[end + 4..]) }
}
