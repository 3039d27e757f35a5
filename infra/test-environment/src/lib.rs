//! Test environment: a table, a bucket and an event bus with a project, an end user and a device, and recordings and
//! transcriptions in any state.
//!
//! The servers are real ones on loopback; handlers get the event files that users get.

#![allow(clippy::expect_used, reason = "an environment that cannot start ends the test")]
#![allow(clippy::panic)]

mod owners;
mod providers;
mod recording;
mod transcription;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use capstan_aws::{Environment, FromEnvironment};
use capstan_domain::{
    Credential, CredentialHash, DeviceId, EndUserId, Error, Grant, Mode, ProjectId, Scope, Tenant, Timestamp,
};
use capstan_emulators::template::Template;
use capstan_emulators::{ACCESS_KEY_ID, Emulators, SECRET_ACCESS_KEY, Storage};
use capstan_events::Events;
use capstan_http::{Access, Reply, Request};
use capstan_idempotency::Dependencies;
use capstan_lambda::{Clock, Function, Invocation, event_function, http_function};
use capstan_objects::Objects;
use capstan_store::Store;
use capstan_transcripts::Transcripts;
use futures_util::FutureExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use providers::{PROVIDER_KEY, SAID, listened, provider_variables, transcribing};
pub use recording::RecordingBuilder;
pub use transcription::TranscriptionBuilder;

/// The secret key in the event files.
pub const SECRET_KEY: &str = "sk_live_EXAMPLE-not-a-real-key-EXAMPLE-not-a-real-A";
/// A token of the device in the event files.
pub const DEVICE_TOKEN: &str = "dtok_EXAMPLE-not-a-real-token-EXAMPLE-not-a-re-A";
/// The project in the event files.
pub const PROJECT: &str = "proj_01jcz4j8002j6ykhd7mh6hksbc";
/// The end user in the event files.
pub const END_USER: &str = "eu_01jcz695t07xwvpyt3bc2k45jh";
/// The serial number of the device in the event files.
pub const SERIAL_NUMBER: &str = "CR2-7F3A-0042";
/// The device in the event files.
pub const DEVICE: &str = "dev_01jcz6b0d032p3wwt3y0b8j32h";
/// The recording in the event files.
pub const RECORDING: &str = "rec_01jd4dny168n1mks12y199e68y";
/// The media file in the event files.
pub const MEDIA: &str = "med_01jd4dnydacb36myjxtw632hk1";
/// The transcription in the event files.
pub const TRANSCRIPTION: &str = "txn_01jd4fh7m0e5b8r2v9c6k3w1qz";

/// Everything that a handler depends on, with one project.
#[derive(Debug)]
pub struct TestEnvironment {
    /// The servers, their calls and their faults.
    pub emulators: Emulators,
    /// The table.
    pub store: Store,
    /// The media bucket.
    pub objects: Objects,
    /// The event bus.
    pub events: Events,
    table: String,
    bucket: String,
    variables: Mutex<BTreeMap<String, String>>,
    milliseconds: Arc<AtomicI64>,
}

/// Response of an HTTP function.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u64,
    /// The body as JSON; null when there is none.
    pub body: Value,
    /// The headers.
    pub headers: Value,
}

