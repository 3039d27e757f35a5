//! Time and randomness, which only the edge of a function draws.

use std::sync::Arc;

use capstan_domain::{Error, Timestamp};

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(|| jiff::Timestamp::now().into()))
    }

    /// A clock that returns what `now` returns.
    pub fn telling(time: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(time))
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// What an invocation brings beside its event.
#[derive(Clone)]
pub struct Invocation {
    /// When it began.
    pub now: Timestamp,
    /// Random bits for one new identifier.
    pub entropy: u128,
    /// Random bits for one new credential.
    pub secret_bits: [u8; 32],
    /// Tells the time while it goes on.
    pub clock: Clock,
}

impl Invocation {
    pub(crate) fn begin(clock: &Clock) -> Result<Self, Error> {
        let (mut entropy, mut secret_bits) = ([0; 16], [0; 32]);
        for bits in [&mut entropy[..], &mut secret_bits[..]] {
            getrandom::fill(bits).map_err(|error| Error::internal(error.to_string()))?;
        }
        Ok(Self { now: clock.now(), entropy: u128::from_le_bytes(entropy), secret_bits, clock: clock.clone() })
    }
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Invocation({})", self.now)
    }
}
