//! Least privilege: template.yaml lets each function do what it needs, and nothing else.
//!
//! That it is enough, every test proves: what no policy covers is denied, and fails the test. That it is not too much, the
//! one below proves, by needing all of it: each action, resource and condition's value, of which none could be taken away
//! without a denial.

use capstan_domain::{CredentialHash, Device, DeviceId, EndUserId, Grant, Mode, Sha256, Tenant};
use capstan_emulators::Fault;
use capstan_emulators::peer::{Peer, Reply};
use capstan_local::keys;
use capstan_test_environment::{listened, provider_variables, transcribing};
use http::Method;
use serde_json::{Value, json};

use super::matrix::{Resource, served};
use super::parts::{parts, send, upload};
use super::transcription::{call_back, callback_of};
use super::world::{LATER, MEETINGS, OPUS, World, put, unique};

/// What is not brought about here: nobody plays Amazon Transcribe, and no sound is long enough to be cut. What is needed
/// after all must leave this list.
const TRANSCRIBING: [&str; 12] = [
    " of ExportTranscriptionFunction[3]",
    " of GetTranscriptionFunction[2]",
    " of ListTranscriptionsFunction[3]",
    " of OnTranscribeEventFunction[0]",
    " of OnTranscribeEventFunction[1]",
    " of OnTranscribeEventFunction[2]",
    " of OnTranscribeEventFunction[3]",
    " of OnTranscribeEventFunction[4]",
    " of RunTranscriptionFunction[0]",
    " of RunTranscriptionFunction[2]",
    " of TranscriptionCallbackFunction[2]",
    " of TranscriptionCallbackFunction[3]",
];

impl World {
    /// A key whose use nobody has noted yet.
    async fn unused_key(&self) -> String {
        keys::create(&self.store, self.tenant(), Grant::Secret, None).await.unwrap().text
    }

    fn bucket(&self) -> &str {
        &self.stack.template().buckets[0].name
    }

    /// The key of the one object in the bucket that is this recording's.
    async fn object_of(&self, path: &str) -> String {
        let id = path.rsplit('/').next().unwrap();
        self.objects().await.into_iter().find(|key| key.contains(id)).unwrap()
    }

    /// Deletes an object behind the functions' backs.
    async fn lose(&self, key: &str) {
        self.stack.emulators().s3().delete_object().bucket(self.bucket()).key(key).send().await.unwrap();
    }

    /// Ends an upload in parts behind the functions' backs, as the bucket's lifecycle rule does.
    async fn lose_parts(&self, upload_id: &Value) {
        let id = upload_id.as_str().unwrap();
        let key = self.open_uploads().await.into_iter().find(|(open, _)| open == id).unwrap().1;
        let s3 = self.stack.emulators().s3();
        s3.abort_multipart_upload().bucket(self.bucket()).key(key).upload_id(id).send().await.unwrap();
    }

    /// Makes a file of the one part behind the functions' backs, as a function does that dies right after it.
    async fn make_file(&self, signed: &Value, etag: &str) {
        use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
        let id = signed["upload_id"].as_str().unwrap();
        let key = self.open_uploads().await.into_iter().find(|(open, _)| open == id).unwrap().1;
        let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
        let made = CompletedMultipartUpload::builder().parts(part).build();
        let s3 = self.stack.emulators().s3();
        let request = s3.complete_multipart_upload().bucket(self.bucket()).key(key).upload_id(id);
        request.multipart_upload(made).send().await.unwrap();
    }
}

/// Every operation by a key of its own, once as it should go and once refused.
async fn every_operation(world: &World) {
    for operation in served(world).await {
        let resource = Box::pin(Resource::make(world, world.tenant(), operation.about)).await;
        let (path, body) = operation.request(&resource);
        if operation.method == Method::POST {
            let nowhere = operation.path.replace("{id}", "unknown").replace("{media_id}", "unknown");
            let refused = world.keyed(&world.unused_key().await, &unique(), &nowhere, &json!([])).await;
            assert_eq!(refused.status / 100, 4, "{operation}: {}", refused.outcome());
            let done = world.keyed(&world.unused_key().await, &unique(), &path, &body).await;
            assert_eq!(done.status / 100, 2, "{operation}: {}", done.outcome());
        } else {
            let body = Some(body).filter(|body| !body.is_null());
            let done = world.call_as(&world.unused_key().await, operation.method.clone(), &path, body.as_ref()).await;
            assert_eq!(done.status / 100, 2, "{operation}: {}", done.outcome());
        }
    }
}