impl TestEnvironment {
    /// An environment with a project, its secret key, an end user and a device that is bound to them. The clock stands at the hour of the event files.
    pub async fn start() -> Self {
        let template = Template::of_this_project().expect("template.yaml reads");
        let emulators = Emulators::start(Storage::Memory).await.expect("the emulators start");
        emulators.create_resources(&template).expect("the template's resources are made");
        let table = template.tables[0].name().to_owned();
        let bucket = template.buckets[0].name.clone();
        let variables = [
            ("TABLE_NAME", table.as_str()),
            ("MEDIA_BUCKET", bucket.as_str()),
            ("EVENT_BUS_NAME", "capstan"),
            ("TRANSCRIPTION_RENDITION", "WhenNeeded"),
            ("TRANSCRIPTION_PROVIDERS", ""),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let environment = Self {
            store: Store::new(emulators.dynamodb(), table.as_str()),
            objects: Objects::new(&emulators.sdk_config(), bucket.as_str()),
            events: Events::new(emulators.eventbridge(), "capstan"),
            emulators,
            variables: Mutex::new(variables),
            table,
            bucket,
            milliseconds: Arc::new(AtomicI64::new(1_732_093_200_000)),
        };
        environment.credential(SECRET_KEY, Grant::Secret).await;
        environment.end_user(&Self::tenant(), &Self::end_user_id()).await;
        environment.bound_device(&Self::tenant(), &Self::device_id(), &Self::end_user_id(), DEVICE_TOKEN).await;
        let _ = environment.emulators.take_calls();
        environment
    }

    /// The project's live data.
    pub fn tenant() -> Tenant {
        Tenant { project_id: Self::project_id(), mode: Mode::Live }
    }

    /// [`PROJECT`].
    pub fn project_id() -> ProjectId {
        PROJECT.parse().expect("a project id")
    }

    /// [`END_USER`].
    pub fn end_user_id() -> EndUserId {
        END_USER.parse().expect("an end user id")
    }

    /// [`DEVICE`].
    pub fn device_id() -> DeviceId {
        DEVICE.parse().expect("a device id")
    }

    /// Keeps a credential of the project's live data.
    pub async fn credential(&self, text: &str, grant: Grant) {
        self.credential_of(Self::tenant(), text, grant).await;
    }

    /// Keeps a credential of any tenant's.
    pub async fn credential_of(&self, tenant: Tenant, text: &str, grant: Grant) {
        let credential = Credential::new(tenant, grant, self.now());
        self.store.put_credential(&CredentialHash::of(text), &credential).await.expect("the credential is kept");
    }

    /// Keeps a restricted key of one scope and gives it.
    pub async fn restricted_key(&self, scope: Scope) -> String {
        let text = format!("rk_live_{}", scope.as_str().replace(':', "-"));
        self.credential(&text, Grant::Restricted { scopes: [scope].into() }).await;
        text
    }

    /// Gives the functions that are constructed from now on an environment variable.
    pub fn set_variable(&self, name: &str, value: impl Into<String>) {
        self.variables.lock().expect("no test panicked here").insert(name.to_owned(), value.into());
    }

    /// The function of a request handler, constructed as its `main` does.
    pub fn http_function<D, H, F>(&self, handler: H) -> Function
    where
        D: Clone + Dependencies + FromEnvironment + Send + Sync + 'static,
        H: Fn(D, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        http_function(self.dependencies(), self.clock(), handler)
    }

    /// The function of an event handler, constructed as its `main` does.
    pub fn event_function<D, E, H, F>(&self, handler: H) -> Function
    where
        D: Clone + FromEnvironment + Send + Sync + 'static,
        E: DeserializeOwned + Send + 'static,
        H: Fn(D, E, Invocation) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        event_function("under-test", self.dependencies(), self.clock(), handler)
    }

    fn dependencies<D: FromEnvironment>(&self) -> D {
        let variables = self.variables.lock().expect("no test panicked here").clone();
        let environment = Environment::new(self.emulators.sdk_config(), variables);
        // Only a secret is waited for, and no test names one.
        let constructed = D::from_environment(&environment).now_or_never().expect("nothing to wait for");
        constructed.expect("every variable is given")
    }

    /// Access to the table, with an empty cache of credentials.
    pub fn access(&self) -> Access {
        Access::new(self.store.clone())
    }

    /// The environment's clock, which stands still.
    pub fn clock(&self) -> Clock {
        let milliseconds = Arc::clone(&self.milliseconds);
        Clock::telling(move || {
            Timestamp::from_milliseconds(milliseconds.load(Ordering::SeqCst)).expect("a time within the calendar")
        })
    }

    /// Current time of the functions.
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Puts the clock forward.
    pub fn advance(&self, seconds: i64) {
        self.milliseconds.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// Begins a recording of the project.
    pub fn recording(&self) -> RecordingBuilder<'_> {
        RecordingBuilder::new(self)
    }

    /// Reads a recording as it is stored.
    pub async fn stored(&self, id: &str) -> Option<capstan_domain::Recording> {
        self.store.recording(&id.parse().expect("a recording id")).await.expect("the table answers")
    }

    /// Where texts of transcriptions go.
    pub fn transcripts(&self) -> Transcripts {
        Transcripts::new(self.store.clone(), self.objects.clone(), self.events.clone())
    }

