//! Signed URLs: leave to send or to fetch one object for an hour, or for as long as the credentials that sign are good.
//! Signing needs no call.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capstan_aws::{busy, failure};
use capstan_domain::{ContentType, Error, FileSize, PlannedPart, Sha256, Timestamp, URL_SECONDS, UploadId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Digest;

use crate::{ObjectKey, ObjectLocation, Objects};

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
    fn from(now: Timestamp, wanted: u32, credentials_end: Option<SystemTime>) -> Result<Self, Error> {
        let left = |end: SystemTime| {
            let end = end.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            let left = end.saturating_sub(u128::try_from(now.milliseconds()).unwrap_or(0)) / 1000;
            u32::try_from(left).unwrap_or(u32::MAX)
        };
        let seconds = credentials_end.map_or(wanted, left).min(wanted);
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

/// For downloads, whose URL holds a signature.
const CACHE_CONTROL: &str = "private, max-age=3600";

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
    /// Leave to sign URLs for an hour.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there are no credentials, or they end within a minute.
    pub async fn signer(&self, now: Timestamp) -> Result<Signer<'_>, Error> {
        self.signer_for(now, URL_SECONDS).await
    }

    /// Leave to sign URLs for so many seconds, at most seven days: S3's limit.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub async fn signer_for(&self, now: Timestamp, seconds: u32) -> Result<Signer<'_>, Error> {
        let provider = self.credentials.as_ref().ok_or_else(|| busy("there are no credentials to sign with"))?;
        let credentials = provider.provide_credentials().await.map_err(busy)?;
        let validity = Validity::from(now, seconds, credentials.expiry())?;
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
            .map_err(|error| failure(error).context("sign a URL"))?;
        let headers = request
            .headers()
            .filter(|(name, _)| !SENT_ANYWAY.contains(&name.to_ascii_lowercase().as_str()))
            .map(|(name, value)| (canonical(name), value.to_owned()))
            .collect();
        Ok(SignedUpload { url: request.uri().to_owned(), headers, validity: self.validity })
    }

    /// Signs for the download of one object, as that type and, where a name is given, as a file to save. Every header that
    /// an uploader could have stored with the object and that changes how a client reads it is overridden.
    pub async fn download(
        &self,
        place: impl Into<ObjectLocation>,
        mime_type: &str,
        filename: Option<&str>,
    ) -> Result<SignedDownload, Error> {
        let place = place.into();
        let get = self.objects.client.get_object().bucket(self.objects.bucket_of(&place)).key(&place.key);
        let request = get
            .response_content_type(mime_type)
            .response_content_disposition(filename.map_or_else(|| "inline".to_owned(), attachment))
            .response_content_encoding("identity")
            .response_cache_control(CACHE_CONTROL)
            .customize()
            .config_override(self.configuration())
            .presigned(self.presigning()?)
            .await
            .map_err(|error| failure(error).context("sign a URL"))?;
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
            .map_err(|error| failure(error).context("sign a URL"))?;
        let address = request.uri().split('?').next().unwrap_or_default();
        // S3 goes by the clock of the machine, whatever the request's.
        let signed_at = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Error::internal)?.as_millis();
        let signed_at = i64::try_from(signed_at).ok().and_then(Timestamp::from_milliseconds);
        let signed_at = signed_at.ok_or_else(|| Error::internal("the machine's clock is beyond the calendar"))?;
        Ok(PartSigner::new(address, id, &self.objects.region, (&self.credentials, self.validity), signed_at))
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

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// All but what RFC 3986 calls unreserved, which a signature takes as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Signs for the parts of one upload by AWS Signature Version 4. What is the same for all parts is done once: the SDK's
/// own signer, which does it for each, takes several times as long.
#[derive(Debug)]
pub struct PartSigner {
    /// Scheme, host and path.
    address: String,
    /// The query up to the number of the part, and behind it. Its names are sorted, as they are signed.
    query: (String, String),
    host: String,
    /// What is hashed of each request up to the number of the part.
    request: sha2::Sha256,
    /// What is signed of each request up to its hash.
    text: String,
    key: SigningKey,
}

