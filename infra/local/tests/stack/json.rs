//! Requests that no client of ours would send. Each is refused in the one shape of all errors, and none is our fault.

use capstan_domain::{Grant, Scope};
use http::Method;
use serde_json::{Value, json};

use super::world::{Answer, OPUS, World};

const MIB: usize = 1024 * 1024;

impl World {
    /// A POST with any bytes as its body.
    async fn post_bytes(&self, path: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: capstan\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.project.api_key,
            body.len()
        );
        self.raw(head.as_bytes(), body).await
    }

    /// A GET with any bytes as its target and as further header lines.
    async fn get_bytes(&self, target: &[u8], lines: &[u8]) -> Answer {
        let lines = [b"GET ", target, b" HTTP/1.1\r\nhost: capstan\r\nconnection: close\r\n", lines, b"\r\n"].concat();
        self.raw(&lines, b"").await
    }

    /// A GET with any bytes as its target, and the secret key.
    async fn get_as_owner(&self, target: &[u8]) -> Answer {
        let authorization = format!("authorization: Bearer {}\r\n", self.project.api_key);
        self.get_bytes(target, authorization.as_bytes()).await
    }
}

/// Bytes, for a body that is not even text.
fn bytes(text: impl AsRef<[u8]>) -> Vec<u8> {
    text.as_ref().to_vec()
}

