//! Original requests of idempotency keys: begun, resumed, answered.

use capstan_domain::{Error, OriginalRequest, OriginalRequestId, Timestamp};

use crate::attributes::{ANSWER, BEGAN_AT, PAYLOAD, RUNNING_UNTIL, SEED, TTL};
use crate::change::{Change, Changed, delete_when};
use crate::condition::{Comparison, Condition, compares, is, is_missing, is_new};
use crate::{Store, keys};

/// Whether a request is the first with its idempotency key.
#[derive(Debug)]
pub enum Begun {
    /// It is.
    First,
    /// This request came first.
    Known(Box<OriginalRequest>),
}

impl Store {
    /// Records a request as the original of its idempotency key, unless an unexpired one is recorded.
    pub async fn begin_request(
        &self,
        id: &OriginalRequestId,
        call: &OriginalRequest,
        now: Timestamp,
    ) -> Result<Begun, Error> {
        // DynamoDB deletes an expired item later, within days.
        let expired = compares(TTL, Comparison::AtMost, &seconds(now))?;
        let mut change = Change::when(is_new().or(expired));
        change
            .set(PAYLOAD, &call.payload)?
            .set(BEGAN_AT, &call.began_at)?
            .set(SEED, &call.seed)?
            .set(RUNNING_UNTIL, &call.running_until)?
            .set(TTL, &seconds(call.expires_at()))?
            .remove(ANSWER);
        let key = keys::original_request(id);
        let is_this = |known: &OriginalRequest| known.seed == call.seed;
        match change.apply_at::<OriginalRequest>(self, key).await?.unless_applied(is_this) {
            Changed::Made(_) => Ok(Begun::First),
            Changed::Refused(Some(known)) => Ok(Begun::Known(known)),
            Changed::Refused(None) => Err(Error::internal("an original request was refused without a known one")),
        }
    }

    /// Begins another attempt at an abandoned request. `false` when another request did.
    pub async fn resume_request(
        &self,
        id: &OriginalRequestId,
        seen: &OriginalRequest,
        resumed: &OriginalRequest,
    ) -> Result<bool, Error> {
        let mut change = Change::when(is_current(seen)?);
        change.set(RUNNING_UNTIL, &resumed.running_until)?;
        let changed = change.apply_at::<OriginalRequest>(self, keys::original_request(id)).await?;
        Ok(matches!(changed.unless_applied(|known| known == resumed), Changed::Made(_)))
    }

    /// Saves the response to a request, unless another attempt has resumed it.
    pub async fn save_response(
        &self,
        id: &OriginalRequestId,
        call: &OriginalRequest,
        answer: &str,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_current(call)?);
        change.set(ANSWER, &answer)?;
        change.apply_at::<OriginalRequest>(self, keys::original_request(id)).await.map(drop)
    }

    /// Abandons a request whose response is not saved: the next replay is another attempt.
    pub async fn abandon_request(
        &self,
        id: &OriginalRequestId,
        call: &OriginalRequest,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_current(call)?);
        change.set(RUNNING_UNTIL, &now)?;
        change.apply_at::<OriginalRequest>(self, keys::original_request(id)).await.map(drop)
    }

    /// Deletes a request that was rejected and had no effect: its key may be used again.
    pub async fn delete_request(&self, id: &OriginalRequestId, call: &OriginalRequest) -> Result<(), Error> {
        delete_when(is_current(call)?, self, keys::original_request(id)).await
    }
}

/// This attempt is the last one, and has no response.
fn is_current(call: &OriginalRequest) -> Result<Condition, Error> {
    Ok(is(RUNNING_UNTIL, &call.running_until)?.and(is_missing(ANSWER)))
}

/// Seconds since 1970, as DynamoDB's TTL requires.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.milliseconds() / 1000
}