/// Derived from a secret key for one day, region and service.
struct SigningKey(Vec<u8>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl PartSigner {
    fn new(
        address: &str,
        id: &UploadId,
        region: &str,
        (credentials, validity): (&Credentials, Validity),
        signed_at: Timestamp,
    ) -> Self {
        let (host, path) = address.split_once("://").and_then(|(_, rest)| rest.split_once('/')).unwrap_or_default();
        // Without fractions of a second a time has no point in it.
        let time = signed_at.whole_seconds().to_string().replace(['-', ':'], "");
        let scope = format!("{}/{region}/s3/aws4_request", &time[..8]);
        let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let credential = encoded(&format!("{}/{scope}", credentials.access_key_id()));
        let token = credentials.session_token().map(|token| format!("&X-Amz-Security-Token={}", encoded(token)));
        let before = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={time}&X-Amz-Expires={}{}\
             &X-Amz-SignedHeaders=content-length%3Bhost&partNumber=",
            validity.seconds,
            token.unwrap_or_default(),
        );
        let behind = format!("&uploadId={}&x-id=UploadPart", encoded(id.as_str()));
        let request = sha2::Sha256::new_with_prefix(format!("PUT\n/{path}\n{before}"));
        let day = UNIX_EPOCH + Duration::from_millis(signed_at.milliseconds().unsigned_abs());
        let key = generate_signing_key(credentials.secret_access_key(), day, region, "s3");
        Self {
            address: address.to_owned(),
            query: (before, behind),
            host: host.to_owned(),
            request,
            text: format!("{ALGORITHM}\n{time}\n{scope}\n"),
            key: SigningKey(key.as_ref().to_vec()),
        }
    }

    /// The URL for the upload of a part by PUT. S3 refuses a part of another size.
    pub fn sign(&self, part: PlannedPart) -> String {
        let (before, behind) = &self.query;
        let mut request = self.request.clone();
        request.update(format!(
            "{}{behind}\ncontent-length:{}\nhost:{}\n\ncontent-length;host\nUNSIGNED-PAYLOAD",
            part.number, part.size_bytes, self.host
        ));
        let text = format!("{}{}", self.text, hex::encode(request.finalize()));
        let signature = calculate_signature(&self.key.0, text.as_bytes());
        format!("{}?{before}{}{behind}&X-Amz-Signature={signature}", self.address, part.number)
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
    use aws_sigv4::http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        UriPathNormalizationMode, sign,
    };
    use aws_sigv4::sign::v4::SigningParams;
    use capstan_domain::PartPlan;

    use super::*;

    /// What the signer of the SDK makes of the same request at the same time.
    fn signature_by_the_sdk(url: &str, length: u64, credentials: &Credentials, at: Timestamp) -> String {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(900));
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        let identity = credentials.clone().into();
        let at = UNIX_EPOCH + Duration::from_millis(at.milliseconds().unsigned_abs());
        let parameters = SigningParams::builder().identity(&identity).region("eu-central-1").name("s3").time(at);
        let parameters = parameters.settings(settings).build().unwrap().into();
        let length = length.to_string();
        let headers = [("content-length", length.as_str())].into_iter();
        let request = SignableRequest::new("PUT", url, headers, SignableBody::UnsignedPayload).unwrap();
        sign(request, &parameters).unwrap().into_parts().1
    }

    #[test]
    fn a_part_is_signed_as_the_sdk_signs() {
        let at = Timestamp::from_milliseconds(1_732_093_200_789).unwrap();
        let validity = Validity { until: at.plus_seconds(900), seconds: 900 };
        let id = UploadId::new("a.b_c-d~e/f+g=");
        for token in [None, Some("IQoJ/+= token".to_owned())] {
            let credentials = Credentials::new("AKIDEXAMPLE", "secret/key", token, None, "test");
            for address in
                ["https://bucket.s3.amazonaws.com/proj_1/rec_1/audio.wav", "http://127.0.0.1:3000/b/audio.wav"]
            {
                let signer = PartSigner::new(address, &id, "eu-central-1", (&credentials, validity), at);
                for part in PartPlan::of(FileSize::new(6 << 20).unwrap()).parts() {
                    let url = signer.sign(part);
                    let (_, signature) = url.split_once("&X-Amz-Signature=").unwrap();
                    let unsigned =
                        format!("{address}?partNumber={}&uploadId=a.b_c-d~e%2Ff%2Bg%3D&x-id=UploadPart", part.number);
                    assert_eq!(signature, signature_by_the_sdk(&unsigned, part.size_bytes, &credentials, at), "{url}");
                }
            }
        }
    }

    #[test]
    fn a_filename_cannot_end_the_header_that_carries_it() {
        assert_eq!(
            attachment("a\"b\r\nX: ü.wav"),
            "attachment; filename=\"a_b__X: _.wav\"; filename*=UTF-8''a%22b%0D%0AX%3A%20%C3%BC.wav"
        );
    }
}
