//! First calls under an `Idempotency-Key`: begun, attempted again, answered.

use capstan_domain::{Error, OriginalRequest, OriginalRequestId, Timestamp};

use crate::change::{Change, Changed, delete_when};
use crate::condition::{Comparison, Condition, compares, is, is_missing, is_new};
use crate::{Store, keys};

/// What DynamoDB removes an item by, within days of that time.
pub(crate) const TTL: &str = "ttl";
const RUNNING_UNTIL: &str = "running_until";
const ANSWER: &str = "answer";

/// What a call under an `Idempotency-Key` found.
#[derive(Debug)]
pub enum Begun {
    /// It is the first.
    First,
    /// This one came first.
    Known(Box<OriginalRequest>),
}

impl Store {
    /// Keeps a call as the first under its key, unless one is known that has not expired.
    pub async fn begin_request(
        &self,
        id: &OriginalRequestId,
        call: &OriginalRequest,
        now: Timestamp,
    ) -> Result<Begun, Error> {
        // DynamoDB removes what has expired some time later, within days.
        let expired = compares(TTL, Comparison::AtMost, &seconds(now))?;
        let mut change = Change::when(is_new().or(expired));
        change
            .set("payload", &call.payload)?
            .set("began_at", &call.began_at)?
            .set("seed", &call.seed)?
            .set(RUNNING_UNTIL, &call.running_until)?
            .set(TTL, &seconds(call.expires_at()))?
            .remove(ANSWER);
        match change.apply_at::<OriginalRequest>(self, keys::original_request(id)).await? {
            Changed::Made(_) => Ok(Begun::First),
            // The SDK repeats a call whose answer was lost: then the first is this one.
            Changed::Refused(Some(known)) if known.seed == call.seed => Ok(Begun::First),
            Changed::Refused(Some(known)) => Ok(Begun::Known(known)),
            Changed::Refused(None) => Err(Error::internal("a first call was neither new nor known")),
        }
    }

    /// Begins another attempt at an abandoned call. `false` when someone else did.
    pub async fn resume_request(
        &self,
        id: &OriginalRequestId,
        seen: &OriginalRequest,
        resumed: &OriginalRequest,
    ) -> Result<bool, Error> {
        let mut change = Change::when(is_held(seen)?);
        change.set(RUNNING_UNTIL, &resumed.running_until)?;
        match change.apply_at::<OriginalRequest>(self, keys::original_request(id)).await? {
            Changed::Made(_) => Ok(true),
            Changed::Refused(known) => Ok(known.is_some_and(|known| known == Box::new(resumed.clone()))),
        }
    }

    /// Keeps the answer to a call, unless someone else has taken the call over.
    pub async fn save_response(
        &self,
        id: &OriginalRequestId,
        call: &OriginalRequest,
        answer: &str,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_held(call)?);
        change.set(ANSWER, &answer)?;
        change.apply_at::<OriginalRequest>(self, keys::original_request(id)).await.map(drop)
    }

    /// Lets go of a call whose answer is not kept: its next repeat is another attempt at it.
    pub async fn abandon_request(
        &self,
        id: &OriginalRequestId,
        call: &OriginalRequest,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_held(call)?);
        change.set(RUNNING_UNTIL, &now)?;
        change.apply_at::<OriginalRequest>(self, keys::original_request(id)).await.map(drop)
    }

    /// Forgets a call that was refused and so did nothing: its key is free.
    pub async fn forget_request(&self, id: &OriginalRequestId, call: &OriginalRequest) -> Result<(), Error> {
        delete_when(is_held(call)?, self, keys::original_request(id)).await
    }
}

/// That the call is in the hands of this attempt at it.
fn is_held(call: &OriginalRequest) -> Result<Condition, Error> {
    Ok(is(RUNNING_UNTIL, &call.running_until)?.and(is_missing(ANSWER)))
}

/// As DynamoDB's TTL wants it.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.milliseconds() / 1000
}
