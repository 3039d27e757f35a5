use std::time::Duration;

use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use bytes::Bytes;
use capstan_emulators::{Emulators, Storage};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt;

use super::{bucket, emulators};

const KEY: &str = "prj_1/rec_1/med_1/original.ogg";
const BODY: &[u8] = b"twelve bytes";
/// Base64 of the SHA-256 of [`BODY`].
const SHA256: &str = "1M4sUnr+Z0x6CGvXTiVgGePV3Nsx7rbqre9a2oxDg7k=";

fn for_an_hour() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(3600)).unwrap()
}

/// Presigned URL with signed content type, length and checksum.
async fn signed_put(emulators: &Emulators, sha256: &str) -> PresignedRequest {
    let put = emulators.s3().put_object().bucket(bucket()).key(KEY);
    put.content_type("audio/ogg")
        .content_length(BODY.len() as i64)
        .checksum_sha256(sha256)
        .presigned(for_an_hour())
        .await
        .unwrap()
}

async fn send(request: Request<Full<Bytes>>) -> Response<Bytes> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// Send `body` with the signed headers after `change` has modified them.
async fn put(signed: &PresignedRequest, body: &'static [u8], change: impl Fn(&mut http::HeaderMap)) -> Response<Bytes> {
    let mut request = Request::put(signed.uri()).body(Full::from(body)).unwrap();
    for (name, value) in signed.headers().filter(|(name, _)| *name != "content-length") {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    change(request.headers_mut());
    send(request).await
}

#[tokio::test]
async fn presigned_put_accepts_only_the_signed_type_size_and_checksum() {
    let emulators = emulators().await;
    let signed = signed_put(&emulators, SHA256).await;
    let names: Vec<_> = signed.headers().map(|(name, _)| name.to_owned()).collect();
    assert!(names.contains(&"x-amz-checksum-sha256".to_owned()), "{names:?}");

    let status = |answer: Response<Bytes>| (answer.status(), String::from_utf8_lossy(answer.body()).into_owned());
    let other_type = put(&signed, BODY, |headers| {
        headers.insert("content-type", "audio/wav".parse().unwrap());
    });
    let (rejected, body) = status(other_type.await);
    assert_eq!(rejected, StatusCode::FORBIDDEN, "{body}");
    let (rejected, body) = status(put(&signed, b"thirteen byte", |_| {}).await);
    assert_eq!(rejected, StatusCode::FORBIDDEN, "{body}");
    let no_checksum = put(&signed, BODY, |headers| {
        headers.remove("x-amz-checksum-sha256");
    });
    let (rejected, body) = status(no_checksum.await);
    assert_eq!(rejected, StatusCode::FORBIDDEN, "{body}");
    let (rejected, body) = status(put(&signed, b"TWELVE BYTES", |_| {}).await);
    assert_eq!(rejected, StatusCode::BAD_REQUEST, "{body}");
    assert!(body.contains("BadDigest"), "{body}");
    assert!(emulators.take_object_created().await.is_empty());

    let (accepted, body) = status(put(&signed, BODY, |_| {}).await);
    assert_eq!(accepted, StatusCode::OK, "{body}");
    assert_eq!(emulators.take_object_created().await.len(), 1);
}

#[tokio::test]
async fn expired_or_modified_url_is_rejected() {
    let emulators = emulators().await;
    let past = std::time::SystemTime::now() - Duration::from_secs(7200);
    let expired = PresigningConfig::builder().start_time(past).expires_in(Duration::from_secs(3600)).build().unwrap();
    let put_object = || emulators.s3().put_object().bucket(bucket()).key(KEY);
    let expired = put_object().presigned(expired).await.unwrap();
    let request = Request::put(expired.uri()).body(Full::from(BODY)).unwrap();
    assert_eq!(send(request).await.status(), StatusCode::FORBIDDEN);

    let valid = put_object().presigned(for_an_hour()).await.unwrap();
    let other_key = valid.uri().replace("med_1", "med_2");
    let request = Request::put(other_key).body(Full::from(BODY)).unwrap();
    assert_eq!(send(request).await.status(), StatusCode::FORBIDDEN);
    let unsigned = valid.uri().split('?').next().unwrap().to_owned();
    let request = Request::put(unsigned).body(Full::from(BODY)).unwrap();
    assert_eq!(send(request).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn presigned_get_supports_ranges_and_sets_the_file_name() {
    let emulators = emulators().await;
    let put_object = emulators.s3().put_object().bucket(bucket()).key(KEY);
    put_object.body(BODY.to_vec().into()).send().await.unwrap();
    let get = emulators.s3().get_object().bucket(bucket()).key(KEY);
    let signed =
        get.response_content_disposition("attachment; filename=\"a.ogg\"").presigned(for_an_hour()).await.unwrap();
    let request = Request::get(signed.uri()).header("range", "bytes=0-5");
    let answer = send(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(answer.body().as_ref(), b"twelve");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"a.ogg\"");
    assert_eq!(answer.headers()["content-range"], "bytes 0-5/12");
    let whole = Request::get(signed.uri()).body(Full::default()).unwrap();
    assert_eq!(send(whole).await.headers()["content-length"], "12");
}

#[tokio::test]
async fn part_can_be_uploaded_by_presigned_url_without_checksum() {
    let emulators = emulators().await;
    let s3 = emulators.s3();
    let create = s3.create_multipart_upload().bucket(bucket()).key(KEY);
    let upload = create.send().await.unwrap();
    let part = s3.upload_part().bucket(bucket()).key(KEY).part_number(1);
    let part = part.upload_id(upload.upload_id().unwrap());
    let signed = part.presigned(for_an_hour()).await.unwrap();
    let request = Request::put(signed.uri()).body(Full::from(BODY)).unwrap();
    let answer = send(request).await;
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.body());
    assert!(answer.headers().contains_key("etag"));
}

#[tokio::test]
async fn browser_requests_follow_the_cors_rules_of_the_bucket() {
    let emulators = emulators().await;
    let signed = signed_put(&emulators, SHA256).await;
    let preflight = |method: &str| {
        Request::builder()
            .method(Method::OPTIONS)
            .uri(signed.uri())
            .header("origin", "https://app.example")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "content-type,x-amz-checksum-sha256")
            .body(Full::default())
            .unwrap()
    };
    let allowed = send(preflight("PUT")).await;
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "*");
    assert_eq!(allowed.headers()["access-control-allow-headers"], "content-type,x-amz-checksum-sha256");
    assert_eq!(send(preflight("DELETE")).await.status(), StatusCode::FORBIDDEN);

    let origin = |headers: &mut http::HeaderMap| {
        headers.insert("origin", "https://app.example".parse().unwrap());
    };
    let answer = put(&signed, BODY, origin).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("ETag"), "{exposed}");
    assert!(!put(&signed, BODY, |_| {}).await.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn bytes_of_a_disconnected_client_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let emulators = Emulators::start(Storage::Directory(directory.path().to_owned())).await.unwrap();
    emulators.create_bucket(&bucket(), Vec::new()).unwrap();
    let put = emulators.s3().put_object().bucket(bucket()).key(KEY).presigned(for_an_hour()).await.unwrap();
    let address = emulators.endpoint_url().replace("http://", "");
    let path = put.uri().split_once(&address).unwrap().1.to_owned();
    let bytes = || std::fs::read_dir(directory.path().join("s3/bytes")).unwrap().count();
    {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let head = format!("PUT {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1000\r\n\r\nhalf");
        stream.write_all(head.as_bytes()).await.unwrap();
        while bytes() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    while bytes() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(emulators.take_object_created().await.is_empty());
}
