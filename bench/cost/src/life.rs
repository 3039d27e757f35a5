//! What happens to a recording from its creation to its first download.

use std::error::Error;
use std::fmt;

use capstan_domain::{FileSize, PartPlan};
use serde_json::{Value, json};

use crate::count::Count;
use crate::metered::Metered;

/// 50 s of speech, as the stack ships it.
const SAMPLE: &[u8] = include_bytes!("../../../infra/local/sample/spoken.ogg");
const PICTURE: &[u8] = include_bytes!("../../../shared/image/fixtures/photo.jpg");
/// Chained, an Ogg file of 30 minutes.
const SAMPLES_OF_30_MINUTES: usize = 36;
/// 1 GB.
const LARGE: u64 = 1_000_000_000;
/// Stands for it: three parts. Each further part is one more UploadPart and nothing else, as a test shows.
const STAND_IN: usize = 2 * PartPlan::MIN_PART_SIZE as usize + 1000;

/// A course of events that is priced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    /// The notification of the file comes before its completion.
    OneMedium,
    /// The completion comes first, as from a client that asks right after its PUT.
    OneMediumCompletedAtOnce,
    Pictures,
    Parts,
    /// A minute in which nothing happens.
    Minute,
}

impl Life {
    pub(crate) const ALL: [Self; 5] =
        [Self::OneMedium, Self::OneMediumCompletedAtOnce, Self::Pictures, Self::Parts, Self::Minute];

    /// By which its assumptions are found.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneMedium | Self::OneMediumCompletedAtOnce => "one",
            Self::Pictures => "pictures",
            Self::Parts => "parts",
            Self::Minute => "minute",
        }
    }

    pub(crate) async fn count(self, on: &Metered) -> Result<Count, Box<dyn Error>> {
        match self {
            Self::OneMedium => one_medium(on).await,
            Self::OneMediumCompletedAtOnce => completed_at_once(on).await,
            Self::Pictures => with_pictures(on).await,
            Self::Parts => {
                let mut count = in_parts(on, STAND_IN).await?;
                let parts = PartPlan::of(FileSize::new(LARGE)?).parts().count();
                count.s3.insert("UploadPart".to_owned(), parts as u64);
                Ok(count)
            }
            Self::Minute => {
                on.stack.bus().tick().await?;
                Ok(on.take())
            }
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::OneMedium => "One medium of 30 min",
            Self::OneMediumCompletedAtOnce => "One medium of 30 min, completed before its notification comes",
            Self::Pictures => "One audio and 10 images",
            Self::Parts => "One medium of 1 GB in parts",
            Self::Minute => "A minute in which nothing is due",
        })
    }
}

fn sound() -> Vec<u8> {
    SAMPLE.repeat(SAMPLES_OF_30_MINUTES)
}

/// Gives the path of a new recording.
async fn create(on: &Metered) -> Result<String, Box<dyn Error>> {
    let (end_user, device) = (on.project.end_user_id.as_str(), on.project.device_id.as_str());
    let made = on.post("/v1/recordings", &json!({"end_user_id": end_user, "device_id": device})).await?;
    Ok(format!("/v1/recordings/{}", made["id"].as_str().unwrap_or_default()))
}

async fn send(on: &Metered, path: &str, content_type: &str, bytes: Vec<u8>) -> Result<(), Box<dyn Error>> {
    let file = json!({"content_type": content_type, "file_size_bytes": bytes.len()});
    let signed = on.post(&format!("{path}/upload-url"), &file).await?;
    on.put(&signed["upload_url"], &signed["headers"], bytes).await
}

/// The recording is read once, and its file fetched once.
async fn look(on: &Metered, path: &str) -> Result<Count, Box<dyn Error>> {
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

async fn one_medium(on: &Metered) -> Result<Count, Box<dyn Error>> {
    let path = create(on).await?;
    send(on, &path, "audio/ogg", sound()).await?;
    on.stack.bus().settle().await;
    complete(on, &path).await?;
    look(on, &path).await
}

async fn completed_at_once(on: &Metered) -> Result<Count, Box<dyn Error>> {
    let bus = on.stack.bus();
    bus.hold();
    let path = create(on).await?;
    send(on, &path, "audio/ogg", sound()).await?;
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
    look(on, &path).await
}

async fn with_pictures(on: &Metered) -> Result<Count, Box<dyn Error>> {
    let path = create(on).await?;
    let pictures = std::iter::repeat_n(("image/jpeg", PICTURE.to_vec()), 10);
    for (content_type, bytes) in [("audio/ogg", sound())].into_iter().chain(pictures) {
        send(on, &path, content_type, bytes).await?;
        // What a notification's write costs depends on what was event_published before it.
        on.stack.bus().settle().await;
    }
    complete(on, &path).await?;
    look(on, &path).await
}

/// A WAV file of that size.
pub(crate) async fn in_parts(on: &Metered, size: usize) -> Result<Count, Box<dyn Error>> {
    let file = wav(size)?;
    let path = create(on).await?;
    let wanted = json!({"content_type": "audio/wav", "file_size_bytes": file.len(), "multipart": true});
    let signed = on.post(&format!("{path}/upload-url"), &wanted).await?;
    let parts = signed["parts"].as_array().ok_or("no parts were signed")?;
    for (part, bytes) in parts.iter().zip(file.chunks(PartPlan::MIN_PART_SIZE as usize)) {
        on.put(&part["upload_url"], &signed["headers"], bytes.to_vec()).await?;
    }
    let media = signed["media_id"].as_str().unwrap_or_default();
    on.post(&format!("{path}/media/{media}/upload/complete"), &json!({})).await?;
    on.stack.bus().settle().await;
    complete(on, &path).await?;
    look(on, &path).await
}

/// A tone, 16 kHz, 16 bits, mono.
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