/// A file by one PUT, with notifications, without, and without the file.
async fn one_put(world: &World) {
    let path = world.uploaded("audio/ogg", OPUS).await;
    world.stack.bus().settle().await;
    assert_eq!(world.get(&path).await["status"], "completed");
    let (end_user, device) = (&world.project.end_user_id, &world.project.device_id);
    let body = json!({"end_user_id": end_user.as_str(), "device_id": device.as_str()});
    world.post("/v1/recordings", body).await.expect("201");
    world.get(&format!("/v1/recordings?device_id={device}")).await;
    world.get("/v1/recordings").await;
    let signed = world.get(&format!("{path}/download-url")).await;
    let fetched = http::Request::get(signed["download_url"].as_str().unwrap()).body(Default::default()).unwrap();
    assert_eq!(super::world::answer(fetched).await.status, 200);

    world.stack.bus().hold();
    let (unseen, _) = world.sent("audio/ogg", OPUS).await;
    let claim = json!({"content_sha256": Sha256::of(OPUS).to_string()});
    world.post(&format!("{unseen}/upload-complete"), claim).await.expect("200");
    let (path, _) = world.sent("audio/ogg", OPUS).await;
    world.complete(&path).await.expect("200");
    let unsent = world.create().await;
    world.sign(&unsent, json!({"content_type": "audio/ogg"})).await;
    world.complete(&unsent).await.expect("400 media_not_uploaded");
    // Nobody takes note of it but the sweep.
    world.stack.bus().settle().await;
    world.stack.bus().stop_holding();
    world.advance(LATER);
    world.sweep().await;

    // Gone by the time that it is looked for.
    for later in [false, true] {
        world.stack.bus().hold();
        let (lost, _) = world.sent("audio/ogg", OPUS).await;
        world.stack.bus().settle().await;
        let mut deliveries = world.stack.bus().take_held();
        if later {
            world.complete(&lost).await.expect("200");
            world.stack.bus().settle().await;
            deliveries = world.stack.bus().take_held();
        }
        world.lose(&world.object_of(&lost).await).await;
        let _ = world.stack.bus().deliver(&deliveries[0]).await;
        world.stack.bus().stop_holding();
    }
    world.advance(LATER);
    world.sweep().await;

    // Sent after its recording was deleted, and after it was completed.
    let path = world.create().await;
    let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
    world.call(Method::DELETE, &path, None).await.expect("204");
    assert_eq!(put(&signed, OPUS).await, 200);
    let path = world.create().await;
    let late = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
    let picture = world.sign(&path, json!({"content_type": "image/png"})).await;
    assert_eq!(put(&picture, include_bytes!("../../../../shared/image/fixtures/photo.png")).await, 200);
    world.complete(&path).await.expect("200");
    world.stack.bus().settle().await;
    assert_eq!(put(&late, OPUS).await, 200);
    world.stack.bus().settle().await;
}

