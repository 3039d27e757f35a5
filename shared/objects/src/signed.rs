//! Signed URLs: leave to send or to fetch one object for an hour. Signing needs no call.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capstan_aws::failure;
use capstan_domain::{ContentType, Error, FileSize, Sha256, URL_SECONDS};

use crate::{ObjectKey, Objects};

/// Leave to upload one file by PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedUpload {
    /// Where to.
    pub url: String,
    /// Every header that the client must add. `Host` and `Content-Length`, which every HTTP client sends by itself,
    /// are not among them.
    pub headers: BTreeMap<String, String>,
}

/// Leave to fetch one object by GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDownload {
    /// Where from.
    pub url: String,
}

/// Headers that an HTTP client sends by itself.
const SENT_ANYWAY: [&str; 2] = ["host", "content-length"];

impl Objects {
    /// Signs for the upload of one file. S3 refuses another type, another size where one was declared, and other
    /// bytes where their hash was.
    pub async fn sign_upload(
        &self,
        key: &ObjectKey,
        content_type: ContentType,
        size: Option<FileSize>,
        sha256: Option<Sha256>,
    ) -> Result<SignedUpload, Error> {
        let length = size.map(|size| i64::try_from(size.bytes())).transpose().map_err(Error::internal)?;
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .content_type(content_type.as_str())
            .set_content_length(length)
            .set_checksum_sha256(sha256.map(|sha256| STANDARD.encode(sha256.as_bytes())))
            .presigned(validity()?)
            .await
            .map_err(failure)?;
        let headers = request
            .headers()
            .filter(|(name, _)| !SENT_ANYWAY.contains(&name.to_ascii_lowercase().as_str()))
            .map(|(name, value)| (canonical(name), value.to_owned()))
            .collect();
        Ok(SignedUpload { url: request.uri().to_owned(), headers })
    }

    /// Signs for the download of one object, as that type and, where a name is given, as a file to save.
    pub async fn sign_download(
        &self,
        key: &ObjectKey,
        mime_type: &str,
        filename: Option<&str>,
    ) -> Result<SignedDownload, Error> {
        let request = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .response_content_type(mime_type)
            .set_response_content_disposition(filename.map(attachment))
            .presigned(validity()?)
            .await
            .map_err(failure)?;
        Ok(SignedDownload { url: request.uri().to_owned() })
    }
}

fn validity() -> Result<PresigningConfig, Error> {
    PresigningConfig::expires_in(Duration::from_secs(URL_SECONDS.into())).map_err(Error::internal)
}

/// `content-type` as `Content-Type`; AWS's own headers stay lower case, as AWS writes them.
fn canonical(name: &str) -> String {
    if name.eq_ignore_ascii_case("content-type") { "Content-Type".to_owned() } else { name.to_owned() }
}

/// RFC 6266 with RFC 8187: plain ASCII for old clients, the true name for the others.
fn attachment(filename: &str) -> String {
    let plain: String = filename
        .chars()
        .map(|c| if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' { c } else { '_' })
        .collect();
    let encoded: String = filename
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filename_cannot_end_the_header_that_carries_it() {
        assert_eq!(
            attachment("a\"b\r\nX: ü.wav"),
            "attachment; filename=\"a_b__X: _.wav\"; filename*=UTF-8''a%22b%0D%0AX%3A%20%C3%BC.wav"
        );
    }
}
