//! The request that completes an upload, and its replays.

use serde::{Deserialize, Serialize};

use crate::{Error, Recording, Sha256};

/// The request that completed an upload, as far as it identifies a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Its `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The hash that it claimed.
    pub content_sha256: Option<Sha256>,
    /// The size in bytes that it claimed.
    pub size_bytes: Option<u64>,
    /// Identifier of the request. By it, a request recognises its own write when the answer to the write was lost.
    pub request: Option<String>,
}

/// What a completion request is to an earlier one of the same recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Same,
    Replay,
    KeyReused,
    Different,
}

impl Completion {
    fn relation(&self, later: &Self) -> Relation {
        if self.request.is_some() && self.request == later.request {
            return Relation::Same;
        }
        let same_key = self.idempotency_key.is_some() && self.idempotency_key == later.idempotency_key;
        let same_hash = self.content_sha256 == later.content_sha256;
        if same_key && !(same_hash && self.size_bytes == later.size_bytes) {
            Relation::KeyReused
        } else if same_key || (same_hash && self.content_sha256.is_some()) {
            Relation::Replay
        } else {
            Relation::Different
        }
    }
}

/// A completed upload.
#[derive(Clone, Debug, PartialEq)]
pub enum CompletedUpload {
    /// Completed by this request: the event is still to be published.
    Now(Recording),
    /// Completed by an earlier request that this one replays; the recording as it was answered then.
    Replayed(Recording),
}

impl CompletedUpload {
    /// What a completion request means for a recording that is no longer pending.
    ///
    /// # Errors
    /// [`Error::RecordingNotPending`] when another request completed it, [`Error::IdempotencyKeyReused`] when that request
    /// had the same `Idempotency-Key`.
    pub fn by_earlier_request(recording: Recording, completion: &Completion) -> Result<Self, Error> {
        let earlier = recording.upload.completion.clone().unwrap_or_default();
        match earlier.relation(completion) {
            Relation::Same => Ok(Self::Now(recording.as_completed())),
            Relation::Replay => Ok(Self::Replayed(recording.as_completed())),
            Relation::KeyReused => Err(Error::IdempotencyKeyReused),
            Relation::Different => Err(Error::RecordingNotPending { status: recording.status }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_has_the_same_key_or_hash() {
        let completion = |key: Option<&str>, hash: Option<&[u8]>| Completion {
            idempotency_key: key.map(str::to_owned),
            content_sha256: hash.map(Sha256::of),
            ..Completion::default()
        };
        for (earlier, later, expected) in [
            (completion(Some("a"), None), completion(Some("a"), None), Relation::Replay),
            (completion(None, Some(b"x")), completion(None, Some(b"x")), Relation::Replay),
            (completion(Some("a"), Some(b"x")), completion(None, Some(b"x")), Relation::Replay),
            (completion(Some("a"), Some(b"x")), completion(Some("a"), Some(b"y")), Relation::KeyReused),
            (completion(Some("a"), None), completion(Some("b"), None), Relation::Different),
            (completion(None, None), completion(None, None), Relation::Different),
        ] {
            assert_eq!(earlier.relation(&later), expected, "{earlier:?} {later:?}");
        }
    }

    #[test]
    fn a_request_recognises_its_own_write() {
        let completion = |request: &str| Completion { request: Some(request.to_owned()), ..Completion::default() };
        assert_eq!(completion("a").relation(&completion("a")), Relation::Same);
        assert_eq!(completion("a").relation(&completion("b")), Relation::Different);
    }
}