fn nested(depth: usize, open: &str, close: &str) -> String {
    open.repeat(depth) + &close.repeat(depth)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_object_is_refused_by_every_endpoint() {
    let world = World::start().await;
    let (path, signed) = world.sent("audio/ogg", OPUS).await;
    world.stack.bus().hold();
    let broken: Vec<(&str, Vec<u8>)> = vec![
        ("an array", bytes("[]")),
        ("an array of an object", bytes(r#"[{"name": "x"}]"#)),
        ("a string", bytes(r#""x""#)),
        ("a number", bytes("1")),
        ("null", bytes("null")),
        ("two objects", bytes("{}{}")),
        ("cut off in a string", bytes(r#"{"name": "x"#)),
        ("cut off behind a key", bytes(r#"{"name""#)),
        ("cut off in an escape", bytes(r#"{"name": "\u00"#)),
        ("a trailing comma", bytes(r#"{"name": "x",}"#)),
        ("a comment", bytes(r#"{/* x */"name": "x"}"#)),
        ("single quotes", bytes("{'name': 'x'}")),
        ("a bare word", bytes(r#"{"file_size_bytes": NaN}"#)),
        ("a byte order mark", bytes("\u{feff}{}")),
        ("NUL", bytes("\0")),
        ("an object behind NUL", bytes("\0{}")),
        ("a raw line break in a string", bytes("{\"name\": \"a\nb\"}")),
        ("no text", vec![0xff, 0xfe, 0x00]),
        ("UTF-16", "{}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a form", bytes("name=x&metadata=y")),
        ("XML", bytes("<name>x</name>")),
        ("100,000 objects deep", bytes(nested(100_000, r#"{"x":"#, "}"))),
        ("never closed", bytes("{\"x\":".repeat(100_000))),
    ];
    for endpoint in ["", "/upload-url", "/upload-complete", "/download-url", "/transcribe"] {
        let target = if endpoint.is_empty() { "/v1/recordings".to_owned() } else { format!("{path}{endpoint}") };
        for (what, body) in &broken {
            let what = format!("{target}: {what}");
            let answer = world.post_bytes(&target, body).await;
            assert_eq!((answer.status, answer.refusal(&what).as_str()), (400, "invalid_request"), "{what}");
        }
        // No body and an empty object are the same.
        let (none, empty) = (world.post_bytes(&target, b"").await, world.post_bytes(&target, b" {} ").await);
        if endpoint != "/upload-complete" {
            assert_eq!(none.outcome(), empty.outcome(), "{target}");
        }
    }
    let patched = world.call(Method::PATCH, &path, Some(&json!([1]))).await;
    assert_eq!(patched.refusal("PATCH"), "invalid_request");
    let put = world.call(Method::PUT, "/v1/settings", Some(&json!([1]))).await;
    assert_eq!(put.refusal("PUT"), "invalid_request");
    assert!(signed["media_id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_wrong_kind_is_named() {
    let world = World::start().await;
    let path = world.create().await;
    let user = world.project.end_user_id.as_str();
    let odd = [
        json!(5),
        json!(-1),
        json!(1.5),
        json!(true),
        json!("x".repeat(300)),
        json!(""),
        json!("\0"),
        json!([]),
        json!([["x"]]),
        json!({}),
        json!({"x": null}),
        json!(u64::MAX),
        json!("../../etc"),
        json!("rec_1"),
    ];
    // What each field takes of these; anything else is refused by its name.
    let fields: &[(&str, &str, &[usize])] = &[
        ("", "end_user_id", &[]),
        ("", "device_id", &[]),
        ("", "name", &[5, 6, 12, 13]),
        ("", "started_at", &[]),
        ("", "ended_at", &[]),
        ("", "metadata", &[9, 10]),
        ("", "source", &[]),
        ("", "upload_method", &[5, 6, 12, 13]),
        ("/upload-url", "type", &[]),
        ("/upload-url", "content_type", &[]),
        ("/upload-url", "file_size_bytes", &[0]),
        ("/upload-url", "content_sha256", &[]),
        ("/upload-url", "captured_at", &[]),
        ("/upload-url", "media_id", &[]),
        ("/upload-complete", "content_sha256", &[]),
        ("/upload-complete", "file_size_bytes", &[0]),
        ("/download-url", "media_id", &[]),
        ("/download-url", "rendition_id", &[]),
    ];
    for (endpoint, field, taken) in fields {
        let target = if endpoint.is_empty() { "/v1/recordings".to_owned() } else { format!("{path}{endpoint}") };
        for (index, value) in odd.iter().enumerate() {
            let mut body = json!({"end_user_id": user});
            body[*field] = value.clone();
            let answer = world.post(&target, body).await;
            let what = format!("{endpoint} {field}: {}", value.to_string().chars().take(40).collect::<String>());
            if taken.contains(&index) {
                assert!(matches!(answer.status, 200 | 201) || answer.refusal(&what) == "media_not_uploaded", "{what}");
            } else {
                let code = answer.refusal(&what);
                assert!(
                    matches!(code.as_str(), "invalid_request" | "file_size_invalid" | "file_type_invalid"),
                    "{what}"
                );
                assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!(field)), "{what}");
            }
        }
    }
    for field in ["name", "metadata"] {
        let answer = world.call(Method::PATCH, &path, Some(&json!({field: 5}))).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!(field)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_json_text_round_trips_or_is_refused() {
    let world = World::start().await;
    let with = |fields: &str| format!("{{\"end_user_id\": \"{}\", {fields}}}", world.project.end_user_id).into_bytes();
    for (what, fields) in [
        ("the same key twice", r#""name": "a", "name": "b""#),
        ("a lone leading surrogate", r#""name": "\ud800""#),
        ("a lone trailing surrogate", r#""name": "\udc00""#),
        ("swapped surrogates", r#""name": "\udc00\ud800""#),
        ("a lone surrogate inside metadata", r#""metadata": {"a": "\ud800"}"#),
        ("a number beyond every float", r#""metadata": {"a": 1e999}"#),
        ("a size beyond every float", r#""file_size_bytes": 1e999, "metadata": {"a": 1e999}"#),
        ("a time in no month", r#""started_at": "2025-13-01T00:00:00Z""#),
        ("a time without an offset", r#""started_at": "2025-01-01T00:00:00""#),
        ("a time beyond the calendar", r#""started_at": "99999-01-01T00:00:00Z""#),
        ("an end before its start", r#""started_at": "2025-01-02T00:00:00Z", "ended_at": "2025-01-01T00:00:00Z""#),
        ("metadata over 16 KiB", &format!(r#""metadata": {{"a": "{}"}}"#, "x".repeat(16 * 1024))),
        ("metadata 200 objects deep", &format!(r#""metadata": {}1{}"#, r#"{"a":"#.repeat(200), "}".repeat(200))),
        ("metadata 100,000 arrays deep", &format!(r#""metadata": {{"a": {}}}"#, nested(100_000, "[", "]"))),
        ("a source that is a megabyte long", &format!(r#""source": "{}""#, "x".repeat(MIB - 200))),
        ("a source of control characters", &format!(r#""source": "{}""#, "\\u0001".repeat(100_000))),
    ] {
        let answer = world.post_bytes("/v1/recordings", &with(fields)).await;
        assert_eq!((answer.status, answer.refusal(what).as_str()), (400, "invalid_request"), "{what}");
    }
    let invalid_utf8 = [&with(r#""name": "a"#)[..], b"\xff\xc0\x80"].concat();
    assert_eq!(world.post_bytes("/v1/recordings", &invalid_utf8).await.refusal("invalid UTF-8"), "invalid_request");

    for (what, fields) in [
        ("NUL", r#""name": "a\u0000b", "metadata": {"\u0000": "\u0000"}"#),
        ("beyond the first plane", r#""name": "\ud83c\udf99 ü \u202e", "metadata": {"\ud83c\udf99": []}"#),
        ("255 characters of four bytes", &format!(r#""name": "{}""#, "𝄞".repeat(255))),
        ("the empty text and the empty key", r#""name": "", "metadata": {"": ""}"#),
        ("100 objects deep", &format!(r#""metadata": {}1{}"#, r#"{"a":"#.repeat(100), "}".repeat(100))),
        (
            "numbers at the edge",
            r#""metadata": {"a": [1e308, -0.0, 18446744073709551615, 5e-324, -9223372036854775808]}"#,
        ),
        ("a key twice inside metadata", r#""metadata": {"a": 1, "a": 2}"#),
        ("names that programs trip over", r#""metadata": {"__proto__": {"x": 1}, "PK": "REC#x", "$date": 1}"#),
        ("an unknown field", r#""status": "completed", "id": "rec_1", "tenant": "proj_1#live""#),
        ("years before the era", r#""started_at": "-000001-01-01T00:00:00Z""#),
    ] {
        let body = with(fields);
        let meant: Value = serde_json::from_slice(&body).unwrap();
        let made = world.post_bytes("/v1/recordings", &body).await.expect("201");
        for field in ["name", "metadata"] {
            if meant.get(field).is_some() {
                assert_eq!(made[field], meant[field], "{what}");
            }
        }
        assert_eq!(made["status"], "pending", "{what}");
        let path = format!("/v1/recordings/{}", made["id"].as_str().unwrap());
        assert_eq!(world.get(&path).await, made, "{what}");
        let listed = world.get("/v1/recordings?limit=1").await;
        assert_eq!(listed["data"][0], made, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_body_over_1_mib() {
    let world = World::start().await;
    let sized = |size: usize| {
        let fixed = format!("{{\"end_user_id\": \"{}\", \"ignored\": \"\"}}", world.project.end_user_id);
        fixed.replace(r#""""#, &format!("\"{}\"", "x".repeat(size - fixed.len()))).into_bytes()
    };
    assert_eq!(sized(MIB).len(), MIB);
    assert_eq!(world.post_bytes("/v1/recordings", &sized(MIB)).await.status, 201);
    for size in [MIB + 1, 5 * MIB, 10 * MIB] {
        let answer = world.post_bytes("/v1/recordings", &sized(size)).await;
        assert_eq!((answer.status, answer.refusal("over").as_str()), (413, "request_too_large"), "{size}");
    }
    // Ten megabytes are API Gateway's own limit, and the answer is its own.
    assert_eq!(world.post_bytes("/v1/recordings", &sized(10 * MIB + 1)).await.status, 413);
    // The limit is no way to learn whether a credential is good.
    let path = world.create().await;
    let answer = world.call_as("sk_test_unknown", Method::POST, &path, Some(&json!("x".repeat(2 * MIB)))).await;
    assert!((401..=404).contains(&answer.status), "{}", answer.outcome());
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_a_credential_only_as_rfc_6750_defines() {
    let world = World::start().await;
    let key = world.project.api_key.as_str();
    let ask = |line: Vec<u8>| {
        let world = &world;
        async move { world.get_bytes(b"/v1/recordings", &line).await }
    };
    for line in [
        format!("Authorization: Bearer {key}\r\n"),
        format!("AUTHORIZATION: bearer {key}\r\n"),
        format!("Authorization: BEARER   {key}  \r\n"),
    ] {
        assert_eq!(ask(line.clone().into_bytes()).await.status, 200, "{line}");
    }
    let mut odd: Vec<Vec<u8>> = [
        String::new(),
        "Authorization:\r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: {key}\r\n"),
        format!("Authorization: Basic {key}\r\n"),
        format!("Authorization: Bearer{key}\r\n"),
        format!("Authorization: Bearer\t{key}\r\n"),
        format!("Authorization: Bearer {key}x\r\n"),
        format!("Authorization: Bearer {}\r\n", &key[..key.len() - 1]),
        format!("Authorization: Bearer {}\r\n", key.to_uppercase()),
        format!("Authorization: Bearer \"{key}\"\r\n"),
        format!("Authorization: Bearer {key}, Bearer {key}\r\n"),
        format!("Authorization: Bearer {key}\r\nAuthorization: Bearer {key}\r\n"),
        format!("Authorization: Bearer sk_test_{}\r\n", "a".repeat(10_000)),
        "Authorization: Bearer sk_test_\r\n".to_owned(),
        "Authorization: Bearer KEY#sk_test_\r\n".to_owned(),
        "Authorization: Bearer sk_test_é\r\n".to_owned(),
        format!("X-API-Key: {key}\r\n"),
        format!("Cookie: authorization=Bearer {key}\r\n"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    odd.push(b"Authorization: Bearer sk_test_\xff\xfe\r\n".to_vec());
    odd.push([b"Authorization: Bearer ", key.as_bytes(), b"\xe9\r\n"].concat());
    for line in odd {
        let what = String::from_utf8_lossy(&line).into_owned();
        let answer = ask(line).await;
        assert_eq!((answer.status, answer.refusal(&what).as_str()), (401, "unauthorized"), "{what}");
    }
    let reader = world.credential(world.tenant(), Grant::Restricted { scopes: [Scope::RecordingsRead].into() }).await;
    let body = json!({"end_user_id": "eu_1"});
    world.call_as(&reader, Method::POST, "/v1/recordings", Some(&body)).await.expect("403 forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_and_queries_are_refused_by_name_or_passed_over() {
    let world = World::start().await;
    let path = world.uploaded("audio/ogg", OPUS).await;
    let authorization = format!("authorization: Bearer {}\r\n", world.project.api_key);
    for line in [
        b"content-type: text/plain; charset=\"\xe9\"\r\n".to_vec(),
        b"x-forwarded-proto: ://\r\n".to_vec(),
        b"x-forwarded-for: ', (;\r\n".to_vec(),
        b"x-request-id: mine\r\nx-amzn-trace-id: \xff\r\n".to_vec(),
        b"cookie: a=b; \xe9=\xe9;;; =\r\ncookie: \"\r\n".to_vec(),
        b"accept: application/xml\r\naccept-encoding: gzip, br\r\n".to_vec(),
        b"user-agent: \xff\r\n".to_vec(),
        [b"x-long: ", vec![b'a'; 9_000].as_slice(), b"\r\n"].concat(),
        b"x-empty:\r\n".repeat(60),
    ] {
        let answer = world.get_bytes(b"/v1/recordings", &[authorization.as_bytes(), &line].concat()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&line));
        assert_ne!(answer.headers["x-request-id"], "mine");
    }
    for key in ["", " ", "a b", "é", "a/b", &"a".repeat(256)] {
        let head = format!(
            "POST {path}/upload-complete HTTP/1.1\r\nhost: capstan\r\nconnection: close\r\n{authorization}\
             idempotency-key: {key}\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = world.raw(head.as_bytes(), b"").await;
        assert_eq!((answer.refusal(key), answer.status), ("invalid_request".to_owned(), 400), "{key}");
        assert_eq!(answer.json()["error"]["param"], "Idempotency-Key");
    }
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e1", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("limit=%00", "limit"),
        ("limit=%ff", "limit"),
        ("offset=10001", "offset"),
        ("offset=1&cursor=cmVjXzE", "offset"),
        ("cursor=x", "cursor"),
        ("cursor=%F0%9F%8E%99", "cursor"),
        ("cursor=cmVjX34", "cursor"),
        ("cursor=//////", "cursor"),
        ("status=deleted", "status"),
        ("status=%00", "status"),
        ("device_id=dev_%23live", "device_id"),
        ("device_id=eu_1", "device_id"),
        ("end_user_id=eu_%2e%2e", "end_user_id"),
        ("created_after=yesterday", "created_after"),
        ("updated_after=1736931600", "updated_after"),
    ] {
        let answer = world.get_as_owner(format!("/v1/recordings?{query}").as_bytes()).await;
        assert_eq!((answer.refusal(query), answer.status), ("invalid_request".to_owned(), 400), "{query}");
        assert_eq!(answer.json()["error"]["param"], param, "{query}");
    }
    for query in [
        "",
        "&",
        "&&&",
        "=",
        "=x",
        "limit",
        "limit=",
        "unknown=1",
        "%ff=%ff",
        "%00",
        "a[]=1&a[x]=2",
        "limit=%31",
        "created_after=-000001-01-02T00:00:00Z",
        "created_after=9999-12-30T00:00:00Z",
        "updated_after=2025-01-01T00:00:00%2B01:00",
        "cursor=cmVjXzA",
        "cursor=cmVjX3p6eno",
        "limit=100&offset=10000",
        "status=completed&offset=10000",
        "?",
        "a=?b",
        "a={b}",
    ] {
        let answer = world.get_as_owner(format!("/v1/recordings?{query}").as_bytes()).await;
        assert_eq!(answer.status, 200, "{query}: {}", String::from_utf8_lossy(&answer.bytes));
    }
    let download = world.get_as_owner(format!("{path}/download-url?media_id=rec_1").as_bytes()).await;
    assert_eq!(download.json()["error"]["param"], "media_id");
    let long = "a".repeat(256);
    for name in [long.as_str(), &"%E2%82%AC".repeat(256)] {
        let answer = world.get_as_owner(format!("{path}/download-url?download_filename={name}").as_bytes()).await;
        assert_eq!(answer.json()["error"]["param"], "download_filename");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_filename_is_safe_in_the_content_disposition() {
    let world = World::start().await;
    let path = world.uploaded("audio/ogg", OPUS).await;
    world.stack.bus().settle().await;
    let media_id = world.get(&path).await["media"][0]["id"].clone();
    for name in ["a.ogg", "Ü \"x\".ogg", "a\r\nSet-Cookie: x=y", "../../etc/passwd", "\0", "🎙", "%0d%0a", "a;b=c", ""]
    {
        let body = json!({"media_id": media_id, "download_filename": name});
        let signed = world.post(&format!("{path}/download-url"), body).await.expect("200");
        let request = http::Request::get(signed["download_url"].as_str().unwrap()).body(Default::default()).unwrap();
        let got = super::world::answer(request).await;
        assert_eq!((got.status, got.bytes.as_ref()), (200, OPUS), "{name:?}");
        assert!(!got.headers.contains_key("set-cookie"), "{name:?}");
        assert_eq!(got.headers["content-type"], "audio/ogg", "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_do_not_have_the_headers_of_the_uploader() {
    let world = World::start().await;
    let path = world.create().await;
    let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
    let headers = [
        ("content-encoding", "gzip"),
        ("content-disposition", "attachment; filename=setup.exe"),
        ("cache-control", "public, max-age=31536000"),
    ];
    assert_eq!(super::world::put_with(&signed, signed["upload_url"].as_str().unwrap(), &headers, OPUS).await, 200);
    world.complete(&path).await.expect("200");
    let signed = world.get(&format!("{path}/download-url")).await;
    let request = http::Request::get(signed["download_url"].as_str().unwrap()).body(Default::default()).unwrap();
    let got = super::world::answer(request).await;
    assert_eq!((got.status, got.bytes.as_ref()), (200, OPUS));
    for (name, value) in [
        ("content-type", "audio/ogg"),
        ("content-encoding", "identity"),
        ("content-disposition", "inline"),
        ("cache-control", "private, max-age=3600"),
    ] {
        assert_eq!(got.headers[name], value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_paths_and_methods_lead_nowhere() {
    let world = World::start().await;
    let path = world.create().await;
    let id = path.rsplit('/').next().unwrap();
    let mut paths: Vec<Vec<u8>> = [
        "/",
        "//",
        "/v1",
        "/v1/",
        "/v1/recordings/",
        "//v1/recordings",
        "/v1//recordings",
        "/V1/recordings",
        "/v1/recordings/.",
        "/v1/recordings/..",
        "/v1/recordings/../recordings",
        "/v1/recordings/%2e%2e",
        "/v1/recordings/%2F",
        "/v1/recordings/%00",
        "/v1/recordings/%",
        "/v1/recordings/%zz",
        "/v1/recordings/%ff",
        "/v1/recordings/{id}",
        "/v1/recordings/rec_1%2Fupload-url",
        "/v1/recordings/rec_1;x=1",
        "/v1/recordings/*",
        "/.env",
        "/openapi.json/x",
        "/v1%2Frecordings",
        "/v1/recordings/REC%23x",
        "/v1/recordings/rec_1%23",
        "/v1/recordings/rec_1%20",
    ]
    .iter()
    .map(|path| path.as_bytes().to_vec())
    .collect();
    paths.push(format!("/v1/recordings/{}", "a".repeat(4096)).into_bytes());
    paths.push(format!("/v1/recordings/rec_{}", "a".repeat(4096)).into_bytes());
    paths.push(format!("/v1/recordings/{id}/").into_bytes());
    paths.push(format!("/v1/recordings/{id}/media/x/upload").into_bytes());
    paths.push(format!("/v1/recordings/{id}%00").into_bytes());
    paths.push(format!("/v1/recordings/%72ec_{}x", &id[4..]).into_bytes());
    paths.push(vec![b'/'; 2000]);
    for path in paths {
        let what = String::from_utf8_lossy(&path).chars().take(80).collect::<String>();
        let answer = world.get_as_owner(&path).await;
        assert_eq!((answer.status, answer.refusal(&what).as_str()), (404, "not_found"), "{what}");
    }
    for method in ["PUT", "HEAD", "TRACE", "PROPFIND", "GETT", "delete"] {
        let authorization = format!("authorization: Bearer {}\r\n", world.project.api_key);
        let head = format!("{method} {path} HTTP/1.1\r\nhost: capstan\r\nconnection: close\r\n{authorization}\r\n");
        assert_eq!(world.raw(head.as_bytes(), b"").await.status, 404, "{method}");
    }
    // The path decides, however it is written: a percent-encoded letter is that letter.
    assert_eq!(world.get_as_owner(format!("/v1/recordings/%72ec_{}", &id[4..]).as_bytes()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_host_is_no_fault_of_ours() {
    let world = World::start().await;
    for host in [
        "",
        "a b",
        "[",
        "a:b:c",
        "é",
        "%",
        "user@host",
        "a/b?c#d",
        &"a".repeat(300),
        "127.0.0.1:99999",
        "1.2.3.999",
        "0x100000000",
        "xn--a",
        "[::1",
        "[::1]:x",
        "a..b",
        ":80",
        "-",
        "localhost:",
        "my_host.b:3000",
        "[::1]:80",
    ] {
        let head = format!(
            "GET /v1/recordings HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
            world.project.api_key
        );
        let answer = world.raw(head.as_bytes(), b"").await;
        assert!(answer.status < 500, "{host}: {}", answer.status);
    }
    // Longer than API Gateway takes.
    let answer = world.get_as_owner(format!("/v1/recordings/{}", "a".repeat(65_500)).as_bytes()).await;
    assert!((400..500).contains(&answer.status), "{}", answer.status);
}
