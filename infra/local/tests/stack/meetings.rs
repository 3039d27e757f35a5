//! Scoot-shaped workers over the whole stack: objects in buckets of their own become recordings, and what they tell is kept.

use capstan_emulators::peer::Peer;
use capstan_test_environment::{provider_variables, transcribing};
use futures_util::future::join_all;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::world::{Answer, LATER, MEETINGS, OPUS, World, answer, unique};

const RECORDING: &str = "/api/v1/recording/processing";
const TRANSCRIPTION: &str = "/api/v1/transcription/save";

impl World {
    /// What a worker puts into a bucket itself.
    pub(crate) async fn put_object(&self, bucket: &str, key: &str, bytes: &'static [u8]) {
        let s3 = self.stack.emulators().s3();
        let body = aws_sdk_s3::primitives::ByteStream::from_static(bytes);
        s3.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    }

    /// The key of an object that a worker put into the media bucket.
    pub(crate) async fn meeting_in_media_bucket(&self) -> String {
        let key = format!("{}/test/{}.ogg", self.project.project_id, unique());
        self.put_object(&self.stack.template().buckets[0].name, &key, OPUS).await;
        key
    }

    /// Calls as workers do.
    async fn tell(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(format!("{}{path}", self.stack.url()))
            .header("x-api-key", &self.project.api_key)
            .header("content-type", "application/json");
        answer(request.body(Full::from(body.to_string())).unwrap()).await
    }

    /// A meeting in the workers' own bucket, saved as a meeting recording.
    async fn meeting(&self, bytes: &'static [u8]) -> Value {
        let key = format!("{}.ogg", unique());
        self.put_object(MEETINGS, &key, bytes).await;
        let payload = json!({"socialRecordingId": unique(), "recordingId": key, "s3Bucket": MEETINGS});
        self.tell(RECORDING, &payload).await.expect("200")
    }

    /// The path of the newest recording.
    async fn newest(&self) -> String {
        let listed = self.get("/v1/recordings?limit=1").await;
        format!("/v1/recordings/{}", listed["data"][0]["id"].as_str().unwrap())
    }

    async fn fetched(&self, signed: &Value) -> bytes::Bytes {
        let request = Request::get(signed["download_url"].as_str().unwrap()).body(Full::default()).unwrap();
        let got = answer(request).await;
        assert_eq!(got.status, 200);
        got.bytes
    }
}

fn person() -> Value {
    json!({
        "userId": unique(), "name": "Grace Example", "firstName": "Grace", "middleName": "B.", "lastName": "Example",
        "emailAddress": "grace@example.com", "emailVerified": true, "preload": false, "mobilePhone": "+4930123456",
        "mobilePhoneVerified": true, "mobilePhoneVerifiedWeb": false, "profileId": "grace",
        "profileImageURI": "https://example.com/grace.png", "profileImageId": unique(),
        "profileImageBackground": "#ffffff", "timeZone": "Europe/Berlin",
        "registeredDateTime": "2023-11-07T05:31:56Z", "active": true, "actedAs": false
    })
}

