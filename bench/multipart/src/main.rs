//! `sign-parts` measures the CPU time of signing and verifying 10,000 parts of a multipart upload.

use std::time::{Duration, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::presigning::PresigningConfig;
use capstan_domain::{ContentType, EntityTag, Error, FileSize, PartPlan, ReceivedPart, Timestamp, UploadId};
use capstan_objects::{ObjectKey, Objects};

const BUCKET: &str = "capstan-media-000000000000-eu-central-1";
/// Typical length of a role's session token and of an S3 upload ID.
const TOKEN_BYTES: usize = 1000;
const UPLOAD_ID_BYTES: usize = 110;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("t".repeat(TOKEN_BYTES)), None, "bench");
    let configuration = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let objects = Objects::new(&configuration, BUCKET);
    let ids = ("proj_01jcz4j8002j6ykhd7mh6hksbc", "rec_01jd4dny168n1mks12y199e68y", "med_01jd4dnydacb36myjxtw632hk1");
    let key = ObjectKey::original(&ids.0.parse()?, &ids.1.parse()?, &ids.2.parse()?, ContentType::AudioWav);
    let id = UploadId::new("u".repeat(UPLOAD_ID_BYTES));
    let plan = PartPlan::of(FileSize::new(50_000 * 1024 * 1024)?);
    let milliseconds = i64::try_from(UNIX_EPOCH.elapsed()?.as_millis())?;
    let now = Timestamp::from_milliseconds(milliseconds).ok_or("the system clock is out of range")?;

    let signer = objects.signer(now).await?.parts(&key, &id).await?;
    let before = cpu_time()?;
    let mut bytes = 0;
    for part in plan.parts() {
        bytes += signer.sign(part).len();
    }
    report("sign 10,000 parts", before, &format!("{} bytes per URL", bytes / 10_000))?;

    let client = aws_sdk_s3::Client::new(&configuration);
    let before = cpu_time()?;
    for part in plan.parts() {
        let upload = client.upload_part().bucket(BUCKET).key(key.as_str()).upload_id(id.as_str());
        let upload = upload.part_number(part.number.get().into()).content_length(part.size_bytes.try_into()?);
        upload.presigned(PresigningConfig::expires_in(Duration::from_secs(3600))?).await?;
    }
    report("sign 10,000 parts, SDK", before, "for comparison")?;

    let received: Vec<_> = plan
        .parts()
        .map(|part| {
            let etag = EntityTag::new(&format!("\"{:032x}\"", part.number.get()));
            ReceivedPart { number: part.number, etag, size_bytes: part.size_bytes }
        })
        .collect();
    let claimed: Vec<_> = received
        .iter()
        .map(|part| capstan_domain::ClaimedPart { number: part.number, etag: part.etag.clone() })
        .collect();
    let before = cpu_time()?;
    let parts: Result<_, Error> = plan.check(received, &claimed);
    report("compare 10,000 parts", before, &format!("{} parts match", parts?.len()))
}

/// CPU time of the process so far, in nanoseconds. Linux only.
fn cpu_time() -> Result<u64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split(' ').next().ok_or("/proc/self/schedstat is empty")?.parse()?)
}

#[allow(clippy::print_stdout, reason = "the program prints its results")]
fn report(step: &str, before: u64, detail: &str) -> Result<(), Box<dyn std::error::Error>> {
    let milliseconds = Duration::from_nanos(cpu_time()? - before).as_secs_f64() * 1000.0;
    println!("{step}: {milliseconds:.1} ms, {detail}");
    Ok(())
}