    /// The types of the events published since the last call.
    pub async fn published(&self) -> Vec<String> {
        let text = |published: capstan_emulators::BusEvent| {
            published.event["detail-type"].as_str().unwrap_or_default().to_owned()
        };
        self.emulators.take_events().await.into_iter().map(text).collect()
    }

    /// The name of the table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The name of the media bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The media bucket, behind credentials that end then.
    pub fn objects_until(&self, end: Timestamp) -> Objects {
        let end = UNIX_EPOCH + Duration::from_millis(end.milliseconds().unsigned_abs());
        let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, Some(end), "stage");
        let configuration = self.emulators.sdk_config().to_builder();
        let configuration = configuration.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        Objects::new(&configuration, self.bucket())
    }

    /// The ids of all uploads in parts that are under way.
    pub async fn open_uploads(&self) -> Vec<String> {
        let listed = self.emulators.s3().list_multipart_uploads().bucket(&self.bucket).send().await;
        let uploads = listed.expect("S3 answers").uploads.unwrap_or_default();
        uploads.into_iter().filter_map(|upload| upload.upload_id).collect()
    }

    /// The keys of all objects in the bucket.
    pub async fn object_keys(&self) -> Vec<String> {
        let listed = self.emulators.s3().list_objects_v2().bucket(&self.bucket).send().await.expect("S3 answers");
        listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()
    }
}

/// The event file of a function, as `sam local invoke` and `cargo lambda invoke` take it.
pub fn event(function: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(format!("{function}.json"));
    let text = std::fs::read_to_string(&path).expect("every function has an event file");
    serde_json::from_str(&text).expect("event files are JSON")
}

/// An HTTP event with another body.
pub fn with_body(mut event: Value, body: Value) -> Value {
    event["body"] = Value::String(body.to_string());
    event["isBase64Encoded"] = Value::Bool(false);
    event
}

/// An HTTP event with another credential.
pub fn with_credential(event: Value, credential: &str) -> Value {
    with_header(event, "authorization", &format!("Bearer {credential}"))
}

/// An HTTP event with one more header, or another value of it.
pub fn with_header(mut event: Value, name: &str, value: &str) -> Value {
    event["headers"][name] = Value::String(value.to_owned());
    event
}

/// An HTTP event without a header.
pub fn without_header(mut event: Value, name: &str) -> Value {
    event["headers"].as_object_mut().expect("an event has headers").remove(name);
    event
}

/// An HTTP event with another `{id}` in its path.
pub fn with_id(mut event: Value, id: &str) -> Value {
    event["pathParameters"]["id"] = Value::String(id.to_owned());
    event
}

/// An HTTP event with another `{media_id}` in its path.
pub fn with_media_id(mut event: Value, id: &str) -> Value {
    event["pathParameters"]["media_id"] = Value::String(id.to_owned());
    event
}

/// An HTTP event with this query.
pub fn with_query(mut event: Value, parameters: &[(&str, &str)]) -> Value {
    let encoded = |value| utf8_percent_encode(value, NON_ALPHANUMERIC);
    let text: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    event["rawQueryString"] = Value::String(text.join("&"));
    event["queryStringParameters"] =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::String((*value).to_owned()))).collect();
    event
}

/// Hands a function that lists its event with this query: the ids of the page, and the cursor of the next.
///
/// # Panics
/// When it does not answer with a page.
pub async fn page(function: &Function, name: &str, query: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
    let answer = call(function, with_query(event(name), query)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let data = answer.body["data"].as_array().expect("a list");
    let ids = data.iter().map(|one| one["id"].as_str().expect("an id").to_owned());
    let next = answer.body["next_cursor"].as_str().map(str::to_owned);
    assert_eq!(answer.body["has_more"], next.is_some());
    (ids.collect(), next)
}

/// Hands an HTTP function an event and reads its answer.
pub async fn call(function: &Function, event: Value) -> Answer {
    let answer = function.invoke(event).await.expect("an HTTP function always answers");
    let body = match answer["body"].as_str() {
        None | Some("") => Value::Null,
        Some(text) => serde_json::from_str(text).expect("a body is JSON"),
    };
    Answer {
        status: answer["statusCode"].as_u64().expect("an answer has a status"),
        body,
        headers: answer["headers"].clone(),
    }
}