/// A recording with every field that there is.
fn everything(status: &str) -> Value {
    json!({
        "socialRecordingId": unique(), "socialId": unique(), "userId": unique(), "recordingId": "a.mp4",
        "status": status, "name": "Weekly", "s3Bucket": MEETINGS, "recordingSize": 123,
        "startDateTime": "2023-11-07T05:31:56Z", "endDateTime": "2023-11-07T06:31:56Z",
        "processingStartDateTime": "2023-11-07T06:32:00Z", "processingEndDateTime": "2023-11-07T06:33:00Z",
        "participants": [{
            "userId": unique(), "type": "VIDEO", "startDateTime": "2023-11-07T05:31:56Z",
            "endDateTime": "2023-11-07T05:41:56.25Z", "user": person()
        }],
        "user": person(), "laterField": {"a": [0.1, 1e300, 12_345_678_901_234_567_u64]}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_a_worker_becomes_a_recording() {
    let world = World::start().await;
    let payload = world.meeting(OPUS).await;
    assert_eq!(payload["status"], "PROCESSING");
    world.stack.bus().settle().await;
    let path = world.newest().await;
    let recording = world.get(&path).await;
    assert_eq!((&recording["status"], &recording["source"]), (&json!("completed"), &json!("api_upload")));
    let media = &recording["media"][0];
    assert_eq!((&media["mime_type"], &media["codec"]), (&json!("audio/ogg"), &json!("opus")));
    assert_eq!(media["renditions"][0]["kind"], "peaks");
    let signed = world.get(&format!("{path}/download-url")).await;
    assert!(signed["download_url"].as_str().unwrap().contains(&format!("/{MEETINGS}/")));
    assert_eq!(world.fetched(&signed).await, OPUS);
    let rendition = json!({"rendition_id": media["renditions"][0]["id"]});
    let peaks = world.post(&format!("{path}/download-url"), rendition).await.expect("200");
    assert!(world.fetched(&peaks).await.starts_with(b"{"));
    assert_eq!((world.published(&path, "recording.uploaded"), world.published(&path, "recording.completed")), (1, 1));

    let again = json!({"socialRecordingId": payload["socialRecordingId"]});
    let shown = world.tell(RECORDING, &again).await.expect("200");
    assert_eq!((&shown["status"], &shown["recordingId"]), (&json!("COMPLETE"), &payload["recordingId"]));
    assert!(shown["processingEndDateTime"].as_str() >= shown["processingStartDateTime"].as_str());
    let repeat = json!({
        "socialRecordingId": payload["socialRecordingId"], "status": "PROCESSING", "recordingId": payload["recordingId"],
        "s3Bucket": MEETINGS
    });
    assert_eq!(world.tell(RECORDING, &repeat).await.expect("200")["status"], "COMPLETE", "who did not hear of the end");
    let wrong = json!({"socialRecordingId": payload["socialRecordingId"], "status": "FAILED"});
    world.tell(RECORDING, &wrong).await.expect("409 conflict");

    world.call(Method::DELETE, &path, None).await.expect("204");
    for _ in 0..3 {
        world.sweep().await;
        world.advance(7300);
    }
    assert_eq!(world.objects().await, [""; 0], "renditions go");
    let s3 = world.stack.emulators().s3();
    let kept = s3.head_object().bucket(MEETINGS).key(payload["recordingId"].as_str().unwrap()).send().await;
    assert!(kept.is_ok(), "the object is the worker's");
    assert_eq!(world.tell(RECORDING, &repeat).await.expect("200")["status"], "PROCESSING", "a new recording");
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_every_field_that_a_worker_sent() {
    let world = World::start().await;
    world.put_object(MEETINGS, "a.mp4", OPUS).await;
    for status in ["PROCESSING", "COMPLETE", "FAILED"] {
        let payload = everything(status);
        assert_eq!(world.tell(RECORDING, &payload).await.expect("200"), payload, "{status}");
        let again = json!({"socialRecordingId": payload["socialRecordingId"], "status": status});
        if status != "PROCESSING" {
            assert_eq!(world.tell(RECORDING, &again).await.expect("200"), payload, "{status}");
        }
        world.stack.bus().settle().await;
        let recording = world.get(&world.newest().await).await;
        assert_eq!((&recording["name"], &recording["started_at"]), (&payload["name"], &payload["startDateTime"]));
        let end_user = world.get(&format!("/v1/end-users/{}", recording["end_user_id"].as_str().unwrap())).await;
        assert_eq!(end_user["external_id"], payload["userId"]);
    }
    for status in ["PROCESSING", "COMPLETE", "FAILED"] {
        let payload = json!({
            "socialTranscriptionId": unique(), "socialRoomSetId": unique(), "status": status, "name": "Weekly",
            "s3Bucket": "anywhere", "startDateTime": "2023-11-07T05:31:56Z",
            "processingStartDateTime": "2023-11-07T05:31:56Z", "processingEndDateTime": "2023-11-07T05:31:56Z",
            "user": person()
        });
        assert_eq!(world.tell(TRANSCRIPTION, &payload).await.expect("200"), payload, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_name_allowed_objects_only() {
    let world = World::start().await;
    let bucket = world.stack.template().buckets[0].name.clone();
    let project = &world.project.project_id;
    let own = world.meeting_in_media_bucket().await;
    let uploaded = world.uploaded("audio/ogg", OPUS).await;
    let of_recording = world.objects().await.into_iter().find(|key| key.ends_with("/audio.ogg")).unwrap();
    let live = format!("{project}/live/a.ogg");
    for key in ["proj_other/test/a.ogg", &live] {
        world.put_object(&bucket, key, OPUS).await;
    }
    world.stack.emulators().create_bucket("strangers", Vec::new()).unwrap();
    world.put_object("strangers", "a.ogg", OPUS).await;
    let dotted = format!("{project}/test/../../proj_other/test/a.ogg");
    for (payload, param) in [
        (json!({"recordingId": "a.ogg", "s3Bucket": "strangers"}), "s3Bucket"),
        (json!({"recordingId": "proj_other/test/a.ogg"}), "recordingId"),
        (json!({"recordingId": "proj_other/test/a.ogg", "s3Bucket": bucket}), "recordingId"),
        (json!({"recordingId": live}), "recordingId"),
        (json!({"recordingId": of_recording}), "recordingId"),
        (json!({"recordingId": dotted}), "recordingId"),
        (json!({"recordingId": format!("{project}/test/none.ogg")}), "recordingId"),
        (json!({"recordingId": "none.ogg", "s3Bucket": MEETINGS}), "recordingId"),
    ] {
        let refused = world.tell(RECORDING, &payload).await;
        assert_eq!(refused.outcome(), "400 invalid_request", "{payload}");
        assert_eq!(refused.json()["error"]["param"], param, "{payload}");
    }
    assert_eq!(world.newest().await, uploaded, "none was made");
    world.tell(RECORDING, &json!({"recordingId": own})).await.expect("200");
    world.stack.bus().settle().await;
    let path = world.newest().await;
    assert_eq!(world.get(&path).await["status"], "completed");
    world.call(Method::DELETE, &path, None).await.expect("204");
    world.sweep().await;
    assert!(world.objects().await.contains(&own), "what a worker put there is not Capstan's");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unprocessable_meeting_fails_in_both_apis() {
    let world = World::start().await;
    let payload = world.meeting(include_bytes!("../../../../shared/audio/fixtures/random.bin")).await;
    world.stack.bus().settle().await;
    let path = world.newest().await;
    assert_eq!(world.get(&path).await["error"]["code"], "unsupported_format");
    let again = json!({"socialRecordingId": payload["socialRecordingId"], "status": "FAILED"});
    let shown = world.tell(RECORDING, &again).await.expect("200");
    assert!(shown["status"] == "FAILED" && shown["processingEndDateTime"].is_string(), "{shown}");
    assert_eq!(world.published(&path, "recording.failed"), 1);
    let other = json!({"socialRecordingId": payload["socialRecordingId"], "status": "COMPLETE"});
    world.tell(RECORDING, &other).await.expect("409 conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_reported_by_a_worker_is_final() {
    let world = World::start().await;
    world.stack.bus().hold();
    let payload = world.meeting(OPUS).await;
    let path = world.newest().await;
    let end = json!({"socialRecordingId": payload["socialRecordingId"], "status": "FAILED"});
    world.tell(RECORDING, &end).await.expect("200");
    world.stack.bus().settle().await;
    for delivery in world.stack.bus().stop_holding() {
        let _ = world.stack.bus().deliver(&delivery).await;
    }
    world.stack.bus().settle().await;
    for _ in 0..3 {
        world.advance(LATER);
        world.sweep().await;
    }
    let recording = world.get(&path).await;
    assert_eq!((&recording["status"], &recording["error"]["code"]), (&json!("failed"), &json!("processing_error")));
    assert_eq!(recording["media"][0]["renditions"][0]["kind"], "peaks", "what can be known of it is");
    assert_eq!((world.published(&path, "recording.failed"), world.published(&path, "recording.completed")), (1, 0));
    assert_eq!(world.tell(RECORDING, &end).await.expect("200")["status"], "FAILED");
    assert_eq!(world.due_within(super::world::YEAR).await, 0, "nothing is owed");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_concurrent_requests_create_one_recording() {
    let world = World::start().await;
    let key = world.meeting_in_media_bucket().await;
    let payload = json!({"socialRecordingId": unique(), "recordingId": key, "userId": unique(), "name": "Weekly"});
    for answer in join_all((0..20).map(|_| world.tell(RECORDING, &payload))).await {
        answer.expect("200");
    }
    world.tell(RECORDING, &payload).await.expect("200");
    world.stack.bus().settle().await;
    let listed = world.get("/v1/recordings").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed["data"][0]["status"], "completed");
    assert_eq!(world.published(&world.newest().await, "recording.uploaded"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_transcription_is_listed_and_never_run() {
    let world = World::start().await;
    let payload = json!({"socialTranscriptionId": unique(), "name": "Weekly"});
    for status in ["PROCESSING", "COMPLETE"] {
        let mut payload = payload.clone();
        payload["status"] = json!(status);
        world.tell(TRANSCRIPTION, &payload).await.expect("200");
        world.stack.bus().settle().await;
        world.advance(LATER);
        world.sweep().await;
        let listed = world.get("/v1/transcriptions").await;
        let transcription = &listed["data"][0];
        let id = transcription["id"].as_str().unwrap();
        assert_eq!(world.get(&format!("/v1/transcriptions/{id}")).await, *transcription);
        let expected = if status == "COMPLETE" { "completed" } else { "processing" };
        assert_eq!((&transcription["status"], &transcription["recording_id"]), (&json!(expected), &Value::Null));
        assert_eq!(transcription["text"], Value::Null);
    }
    assert_eq!(world.due_within(super::world::YEAR).await, 0, "nothing is owed");
    let events = world.stack.emulators().events();
    let types: Vec<_> = events.iter().map(|event| event.event["detail-type"].as_str().unwrap()).collect();
    assert_eq!(types, ["transcription.started", "transcription.completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_in_a_workers_bucket_is_transcribed() {
    let peer = Peer::answering(transcribing).await;
    let variables = provider_variables("whisper", &peer.url);
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
    let world = World::with(|options| options.variables.extend(variables)).await;
    world.meeting(OPUS).await;
    world.stack.bus().settle().await;
    let path = world.newest().await;
    let asked = world.post(&format!("{path}/transcribe"), json!({})).await.expect("201");
    world.stack.bus().settle().await;
    let transcription = world.get(&format!("/v1/transcriptions/{}", asked["id"].as_str().unwrap())).await;
    assert_eq!(transcription["status"], "completed", "{transcription}");
}