/// A file in parts: sent, resumed, begun again, lost, late, aborted.
async fn in_parts(world: &World) {
    let body = json!({"content_type": "audio/ogg", "file_size_bytes": OPUS.len(), "multipart": true});
    let (path, signed) = world.begun("audio/ogg", OPUS.len()).await;
    let again = json!({"media_id": signed["media_id"], "file_size_bytes": OPUS.len(), "multipart": true});
    world.sign(&path, again).await;
    let resumed = world.get(&upload(&path, &signed)).await;
    send(OPUS, &parts(&signed)[0]).await;
    send(OPUS, &parts(&resumed)[0]).await;
    world.complete_parts(&path, &signed, json!({})).await.expect("200");
    world.complete(&path).await.expect("200");
    world.stack.bus().settle().await;

    let (path, signed) = world.begun("audio/ogg", OPUS.len()).await;
    let other = json!({"media_id": signed["media_id"], "file_size_bytes": 6_000_000, "multipart": true});
    let signed = world.sign(&path, other).await;
    world.lose_parts(&signed["upload_id"]).await;
    world.call(Method::GET, &upload(&path, &signed), None).await.expect("400 upload_expired");
    world.complete_parts(&path, &signed, json!({})).await.expect("400 upload_expired");

    // Its file was made, and nobody noted it.
    let (path, signed) = world.begun("audio/ogg", OPUS.len()).await;
    world.stack.bus().hold();
    world.make_file(&signed, &send(OPUS, &parts(&signed)[0]).await).await;
    world.call(Method::DELETE, &upload(&path, &signed), None).await.expect("204");
    world.stack.bus().settle().await;
    world.stack.bus().stop_holding();

    // Completed after its recording was, and after its recording was deleted.
    let path = world.create().await;
    let picture = world.sign(&path, json!({"content_type": "image/png"})).await;
    assert_eq!(put(&picture, include_bytes!("../../../../shared/image/fixtures/photo.png")).await, 200);
    let late = world.sign(&path, body).await;
    world.complete(&path).await.expect("200");
    world.stack.bus().settle().await;
    send(OPUS, &parts(&late)[0]).await;
    world.stack.bus().hold();
    world.complete_parts(&path, &late, json!({})).await.expect("200");
    world.stack.bus().settle().await;
    world.stack.bus().stop_holding();
    let (path, signed) = world.begun("audio/ogg", OPUS.len()).await;
    send(OPUS, &parts(&signed)[0]).await;
    world.stack.bus().hold();
    let _ = world.stack.emulators().take_calls();
    world.faults().fail_next("CompleteMultipartUpload", Fault::Delay(std::time::Duration::from_secs(2)), 1);
    let delete = async {
        while !world.stack.emulators().calls().iter().any(|call| call.operation == "CompleteMultipartUpload") {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        world.call(Method::DELETE, &path, None).await.expect("204");
    };
    let (completed, ()) = tokio::join!(world.complete_parts(&path, &signed, json!({})), delete);
    completed.expect("404 not_found");
    world.stack.bus().settle().await;
    world.stack.bus().stop_holding();
}

/// Files of Plaud-shaped clients: of an owner whom nobody knows yet, lost, and begun twice.
async fn files(world: &World) {
    const BEGIN: &str = "/api/files/upload-s3/generate-presigned-urls";
    const COMPLETE: &str = "/api/files/upload-s3/complete-upload";
    let owner_id = unique();
    for _ in ["unknown", "known"] {
        let (begun, parts) = world.sent_file(BEGIN, OPUS, "opus").await;
        let mut completion = world.completion(&begun, &parts);
        completion.as_object_mut().unwrap().remove("sn");
        completion["owner_id"] = json!(owner_id);
        world.post(COMPLETE, completion).await.expect("200");
    }
    let (begun, parts) = world.sent_file(BEGIN, OPUS, "opus").await;
    world.lose_parts(&begun["UploadId"]).await;
    world.post(COMPLETE, world.completion(&begun, &parts)).await.expect("400 upload_expired");

    let (key, body) = (unique(), json!({"filesize": OPUS.len(), "filetype": "opus"}));
    world.faults().fail_next("PutItem", Fault::LoseAnswer, u32::MAX);
    let died = world.keyed(&world.project.api_key, &key, BEGIN, &body).await;
    died.expect("503 temporarily_unavailable");
    world.faults().clear();
    world.keyed(&world.project.api_key, &key, BEGIN, &body).await.expect("200");
}

/// Who records: found by name, bound more often than one transaction unbinds.
async fn owners(world: &World) {
    let end_user = world.post("/v1/end-users", json!({"external_id": unique()})).await.expect("201");
    world
        .post("/v1/end-users", json!({"external_id": end_user["external_id"]}))
        .await
        .expect("409 resource_already_exists");
    let serial_number = unique();
    for _ in 0..2 {
        let made = world.post("/v1/devices", json!({"serial_number": serial_number})).await;
        assert_eq!(made.status / 100, 2, "{}", made.outcome());
    }
    let device = world.post("/v1/devices", json!({"serial_number": unique()})).await.expect("201");
    let bind = format!("/v1/devices/{}/bind", device["id"].as_str().unwrap());
    let bound = world.post(&bind, json!({"end_user_id": end_user["id"]})).await.expect("200");
    let token = bound["device_token"].as_str().unwrap();
    let listed = world.get(&format!("/v1/devices?end_user_id={}", end_user["id"].as_str().unwrap())).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let refresh = "/v1/devices/me/token/refresh";
    let body = json!({"revoke_now": true});
    let refreshed = world.call_as(token, Method::POST, refresh, None).await.expect("200");
    let token = refreshed["device_token"].as_str().unwrap();
    world.call_as(token, Method::POST, refresh, Some(&body)).await.expect("200");
    for _ in 0..5 {
        world.post(&bind, json!({"end_user_id": end_user["id"]})).await.expect("200");
    }
    let binding = json!({"sn": serial_number, "owner_id": end_user["external_id"]});
    for path in ["/api/devices/bind", "/api/devices/unbind"] {
        world.post(path, binding.clone()).await.expect("200");
    }
    let id: EndUserId = end_user["id"].as_str().unwrap().parse().unwrap();
    for number in 0..51 {
        let device = DeviceId::new(world.now(), number);
        let device = Device::new(device, world.tenant(), unique().parse().unwrap(), world.now());
        world.store.register_device(&device).await.unwrap();
        let token = CredentialHash::of(&unique());
        world.store.bind_device(device, id.clone(), token, world.now()).await.unwrap();
    }
    world.call(Method::DELETE, &format!("/v1/end-users/{id}"), None).await.expect("204");
}

/// Workers' recordings: in either bucket, not there, begun later, ended, deleted; and a transcription that ends.
async fn meetings(world: &World) {
    const PATH: &str = "/api/v1/recording/processing";
    world.put_object(MEETINGS, "a.ogg", OPUS).await;
    let there = json!({"recordingId": "a.ogg", "s3Bucket": MEETINGS});
    world.post(PATH, there).await.expect("200");
    world.stack.bus().settle().await;
    let listed = world.get("/v1/recordings?limit=1").await;
    let path = format!("/v1/recordings/{}", listed["data"][0]["id"].as_str().unwrap());
    let signed = world.get(&format!("{path}/download-url")).await;
    let fetched = http::Request::get(signed["download_url"].as_str().unwrap()).body(Default::default()).unwrap();
    assert_eq!(super::world::answer(fetched).await.status, 200);
    world.post(&format!("{path}/transcribe"), json!({"provider": "whisper"})).await.expect("201");
    world.stack.bus().settle().await;
    let project = &world.project.project_id;
    for payload in [
        json!({"recordingId": "none.ogg", "s3Bucket": MEETINGS}),
        json!({"recordingId": format!("{project}/test/none.ogg")}),
    ] {
        world.post(PATH, payload).await.expect("400 invalid_request");
    }
    let mut payload = json!({"socialRecordingId": unique(), "userId": unique()});
    world.post(PATH, payload.clone()).await.expect("200");
    payload["recordingId"] = json!(world.meeting_in_media_bucket().await);
    world.post(PATH, payload).await.expect("200");
    let known = json!({"socialRecordingId": unique(), "status": "COMPLETE", "userId": unique()});
    for _ in ["new", "known"] {
        world.post(PATH, known.clone()).await.expect("200");
    }
    let other = json!({"socialRecordingId": unique(), "userId": known["userId"]});
    world.post(PATH, other).await.expect("200");
    let live = keys::create(&world.store, Tenant { mode: Mode::Live, ..world.tenant() }, Grant::Secret, None).await;
    let key = format!("{project}/live/a.ogg");
    world.put_object(world.bucket(), &key, OPUS).await;
    let payload = json!({"recordingId": key});
    world.call_as(&live.unwrap().text, Method::POST, PATH, Some(&payload)).await.expect("200");
    let saved = json!({"socialTranscriptionId": unique()});
    world.post("/api/v1/transcription/save", saved.clone()).await.expect("200");
    let ended = json!({"socialTranscriptionId": saved["socialTranscriptionId"], "status": "COMPLETE"});
    world.post("/api/v1/transcription/save", ended).await.expect("200");
    world.stack.bus().settle().await;
    world.call(Method::DELETE, &path, None).await.expect("204");
}

/// A server of all providers that hears a day of speech where the language is said to be Latin, and as much as an item
/// does not hold where it is said to be Greek.
async fn provider() -> Peer {
    Peer::answering(|asked| {
        let text = asked.text();
        let of_language = |code: &str| text.contains(&format!("\r\n{code}\r\n"));
        let words = if of_language("la") { 1_000_000 } else { 80_000 };
        match of_language("la") || of_language("el") {
            true => Reply::json(200, json!({"text": "verba ".repeat(words), "duration": 2.5}).to_string()),
            false => transcribing(asked),
        }
    })
    .await
}

/// Transcriptions: of every recording, asked for, long, called back, deleted.
async fn transcriptions(world: &World, peer: &Peer) {
    let path = world.uploaded("audio/ogg", OPUS).await;
    world.stack.bus().settle().await;
    for (language, provider) in [("la", "whisper"), ("el", "whisper"), ("en", "deepgram")] {
        let asked = json!({"language": language, "provider": provider});
        let asked = world.post(&format!("{path}/transcribe"), asked).await.expect("201");
        let id = asked["id"].as_str().unwrap();
        world.stack.bus().settle().await;
        if provider == "deepgram" {
            let given = peer.take_seen();
            let given = given.iter().find(|asked| asked.line.contains("callback=")).unwrap();
            let mut said = listened();
            said["results"]["utterances"][0]["transcript"] = json!("verba ".repeat(80_000));
            assert_eq!(call_back(&callback_of(given), &said).await, 204);
        }
        let transcription = world.get(&format!("/v1/transcriptions/{id}")).await;
        assert_eq!(transcription["status"], "completed", "{}", transcription["error"]);
        let export = world.call(Method::GET, &format!("/v1/transcriptions/{id}/export"), None).await;
        assert!([200, 302].contains(&export.status), "{}", export.outcome());
        if let Some(url) = export.headers.get("location") {
            let fetched = http::Request::get(url.to_str().unwrap()).body(Default::default()).unwrap();
            assert_eq!(super::world::answer(fetched).await.status, 200);
        }
    }
    world.get("/v1/transcriptions").await;
    let recording_id = path.rsplit('/').next().unwrap();
    world.get(&format!("/v1/transcriptions?recording_id={recording_id}")).await;

    let body = json!({"transcription": {"automatic": true}});
    world.call(Method::PUT, "/v1/settings", Some(&body)).await.expect("200");
    world.uploaded("audio/ogg", OPUS).await;
    world.stack.bus().settle().await;
    // Whoever processed it died before asking for its transcription.
    world.stack.bus().hold();
    let died = world.uploaded("audio/ogg", OPUS).await;
    world.stack.bus().settle().await;
    world.faults().fail_next("GetItem", Fault::Internal, 12);
    for delivery in world.stack.bus().stop_holding() {
        let _ = world.stack.bus().deliver(&delivery).await;
    }
    world.faults().clear();
    world.advance(LATER);
    world.sweep().await;
    assert!(world.get(&died).await["transcription_id"].is_string());
    // Nobody took it up, and nobody could.
    world.stack.bus().hold();
    world.post(&format!("{path}/transcribe"), json!({})).await.expect("201");
    world.stack.bus().settle().await;
    world.stack.bus().stop_holding();
    world.call(Method::DELETE, &path, None).await.expect("204");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_resource_and_condition_that_the_policies_allow_is_needed() {
    let peer = provider().await;
    let variables = provider_variables("whisper,deepgram", &peer.url);
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
    let world = World::with(|options| options.variables.extend(variables)).await;
    Box::pin(every_operation(&world)).await;
    world.stack.bus().settle().await;
    Box::pin(one_put(&world)).await;
    Box::pin(in_parts(&world)).await;
    Box::pin(files(&world)).await;
    Box::pin(owners(&world)).await;
    Box::pin(meetings(&world)).await;
    Box::pin(transcriptions(&world, &peer)).await;
    // Everything that is still open expires, and goes.
    world.get("/v1/end-users").await;
    world.get("/v1/transcriptions").await;
    for _ in 0..3 {
        world.advance(8 * 24 * 3600);
        world.sweep().await;
    }

    let unneeded = world.stack.emulators().unneeded_permissions();
    let (excused, unneeded): (Vec<_>, Vec<_>) = unneeded
        .iter()
        .map(ToString::to_string)
        .partition(|permission| TRANSCRIBING.iter().any(|excuse| permission.ends_with(excuse)));
    assert!(unneeded.is_empty(), "allowed and not needed:\n{}", unneeded.join("\n"));
    let is_idle = |excuse: &&str| !excused.iter().any(|permission| permission.ends_with(*excuse));
    let idle: Vec<&str> = TRANSCRIBING.into_iter().filter(is_idle).collect();
    assert!(idle.is_empty(), "needed by now, so no longer to be excused: {idle:?}");
}
