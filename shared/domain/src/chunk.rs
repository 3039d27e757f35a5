//! A chunk of the audio to transcribe: at most as long and as large as its provider accepts.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Offset, Timestamp, TranscriptionError, TranscriptionErrorCode};

/// Seconds after which a provider's callback is overdue. Deepgram repeats its callbacks for five minutes.
const CALLBACK_SECONDS: i64 = 900;
/// How often a chunk is sent to a provider whose callback does not come. Each time may be billed.
const MAX_SENDINGS: u32 = 3;

/// The number of a chunk, from 0 in the order of time. Audio that is not cut is chunk 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkNumber(u32);

impl ChunkNumber {
    /// From its place, counted from 0.
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its place, counted from 0.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ChunkNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// The keys of a map are text, in JSON as in the table.
impl Serialize for ChunkNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChunkNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// Status of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkStatus {
    /// It is being sent to the provider.
    Sending,
    /// The provider works on it.
    Awaited {
        /// The provider's identifier of the job.
        job_id: String,
        /// When it was last sent.
        since: Timestamp,
        /// How often it was sent.
        times: u32,
    },
    /// It is transcribed.
    Done,
}

/// A chunk of the audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its start in the whole audio.
    pub start: Offset,
    /// Its end in the whole audio.
    pub end: Offset,
    /// Its status.
    pub status: ChunkStatus,
}

impl Chunk {
    /// How often it was sent to the provider.
    pub fn times_sent(&self) -> u32 {
        match self.status {
            ChunkStatus::Awaited { times, .. } => times,
            ChunkStatus::Sending | ChunkStatus::Done => 0,
        }
    }

    /// Whether it must be sent again, because the provider reports by callback only and the callback is overdue.
    ///
    /// # Errors
    /// `processing_error` when it was sent 3 times.
    pub fn must_be_sent_again(&self, now: Timestamp) -> Result<bool, TranscriptionError> {
        match self.status {
            ChunkStatus::Awaited { since, times, .. } if since.plus_seconds(CALLBACK_SECONDS) <= now => {
                let message = format!("The provider accepted the audio {times} times and never called back");
                let given_up = TranscriptionError::new(TranscriptionErrorCode::ProcessingError, message);
                if times < MAX_SENDINGS { Ok(true) } else { Err(given_up) }
            }
            _ => Ok(false),
        }
    }
}
