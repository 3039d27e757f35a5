//! A small file: one signed URL, one PUT.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use crate::client::ClientError;
use crate::upload::error::UploadError;
use crate::upload::file_upload::{FileUpload, UploadTarget, gone, parse};
use crate::upload::patience::passes;

/// How long S3 may take no byte and say nothing. A network that is gone is noticed by TCP before.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);
/// How often new URLs may be refused before that is final.
pub(super) const MAX_REFUSALS: u32 = 5;

#[derive(Debug, Deserialize)]
struct SignedUrl {
    upload_url: String,
    headers: BTreeMap<String, String>,
}

/// What S3 says to a URL that was good once.
pub(super) fn wants_another_url(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 403 | 404, .. })
}

/// Whether it says that its time is over; else something else may be wrong with it, for good.
pub(super) fn is_expiry(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { message, .. } if message.contains("xpired"))
}

impl FileUpload<'_> {
    pub(super) async fn send_whole(&mut self, target: UploadTarget) -> Result<(), UploadError> {
        let mut refusals = 0;
        for tries in 0.. {
            let signed_urls = match self.signed_urls.take() {
                Some(signed_urls) => signed_urls,
                None => {
                    // Under a key of its own: the answer to an earlier one holds the URL that is refused.
                    let key = uuid::Uuid::new_v4().simple().to_string();
                    let media_id = Some(target.media_id.as_str());
                    match self.request_urls(&target.recording_id, target.method, media_id, &key).await {
                        // It arrived, and only its answer was lost.
                        Err(UploadError::Refused(ClientError::Refused { param: Some(param), .. }))
                            if *param == *"media_id" =>
                        {
                            break;
                        }
                        asked => asked.map_err(|error| gone(error, &target.recording_id))?,
                    }
                }
            };
            let signed: SignedUrl = parse(signed_urls.answer, "upload-url")?;
            self.progress.begin_at(0);
            match self.put(&signed.upload_url, &signed.headers, 0, self.source.size_bytes()).await? {
                Ok(()) => break,
                Err(error) if wants_another_url(&error) => {
                    refusals += u32::from(!is_expiry(&error));
                    if refusals > MAX_REFUSALS {
                        return Err(UploadError::Refused(error));
                    }
                    self.wait(tries, &error).await?;
                }
                Err(error) if passes(&error) => self.wait(tries, &error).await?,
                Err(error) => return Err(UploadError::Refused(error)),
            }
            self.source.require_unchanged().await?;
        }
        self.state.advance(target.uploaded())
    }

    /// Sends a slice of the file. The inner result is S3's.
    pub(super) async fn put(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        offset: u64,
        size: u64,
    ) -> Result<Result<(), ClientError>, UploadError> {
        let slice = self.source.slice(offset, size).await?;
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let sent = Arc::new(AtomicU64::new(0));
        let (counting, shown) = (Arc::clone(&sent), self.progress.clone());
        let mut putting = pin!(self.destination.client.put(url, &headers, slice, size, move |bytes| {
            counting.fetch_add(bytes, Ordering::Relaxed);
            shown.advance(bytes);
        }));
        let mut before = None;
        let outcome = loop {
            match timeout(LONGEST_SILENCE, &mut putting).await {
                Ok(outcome) => break outcome,
                Err(_) if before != Some(sent.load(Ordering::Relaxed)) => before = Some(sent.load(Ordering::Relaxed)),
                Err(_) => {
                    let url = url.split('?').next().unwrap_or_default().to_owned();
                    break Err(ClientError::Unreachable { url, reason: "it takes no bytes".to_owned() });
                }
            }
        };
        if outcome.is_err() {
            self.progress.retreat(sent.load(Ordering::Relaxed));
        }
        Ok(outcome)
    }
}
