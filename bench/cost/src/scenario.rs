//! Scenarios: a recording from its creation to its first download, and an idle minute.

use std::error::Error;
use std::fmt;

use capstan_domain::{FileSize, PartPlan};
use serde_json::{Value, json};

use crate::count::Count;
use crate::metered::Metered;

/// The sample of the local stack: 50 s of speech.
const SAMPLE: &[u8] = include_bytes!("../../../infra/local/sample/spoken.ogg");
const IMAGE: &[u8] = include_bytes!("../../../shared/image/fixtures/photo.jpg");
/// Number of chained samples that make an Ogg file of 30 minutes.
const SAMPLES_OF_30_MINUTES: usize = 36;
/// Size of the large file: 1 GB.
const LARGE: u64 = 1_000_000_000;
/// Size of the file uploaded instead of the large file: three parts. A test shows that each further part adds exactly one
/// `UploadPart`.
const SMALL_MULTIPART: usize = 2 * PartPlan::MIN_PART_SIZE as usize + 1000;

/// A priced scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scenario {
    /// One audio file. The S3 notification arrives before the client completes the upload.
    SingleFile,
    /// One audio file. The client completes the upload right after its PUT, before the S3 notification arrives.
    CompletedBeforeNotification,
    /// One audio file and ten images.
    WithImages,
    /// One file of 1 GB by multipart upload.
    Multipart,
    /// One sweep without due work.
    IdleMinute,
}

impl Scenario {
    pub(crate) const ALL: [Self; 5] =
        [Self::SingleFile, Self::CompletedBeforeNotification, Self::WithImages, Self::Multipart, Self::IdleMinute];

    /// Key of the scenario in `assumptions.json`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SingleFile | Self::CompletedBeforeNotification => "single_file",
            Self::WithImages => "images",
            Self::Multipart => "multipart",
            Self::IdleMinute => "idle_minute",
        }
    }

    pub(crate) async fn count(self, on: &Metered) -> Result<Count, Box<dyn Error>> {
        match self {
            Self::SingleFile => single_file(on).await,
            Self::CompletedBeforeNotification => completed_before_notification(on).await,
            Self::WithImages => with_images(on).await,
            Self::Multipart => {
                let mut count = multipart(on, SMALL_MULTIPART).await?;
                let parts = PartPlan::of(FileSize::new(LARGE)?).parts().count();
                count.s3.insert("UploadPart".to_owned(), parts as u64);
                Ok(count)
            }
            Self::IdleMinute => {
                on.stack.bus().tick().await?;
                Ok(on.take())
            }
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::SingleFile => "One file of 30 min",
            Self::CompletedBeforeNotification => "One file of 30 min, completed before the S3 notification",
            Self::WithImages => "One audio and 10 images",
            Self::Multipart => "One file of 1 GB by multipart upload",
            Self::IdleMinute => "One minute without due work",
        })
    }
}

fn audio() -> Vec<u8> {
    SAMPLE.repeat(SAMPLES_OF_30_MINUTES)
}

/// Create a recording and return its path.
async fn create(on: &Metered) -> Result<String, Box<dyn Error>> {
    let (end_user, device) = (on.project.end_user_id.as_str(), on.project.device_id.as_str());
    let made = on.post("/v1/recordings", &json!({"end_user_id": end_user, "device_id": device})).await?;
    Ok(format!("/v1/recordings/{}", made["id"].as_str().unwrap_or_default()))
}

async fn upload(on: &Metered, path: &str, content_type: &str, bytes: Vec<u8>) -> Result<(), Box<dyn Error>> {
    let file = json!({"content_type": content_type, "file_size_bytes": bytes.len()});
    let signed = on.post(&format!("{path}/upload-url"), &file).await?;
    on.put(&signed["upload_url"], &signed["headers"], bytes).await
}

/// Read the recording once and download its file once.
async fn read_and_download(on: &Metered, path: &str) -> Result<Count, Box<dyn Error>> {
    on.stack.bus().settle().await;
    let recording = on.get(path).await?;
    if recording["status"] != "completed" {
        return Err(format!("not completed: {recording}").into());
    }
    let signed = on.get(&format!("{path}/download-url")).await?;
    on.fetch(&signed["download_url"]).await?;
    Ok(on.take())
}

async fn complete(on: &Metered, path: &str) -> Result<Value, Box<dyn Error>> {
    on.post(&format!("{path}/upload-complete"), &json!({})).await
}

async fn single_file(on: &Metered) -> Result<Count, Box<dyn Error>> {
    let path = create(on).await?;
    upload(on, &path, "audio/ogg", audio()).await?;
    on.stack.bus().settle().await;
    complete(on, &path).await?;
    read_and_download(on, &path).await
}

async fn completed_before_notification(on: &Metered) -> Result<Count, Box<dyn Error>> {
    let bus = on.stack.bus();
    bus.hold();
    let path = create(on).await?;
    upload(on, &path, "audio/ogg", audio()).await?;
    complete(on, &path).await?;
    loop {
        bus.settle().await;
        let held = bus.take_held();
        if held.is_empty() {
            break;
        }
        for delivery in held {
            bus.deliver(&delivery).await?;
        }
    }
    read_and_download(on, &path).await
}

async fn with_images(on: &Metered) -> Result<Count, Box<dyn Error>> {
    let path = create(on).await?;
    let images = std::iter::repeat_n(("image/jpeg", IMAGE.to_vec()), 10);
    for (content_type, bytes) in [("audio/ogg", audio())].into_iter().chain(images) {
        upload(on, &path, content_type, bytes).await?;
        // The write units of a notification depend on the files recorded before it, so process them in order.
        on.stack.bus().settle().await;
    }
    complete(on, &path).await?;
    read_and_download(on, &path).await
}

/// Upload a WAV file of `size` bytes by multipart upload.
pub(crate) async fn multipart(on: &Metered, size: usize) -> Result<Count, Box<dyn Error>> {
    let file = wav(size)?;
    let path = create(on).await?;
    let request = json!({"content_type": "audio/wav", "file_size_bytes": file.len(), "multipart": true});
    let signed = on.post(&format!("{path}/upload-url"), &request).await?;
    let parts = signed["parts"].as_array().ok_or("the response has no parts")?;
    for (part, bytes) in parts.iter().zip(file.chunks(PartPlan::MIN_PART_SIZE as usize)) {
        on.put(&part["upload_url"], &signed["headers"], bytes.to_vec()).await?;
    }
    let media = signed["media_id"].as_str().unwrap_or_default();
    on.post(&format!("{path}/media/{media}/upload/complete"), &json!({})).await?;
    on.stack.bus().settle().await;
    complete(on, &path).await?;
    read_and_download(on, &path).await
}

/// WAV file of `size` bytes: 16 kHz, 16 bits, mono.
fn wav(size: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let length = u32::try_from(size - 44)?;
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(b"RIFF");
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    for (value, width) in [(16, 4), (1, 2), (1, 2), (16_000, 4), (32_000, 4), (2, 2), (16, 2)] {
        bytes.extend(u32::to_le_bytes(value).iter().take(width));
    }
    bytes.extend(b"data");
    bytes.extend(length.to_le_bytes());
    bytes.extend((0..length / 2).flat_map(|sample| ((sample * 37 % 2000) as u16).to_le_bytes()));
    Ok(bytes)
}
