//! Signed URLs: leave to send or to fetch one object for an hour, or for as long as the credentials that sign are good.
//! Signing needs no call.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningParams,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capstan_aws::{busy, failure};
use capstan_domain::{ContentType, Error, FileSize, PlannedPart, Sha256, Timestamp, URL_SECONDS, UploadId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{ObjectKey, Objects};

/// A URL that ends sooner than this many seconds from now is of no use to a client.
const MIN_URL_SECONDS: u32 = 60;

/// How long a signed URL is good: never longer than the credentials that signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When it ends.
    pub until: Timestamp,
    /// Seconds until then.
    pub seconds: u32,
}

impl Validity {
    /// From now on, with credentials that end then, if they do.
    fn from(now: Timestamp, credentials_end: Option<SystemTime>) -> Result<Self, Error> {
        let left = |end: SystemTime| {
            let end = end.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            let left = end.saturating_sub(u128::try_from(now.milliseconds()).unwrap_or(0)) / 1000;
            u32::try_from(left).unwrap_or(u32::MAX)
        };
        let seconds = credentials_end.map_or(URL_SECONDS, left).min(URL_SECONDS);
        if seconds < MIN_URL_SECONDS {
            return Err(busy(format!("the credentials that sign end in {seconds} seconds")));
        }
        Ok(Self { until: now.plus_seconds(seconds.into()), seconds })
    }
}

/// Leave to upload one file by PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedUpload {
    /// Where to.
    pub url: String,
    /// Every header that the client must add. `Host` and `Content-Length`, which every HTTP client sends by itself,
    /// are not among them.
    pub headers: BTreeMap<String, String>,
    /// How long.
    pub validity: Validity,
}

/// Leave to fetch one object by GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDownload {
    /// Where from.
    pub url: String,
    /// How long.
    pub validity: Validity,
}

/// Headers that an HTTP client sends by itself.
const SENT_ANYWAY: [&str; 2] = ["host", "content-length"];

/// Signs with the credentials of now. Made before anything is written: near their end they sign for nobody.
#[derive(Debug)]
pub struct Signer<'a> {
    objects: &'a Objects,
    credentials: Credentials,
    validity: Validity,
}

impl Objects {
    /// Leave to sign.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there are no credentials, or they end within a minute.
    pub async fn signer(&self, now: Timestamp) -> Result<Signer<'_>, Error> {
        let provider = self.credentials.as_ref().ok_or_else(|| busy("there are no credentials to sign with"))?;
        let credentials = provider.provide_credentials().await.map_err(busy)?;
        let validity = Validity::from(now, credentials.expiry())?;
        Ok(Signer { objects: self, credentials, validity })
    }
}

impl Signer<'_> {
    /// Signs for the upload of one file. S3 refuses another type, another size where one was declared, and other
    /// bytes where their hash was.
    pub async fn upload(
        &self,
        key: &ObjectKey,
        content_type: ContentType,
        size: Option<FileSize>,
        sha256: Option<Sha256>,
    ) -> Result<SignedUpload, Error> {
        let length = size.map(|size| i64::try_from(size.bytes())).transpose().map_err(Error::internal)?;
        let put = self.objects.client.put_object().bucket(&self.objects.bucket).key(key.as_str());
        let request = put
            .content_type(content_type.as_str())
            .set_content_length(length)
            .set_checksum_sha256(sha256.map(|sha256| STANDARD.encode(sha256.as_bytes())))
            .customize()
            .config_override(self.configuration())
            .presigned(self.presigning()?)
            .await
            .map_err(failure)?;
        let headers = request
            .headers()
            .filter(|(name, _)| !SENT_ANYWAY.contains(&name.to_ascii_lowercase().as_str()))
            .map(|(name, value)| (canonical(name), value.to_owned()))
            .collect();
        Ok(SignedUpload { url: request.uri().to_owned(), headers, validity: self.validity })
    }

    /// Signs for the download of one object, as that type and, where a name is given, as a file to save.
    pub async fn download(
        &self,
        key: &ObjectKey,
        mime_type: &str,
        filename: Option<&str>,
    ) -> Result<SignedDownload, Error> {
        let get = self.objects.client.get_object().bucket(&self.objects.bucket).key(key.as_str());
        let request = get
            .response_content_type(mime_type)
            .set_response_content_disposition(filename.map(attachment))
            .customize()
            .config_override(self.configuration())
            .presigned(self.presigning()?)
            .await
            .map_err(failure)?;
        Ok(SignedDownload { url: request.uri().to_owned(), validity: self.validity })
    }

    /// Signs for the parts of an upload.
    pub async fn parts(&self, key: &ObjectKey, id: &UploadId) -> Result<PartSigner, Error> {
        // Where the bucket is, the SDK knows.
        let part = self.objects.client.upload_part().bucket(&self.objects.bucket).key(key.as_str());
        let request = part
            .upload_id(id.as_str())
            .part_number(1)
            .customize()
            .config_override(self.configuration())
            .presigned(self.presigning()?)
            .await
            .map_err(failure)?;
        let address = request.uri().split('?').next().unwrap_or_default();
        let id = utf8_percent_encode(id.as_str(), RESERVED);
        Ok(PartSigner {
            url: format!("{address}?x-id=UploadPart&uploadId={id}&partNumber="),
            identity: self.credentials.clone().into(),
            region: self.objects.region.clone(),
            validity: self.validity,
        })
    }

    /// How long what it signs is good.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    fn configuration(&self) -> Builder {
        Builder::default().credentials_provider(self.credentials.clone())
    }

    fn presigning(&self) -> Result<PresigningConfig, Error> {
        PresigningConfig::expires_in(Duration::from_secs(self.validity.seconds.into())).map_err(Error::internal)
    }
}

/// All but what RFC 3986 calls unreserved, which a signature takes as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Signs for parts of one upload. Not by the whole SDK, which takes about four times as long for each.
#[derive(Debug)]
pub struct PartSigner {
    url: String,
    identity: Identity,
    region: String,
    validity: Validity,
}

impl PartSigner {
    /// URLs for the upload of these parts by PUT, each when it is asked for. S3 refuses a part of another size.
    pub fn sign(
        &self,
        parts: impl Iterator<Item = PlannedPart>,
    ) -> Result<impl Iterator<Item = Result<(PlannedPart, String), Error>>, Error> {
        let parameters = self.parameters()?;
        Ok(parts.map(move |part| {
            let mut url = format!("{}{}", self.url, part.number);
            let length = part.size_bytes.to_string();
            let headers = [("content-length", length.as_str())];
            let request = SignableRequest::new("PUT", &url, headers.into_iter(), SignableBody::UnsignedPayload);
            let signed = sign(request.map_err(Error::internal)?, &parameters).map_err(Error::internal)?;
            let (_, query) = signed.into_parts().0.into_parts();
            for (name, value) in query {
                url.extend(["&", name, "="]);
                url.extend(utf8_percent_encode(&value, RESERVED));
            }
            Ok((part, url))
        }))
    }

    fn parameters(&self) -> Result<SigningParams<'_>, Error> {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(self.validity.seconds.into()));
        // S3 signs paths as they are.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        let parameters = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings);
        parameters.build().map(SigningParams::from).map_err(Error::internal)
    }
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
