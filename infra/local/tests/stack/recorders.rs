//! A Plaud-shaped client from its first call to its last: it changes its base URL and its key and nothing else.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::world::{Answer, OPUS, World, answer, unique};

const BEGIN: &str = "/api/files/upload-s3/generate-presigned-urls";
const COMPLETE: &str = "/api/files/upload-s3/complete-upload";
const PARTNER_BEGIN: &str = "/open/partner/files/upload/generate-presigned-urls";
const PARTNER_COMPLETE: &str = "/open/partner/files/upload/complete-upload";
/// MD5 of [`OPUS`], as `md5sum` gives it.
const MD5: &str = "b6ecdb96ef6aa5956527f2345f57f001";

impl World {
    /// Calls as such clients do: the bare credential in `Authorization`.
    async fn bare(&self, credential: &str, path: &str, body: &Value) -> Answer {
        let request = Request::post(format!("{}{path}", self.stack.url())).header("authorization", credential);
        answer(request.header("content-type", "application/json").body(Full::from(body.to_string())).unwrap()).await
    }

    async fn recorder_post(&self, path: &str, body: &Value) -> Answer {
        self.bare(&self.project.api_key, path, body).await
    }

    /// Begins an upload of these bytes and sends every part; gives what was begun, and the parts with their tags.
    pub(crate) async fn sent_file(&self, begin: &str, bytes: &[u8], filetype: &str) -> (Value, Vec<Value>) {
        let begun =
            self.recorder_post(begin, &json!({"filesize": bytes.len(), "filetype": filetype})).await.expect("200");
        let size = usize::try_from(begun["ChunkSize"].as_u64().unwrap()).unwrap();
        let mut parts = Vec::new();
        for (part, chunk) in begun["Parts"].as_array().unwrap().iter().zip(bytes.chunks(size)) {
            let url = part["PresignedUrl"].as_str().unwrap();
            let sent = answer(Request::put(url).body(Full::from(chunk.to_vec())).unwrap()).await;
            assert_eq!(sent.status, 200, "{}", String::from_utf8_lossy(&sent.bytes));
            let etag = sent.headers["etag"].to_str().unwrap().to_owned();
            parts.push(json!({"PartNumber": part["PartNumber"], "ETag": etag}));
        }
        (begun, parts)
    }

    /// What completes such an upload for the project's own device.
    pub(crate) fn completion(&self, begun: &Value, parts: &[Value]) -> Value {
        json!({
            "file_id": begun["FileId"], "upload_id": begun["UploadId"], "part_list": parts, "filetype": "opus",
            "sn": "LOCAL-0001", "filename": "Site visit", "start_time": 1_736_931_600_000i64,
            "end_time": 1_736_933_400_000i64, "duration": 1800, "timezone": 1, "zonemins": 0,
        })
    }
}

