//! A chunk of the sound that is transcribed: no longer and no larger than its provider takes at once.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Offset, Timestamp, TranscriptionError, TranscriptionErrorCode};

/// Seconds after which a call that a provider owes is overdue. Deepgram repeats its own for five minutes.
const CALLBACK_SECONDS: i64 = 900;
/// How often a job is given to a provider that only calls back and never did. Each time may be billed.
const MAX_UNHEARD: u32 = 3;

/// The number of a chunk, from 0 in the order of time. Sound that is not cut is chunk 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkNumber(u32);

impl ChunkNumber {
    /// The chunk of that number.
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
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

/// Where a chunk stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkStatus {
    /// A provider is being given it.
    Given,
    /// The provider works on it.
    Awaited {
        /// By which it knows the chunk.
        job_id: String,
        /// When it was given it, the last time.
        since: Timestamp,
        /// How often it was given it.
        times: u32,
    },
    /// Its text is there.
    Done,
}

/// A chunk of the sound, given to a provider as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Where it begins in the whole.
    pub start: Offset,
    /// Where it ends in the whole.
    pub end: Offset,
    /// Where it stands.
    pub standing: ChunkStatus,
}

impl Chunk {
    /// How often its provider was given it.
    pub fn times_given(&self) -> u32 {
        match self.standing {
            ChunkStatus::Awaited { times, .. } => times,
            ChunkStatus::Given | ChunkStatus::Done => 0,
        }
    }

    /// Whether a provider that only calls back, and did not, is to be given it once more now.
    ///
    /// # Errors
    /// `processing_error` when it was given it often enough.
    pub fn is_to_be_given_again(&self, now: Timestamp) -> Result<bool, TranscriptionError> {
        match self.standing {
            ChunkStatus::Awaited { since, times, .. } if since.plus_seconds(CALLBACK_SECONDS) <= now => {
                let message = format!("The provider was given it {times} times and never called back");
                let given_up = TranscriptionError::new(TranscriptionErrorCode::ProcessingError, message);
                if times < MAX_UNHEARD { Ok(true) } else { Err(given_up) }
            }
            _ => Ok(false),
        }
    }
}
