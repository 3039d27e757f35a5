//! The original request of an `Idempotency-Key`, by which replays are recognised.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Sha256, Timestamp, Visibility};

/// Seconds for which an original request is stored.
pub const FIRST_CALL_SECONDS: i64 = 24 * 3600;
/// Seconds after which a request without a response has died. No endpoint runs as long.
pub const RUNNING_SECONDS: i64 = 40;
/// Seconds after which a client retries while the original request is running.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Identifies the original request of a key: caller, path and key. Keys of a project, each binding of a device and an
/// upload token are separate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRequestId(Sha256);

impl OriginalRequestId {
    /// Requests of a caller with this visibility, to this path, with this key.
    pub fn new(visibility: &Visibility, path: &str, key: &str) -> Self {
        let holder = match visibility {
            Visibility::Tenant { tenant } => tenant.to_string(),
            Visibility::Device { tenant, device } => format!("{tenant}#{}#{}", device.device_id, device.generation),
            Visibility::Recording { tenant, recording_id } => format!("{tenant}#{recording_id}"),
        };
        // None but the path, in the middle, can hold a line's end.
        Self(Sha256::of(format!("{holder}\n{path}\n{key}").as_bytes()))
    }
}

impl fmt::Display for OriginalRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The randomness of a request. Another attempt with the same seed creates the same identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u128);

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl FromStr for Seed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The original request of an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRequest {
    /// The hash of its body.
    pub payload: Sha256,
    /// When it was received.
    pub began_at: Timestamp,
    /// Its randomness.
    pub seed: Seed,
    /// Until when a response is expected. It differs between attempts.
    pub running_until: Timestamp,
    /// Its response, encrypted with a key of the caller.
    pub answer: Option<String>,
}

/// The state of an original request, for a replay.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestStatus<'a> {
    /// It has this response.
    Answered(&'a str),
    /// It died, or failed with an unknown effect.
    Abandoned,
}

impl OriginalRequest {
    /// A request that begins now.
    pub fn begin(payload: Sha256, seed: Seed, now: Timestamp) -> Self {
        let running_until = now.plus_seconds(RUNNING_SECONDS);
        Self { payload, began_at: now, seed, running_until, answer: None }
    }

    /// Another attempt at the same request.
    #[must_use]
    pub fn resume(&self, now: Timestamp) -> Self {
        Self { running_until: now.plus_seconds(RUNNING_SECONDS), ..self.clone() }
    }

    /// When it expires.
    pub fn expires_at(&self) -> Timestamp {
        self.began_at.plus_seconds(FIRST_CALL_SECONDS)
    }

    /// What a later request with the same key finds.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`] when it has another body, [`Error::OriginalRequestRunning`].
    pub fn status(&self, payload: Sha256, now: Timestamp) -> Result<RequestStatus<'_>, Error> {
        match &self.answer {
            _ if self.payload != payload => Err(Error::IdempotencyKeyReused),
            Some(answer) => Ok(RequestStatus::Answered(answer)),
            None if self.running_until > now => Err(Error::OriginalRequestRunning { retry_after: RETRY_AFTER_SECONDS }),
            None => Ok(RequestStatus::Abandoned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoundDevice, Mode, Tenant};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_milliseconds(1_736_931_600_000).unwrap().plus_seconds(seconds)
    }

    fn call() -> OriginalRequest {
        OriginalRequest::begin(Sha256::of(b"body"), Seed(7), at(0))
    }

    #[test]
    fn another_body_under_the_same_key_is_refused_whether_or_not_the_first_was_answered() {
        let answered = OriginalRequest { answer: Some("sealed".to_owned()), ..call() };
        for known in [call(), answered] {
            let met = known.status(Sha256::of(b"other"), at(100));
            assert!(matches!(met, Err(Error::IdempotencyKeyReused)), "{met:?}");
        }
    }

    #[test]
    fn an_unanswered_call_runs_for_its_time_and_is_then_abandoned() {
        let same = Sha256::of(b"body");
        let running = |seconds| matches!(call().status(same, at(seconds)), Err(Error::OriginalRequestRunning { .. }));
        assert!(running(0) && running(RUNNING_SECONDS - 1));
        assert_eq!(call().status(same, at(RUNNING_SECONDS)).unwrap(), RequestStatus::Abandoned);
        let resumed = call().resume(at(RUNNING_SECONDS));
        assert!(resumed.status(same, at(RUNNING_SECONDS)).is_err());
        assert_eq!((resumed.began_at, resumed.seed), (at(0), Seed(7)));
    }

    #[test]
    fn an_answered_call_is_answered_so() {
        let answered = OriginalRequest { answer: Some("sealed".to_owned()), ..call() };
        assert_eq!(answered.status(Sha256::of(b"body"), at(0)).unwrap(), RequestStatus::Answered("sealed"));
    }

    #[test]
    fn idempotency_keys_are_per_caller_and_path() {
        let tenant = |mode| Tenant { project_id: "proj_1".parse().unwrap(), mode };
        let project = |mode| Visibility::Tenant { tenant: tenant(mode) };
        let device = |id: &str, generation| {
            let (device_id, end_user_id) = (id.parse().unwrap(), "eu_1".parse().unwrap());
            let device = BoundDevice { device_id, end_user_id, generation };
            Visibility::Device { tenant: tenant(Mode::Live), device }
        };
        let ids = [
            OriginalRequestId::new(&project(Mode::Live), "/v1/recordings", "a"),
            OriginalRequestId::new(&project(Mode::Live), "/v1/recordings", "b"),
            OriginalRequestId::new(&project(Mode::Live), "/v1/devices", "a"),
            OriginalRequestId::new(&project(Mode::Test), "/v1/recordings", "a"),
            OriginalRequestId::new(&device("dev_1", 1), "/v1/recordings", "a"),
            OriginalRequestId::new(&device("dev_1", 2), "/v1/recordings", "a"),
            OriginalRequestId::new(&device("dev_2", 1), "/v1/recordings", "a"),
        ];
        for (place, id) in ids.iter().enumerate() {
            assert!(!ids[..place].contains(id));
        }
        assert_eq!(OriginalRequestId::new(&project(Mode::Live), "/v1/recordings", "a"), ids[0]);
    }

    #[test]
    fn a_seed_reads_back() {
        for seed in [Seed(0), Seed(u128::MAX)] {
            let text = serde_json::to_string(&seed).unwrap();
            assert_eq!(text.len(), 34);
            assert_eq!(serde_json::from_str::<Seed>(&text).unwrap(), seed);
        }
    }
}