fn recording_path(file: &Value) -> String {
    format!("/v1/recordings/{}", file.as_str().unwrap().replacen("file_", "rec_", 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_a_recording_that_is_processed_like_any_other() {
    let world = World::start().await;
    let (begun, parts) = world.sent_file(BEGIN, OPUS, "opus").await;
    assert_eq!((&begun["ChunkSize"], parts.len()), (&json!(5_242_880), 1));
    let path = recording_path(&begun["FileId"]);
    let pending = world.get(&path).await;
    assert_eq!((&pending["status"], &pending["end_user_id"]), (&json!("pending"), &Value::Null));

    let mut completion = world.completion(&begun, &parts);
    completion["file_md5"] = json!(MD5);
    let mut file = world.recorder_post(COMPLETE, &completion).await.expect("200");
    let url = file["presigned_url"].as_str().unwrap().to_owned();
    assert_eq!(file["presigned_url_opus"], url.as_str());
    let fetched = answer(Request::get(url).body(Full::default()).unwrap()).await;
    assert_eq!((fetched.status, fetched.bytes.as_ref()), (200, OPUS));
    assert_eq!(file["id"], begun["FileId"]);
    assert_eq!(file["client_id"], world.project.project_id.as_str());
    assert_eq!(file["owner_id"], world.project.end_user_id.as_str());
    assert_eq!(file["device_id"], world.project.device_id.as_str());
    for changing in ["id", "client_id", "owner_id", "device_id", "presigned_url", "presigned_url_opus", "created_at"] {
        assert!(file.as_object_mut().unwrap().remove(changing).unwrap().is_string(), "{changing}");
    }
    let expected = json!({
        "name": "Site visit", "start_time": 1_736_931_600_000i64, "end_time": 1_736_933_400_000i64, "duration": 1800,
        "timezone": 1, "zonemins": 0, "bot_id": null, "group_id": null, "parent_id": null, "children_ids": [],
        "parent_clips": [], "data": {},
    });
    assert_eq!(file, expected);

    world.stack.bus().settle().await;
    let recording = world.get(&path).await;
    assert_eq!((&recording["status"], &recording["name"]), (&json!("completed"), &json!("Site visit")));
    assert_eq!(recording["started_at"], "2025-01-15T09:00:00Z");
    assert_eq!(recording["ended_at"], "2025-01-15T09:30:00Z");
    assert_eq!(recording["end_user_id"], world.project.end_user_id.as_str());
    assert!(recording["content_sha256_verified_at"].is_null(), "an MD5 is no SHA-256");
    for list in ["device_id", "end_user_id"] {
        let listed = world.get(&format!("/v1/recordings?{list}={}", recording[list].as_str().unwrap())).await;
        assert_eq!(listed["data"][0]["id"], recording["id"], "{list}");
    }
    assert_eq!(world.published(&path, "recording.uploaded"), 1);

    // The exact repeat is the same call, any other is not.
    let again = world.recorder_post(COMPLETE, &completion).await.expect("200");
    assert_eq!((&again["id"], &again["start_time"]), (&begun["FileId"], &file["start_time"]));
    completion["duration"] = json!(1);
    world.recorder_post(COMPLETE, &completion).await.expect("400 recording_not_pending");
    assert_eq!(world.published(&path, "recording.uploaded"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partner_path_returns_the_md5() {
    let world = World::start().await;
    let bytes = [OPUS, &vec![0; 6 << 20]].concat();
    let (begun, parts) = world.sent_file(PARTNER_BEGIN, &bytes, "OPUS").await;
    assert_eq!(parts.len(), 2);
    // Tags without quotes, names in other cases, parts in another order.
    let parts: Vec<_> = parts
        .iter()
        .rev()
        .map(|part| json!({"partNumber": part["PartNumber"], "etag": part["ETag"].as_str().unwrap().trim_matches('"')}))
        .collect();
    let completion =
        json!({"file_id": begun["FileId"], "upload_id": begun["UploadId"], "part_list": parts, "filetype": "opus"});
    let file = world.recorder_post(PARTNER_COMPLETE, &completion).await.expect("200");
    assert_eq!((&file["FileId"], &file["FileType"]), (&begun["FileId"], &json!("opus")));
    let fetched = answer(Request::get(file["DownloadUrl"].as_str().unwrap()).body(Full::default()).unwrap()).await;
    assert_eq!(fetched.bytes, bytes);
    assert_eq!(file["FileMd5"].as_str().unwrap().len(), 32);
    assert_eq!(file.as_object().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_md5_is_refused_and_the_file_is_not_taken() {
    let world = World::start().await;
    let (begun, parts) = world.sent_file(BEGIN, OPUS, "opus").await;
    let mut completion = world.completion(&begun, &parts);
    completion["file_md5"] = json!("d41d8cd98f00b204e9800998ecf8427e");
    let refused = world.recorder_post(COMPLETE, &completion).await.expect("400 file_md5_not_match");
    assert_eq!(refused["error"]["details"]["stored_md5"], MD5);
    world.stack.bus().settle().await;
    let recording = world.get(&recording_path(&begun["FileId"])).await;
    assert_eq!((&recording["status"], &recording["media"][0]["status"]), (&json!("pending"), &json!("pending")));
    // Who claims the right one after all is believed.
    completion["file_md5"] = json!(MD5.to_uppercase());
    world.recorder_post(COMPLETE, &completion).await.expect("200");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_the_field_that_is_wrong_and_loses_nothing() {
    let world = World::start().await;
    let refused = async |path: &str, body: Value| {
        let answer = world.recorder_post(path, &body).await;
        format!("{} {}", answer.outcome(), answer.json()["error"]["param"].as_str().unwrap_or("-"))
    };
    assert_eq!(refused(BEGIN, json!({"filetype": "opus"})).await, "400 invalid_request filesize");
    assert_eq!(refused(BEGIN, json!({"filesize": 0, "filetype": "opus"})).await, "400 file_size_invalid filesize");
    assert_eq!(refused(BEGIN, json!({"filesize": 1, "filetype": "amr"})).await, "400 file_type_invalid filetype");

    let (begun, parts) = world.sent_file(BEGIN, OPUS, "opus").await;
    let good = world.completion(&begun, &parts);
    let with = |field: &str, value: Value| {
        let mut completion = good.clone();
        completion[field] = value;
        completion
    };
    for (field, value, expected) in [
        ("file_id", json!("file_unknown"), "404 not_found -"),
        ("file_id", Value::Null, "400 invalid_request file_id"),
        ("upload_id", json!("other"), "400 invalid_request upload_id"),
        ("filetype", json!("mp3"), "400 file_type_invalid filetype"),
        ("part_list", json!([]), "400 invalid_request part_list"),
        ("part_list", json!([{"PartNumber": 0, "ETag": "x"}]), "400 invalid_request part_list[0].PartNumber"),
        ("part_list", json!([{"PartNumber": 1}]), "400 invalid_request part_list[0].ETag"),
        ("part_list", json!([{"PartNumber": 1, "ETag": "x"}]), "400 invalid_request part_list[0].ETag"),
        ("part_list", json!([parts[0], parts[0]]), "400 invalid_request part_list[1].PartNumber"),
        ("part_list", json!([parts[0], {"PartNumber": 2, "ETag": "x"}]), "400 invalid_request part_list[1].PartNumber"),
        ("sn", json!("unknown"), "400 invalid_request sn"),
        ("sn", Value::Null, "400 invalid_request sn"),
        ("sn_type", json!("watch"), "400 invalid_request sn_type"),
        ("file_md5", json!("abc"), "400 invalid_request file_md5"),
        ("end_time", json!(1), "400 invalid_request end_time"),
        ("start_time", json!(i64::MAX), "400 invalid_request start_time"),
    ] {
        assert_eq!(refused(COMPLETE, with(field, value.clone())).await, expected, "{field}: {value}");
    }
    world.recorder_post(COMPLETE, &good).await.expect("200");
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_an_owner_by_id_or_name_or_creates_one() {
    let world = World::start().await;
    let (ada, end_user) = (unique(), world.project.end_user_id.to_string());
    for owner in [ada.as_str(), ada.as_str(), end_user.as_str()] {
        let (begun, parts) = world.sent_file(BEGIN, OPUS, "opus").await;
        let mut completion = world.completion(&begun, &parts);
        (completion["sn"], completion["owner_id"]) = (Value::Null, json!(owner));
        let file = world.recorder_post(COMPLETE, &completion).await.expect("200");
        assert_eq!(file["owner_id"], owner);
    }
    let known = world.get(&format!("/v1/end-users?external_id={ada}")).await;
    let id = known["data"][0]["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/recordings?end_user_id={id}")).await["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_token_determines_the_owner_of_the_file() {
    let world = World::start().await;
    let token = &world.project.device_token;
    let begun = world.bare(token, BEGIN, &json!({"filesize": OPUS.len(), "filetype": "opus"})).await.expect("200");
    let url = begun["Parts"][0]["PresignedUrl"].as_str().unwrap();
    let sent = answer(Request::put(url).body(Full::from(OPUS.to_vec())).unwrap()).await;
    let parts = [json!({"part_number": 1, "etag": sent.headers["etag"].to_str().unwrap()})];
    let mut completion = world.completion(&begun, &parts);
    (completion["sn"], completion["owner_id"]) = (json!("unknown"), json!("someone"));
    let file = world.bare(token, COMPLETE, &completion).await.expect("200");
    assert_eq!(file["device_id"], world.project.device_id.as_str());
    let recording = world.get(&recording_path(&begun["FileId"])).await;
    assert_eq!(recording["end_user_id"], world.project.end_user_id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_is_bound_and_unbound_by_its_serial_number() {
    let world = World::start().await;
    let (sn, ada) = (unique(), unique());
    let bind = |owner: &str| json!({"sn": sn, "owner_id": owner, "sn_type": "notepro"});
    let bound = world.recorder_post("/api/devices/bind", &bind(&ada)).await.expect("200");
    assert_eq!((&bound["is_bind"], &bound["owner_id"], &bound["type"]), (&json!(true), &json!(ada), &json!("notepro")));
    let again = world.recorder_post("/api/devices/bind", &bind(&ada)).await.expect("200");
    assert_eq!(again, bound);
    world.recorder_post("/api/devices/bind", &bind("bo")).await.expect("409 device_already_bound");
    world.recorder_post("/api/devices/unbind", &bind("bo")).await.expect("409 device_already_bound");

    let device = world.get(&format!("/v1/devices/{}", bound["id"].as_str().unwrap())).await;
    assert_eq!((&device["status"], &device["serial_number"]), (&json!("bound"), &json!(sn)));

    let free = world.recorder_post("/api/devices/unbind", &bind(&ada)).await.expect("200");
    assert_eq!((&free["is_bind"], &free["owner_id"]), (&json!(false), &Value::Null));
    world.recorder_post("/api/devices/unbind", &bind(&ada)).await.expect("200");
    world.recorder_post("/api/devices/bind", &bind("bo")).await.expect("200");
    let unknown = json!({"sn": unique(), "owner_id": "bo"});
    world.recorder_post("/api/devices/unbind", &unknown).await.expect("404 not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bare_credential_counts_on_these_paths_alone() {
    let world = World::start().await;
    let request = |path: &str| Request::get(format!("{}{path}", world.stack.url()));
    let bare = request("/v1/recordings").header("authorization", &world.project.api_key).body(Full::default()).unwrap();
    assert_eq!(answer(bare).await.outcome(), "401 unauthorized");
    let as_bearer = world.call(Method::POST, BEGIN, Some(&json!({"filesize": 1, "filetype": "mp3"}))).await;
    as_bearer.expect("200");
    assert_eq!(world.bare("sk_test_unknown", BEGIN, &json!({})).await.outcome(), "401 unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_token_completes_its_file() {
    let world = World::start().await;
    let (begun, parts) = world.sent_file(BEGIN, OPUS, "opus").await;
    let path = recording_path(&begun["FileId"]);
    let minted = world.post(&format!("{path}/upload-token"), json!({})).await.expect("201");
    let mut completion = world.completion(&begun, &parts);
    completion["owner_id"] = json!("someone");
    let file = world.bare(minted["upload_token"].as_str().unwrap(), COMPLETE, &completion).await.expect("200");
    assert_eq!((&file["owner_id"], &file["device_id"]), (&Value::Null, &Value::Null));
    assert_eq!(world.get("/v1/end-users?external_id=someone").await["data"], json!([]));
}
