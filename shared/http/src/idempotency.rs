//! A POST under an `Idempotency-Key` is carried out idempotent, however often it comes.

use capstan_domain::{Caller, Error, OriginalRequest, OriginalRequestId, RequestStatus, Secret, Seed, Sha256};
use capstan_store::{Begun, Store};

use crate::access::Identified;
use crate::sealed::Seal;
use crate::{Access, Reply, Request};

/// An item holds 400 KB. An answer that is larger when sealed is not kept: its repeat is made again, with the same time
/// and randomness.
const MAX_SEALED_BYTES: usize = 350_000;

/// What a handler stands on.
pub trait Dependencies {
    /// The door to the table, for those that have one.
    fn access(&self) -> Option<&Access>;
}

impl Dependencies for () {
    fn access(&self) -> Option<&Access> {
        None
    }
}

impl Dependencies for Access {
    fn access(&self) -> Option<&Access> {
        Some(self)
    }
}

impl<A> Dependencies for (Access, A) {
    fn access(&self) -> Option<&Access> {
        Some(&self.0)
    }
}

impl<A, B> Dependencies for (Access, A, B) {
    fn access(&self) -> Option<&Access> {
        Some(&self.0)
    }
}

impl<A, B, C> Dependencies for (Access, A, B, C) {
    fn access(&self) -> Option<&Access> {
        Some(&self.0)
    }
}

/// Hands a request to its handler; one that repeats an earlier POST under the same `Idempotency-Key` gets that one's
/// answer. Two calls more for a request with a key, none for one without: the first call is kept, then its answer.
///
/// Only what was done is kept. A refusal frees the key, since nothing was done; a failure leaves the call to be attempted
/// again, with the same time and randomness, so that what it may have made is found rather than made twice.
///
/// # Errors
/// Those of the handler, [`Error::Unauthorized`], [`Error::IdempotencyKeyReused`], [`Error::OriginalRequestRunning`].
pub async fn idempotent<D, F>(
    dependencies: D,
    request: Request,
    handler: impl FnOnce(D, Request) -> F,
) -> Result<Reply, Error>
where
    D: Dependencies,
    F: Future<Output = Result<Reply, Error>>,
{
    let Some(access) = dependencies.access().filter(|_| request.is_keyed_post()) else {
        return handler(dependencies, request).await;
    };
    let access = access.clone();
    let known = Known::of(&access, &request).await?;
    let attempt = match known.begin(access.store(), &request).await? {
        Beginning::Answered(reply) => return Ok(reply),
        Beginning::Attempt(attempt) => attempt,
    };
    let result = handler(dependencies, attempt.repeat_of(request, known.who.caller())).await;
    if let Err(error) = attempt.end(access.store(), &known, &result).await {
        tracing::warn!(%error, "a repeat of this call will be another attempt");
    }
    result
}

/// A call by someone who is known.
struct Known {
    id: OriginalRequestId,
    who: Identified,
    credential: String,
    payload: Sha256,
}

enum Beginning {
    Answered(Reply),
    Attempt(Attempt),
}

/// Which attempt it is.
#[derive(Clone, Copy)]
enum Turn {
    /// The first: where it is refused, nothing was done.
    First,
    /// One after an attempt that may have done something.
    Again,
    /// One by a caller who cannot open the answer that is kept.
    Beside,
}

/// One attempt at the first call.
struct Attempt {
    call: OriginalRequest,
    seal: Seal,
    turn: Turn,
}

impl Known {
    async fn of(access: &Access, request: &Request) -> Result<Self, Error> {
        let who = access.identify_repeat(request).await?;
        let key = request.idempotency_key()?.unwrap_or_default();
        Ok(Self {
            id: OriginalRequestId::new(&who.caller().visibility(), request.path(), key),
            who,
            credential: request.credential()?.to_owned(),
            payload: Sha256::of(request.body()),
        })
    }

    async fn begin(&self, store: &Store, request: &Request) -> Result<Beginning, Error> {
        let attempt = |call: OriginalRequest, turn| {
            let seal = Seal::of(&self.credential, call.seed);
            Attempt { call, seal, turn }
        };
        let call = OriginalRequest::begin(self.payload, Seed(request.entropy()), request.now());
        let first = match store.begin_request(&self.id, &call, request.now()).await? {
            Begun::First if self.may_make(&call) => return Ok(Beginning::Attempt(attempt(call, Turn::First))),
            Begun::First => {
                store.forget_request(&self.id, &call).await?;
                return Err(Error::Unauthorized);
            }
            Begun::Known(first) => *first,
        };
        if !self.may_make(&first) {
            return Err(Error::Unauthorized);
        }
        match first.status(self.payload, request.now())? {
            RequestStatus::Answered(sealed) => match Seal::of(&self.credential, first.seed).open(sealed)? {
                Some(answer) => Reply::from_kept(&answer).map(Beginning::Answered),
                // A token that was refreshed, a key that was rotated: it may do what the first did and cannot open it.
                None => Ok(Beginning::Attempt(attempt(first, Turn::Beside))),
            },
            RequestStatus::Abandoned => {
                let resumed = first.resume(request.now());
                if store.resume_request(&self.id, &first, &resumed).await? {
                    Ok(Beginning::Attempt(attempt(resumed, Turn::Again)))
                } else {
                    Err(resumed.status(self.payload, request.now()).err().unwrap_or(Error::IdempotencyKeyReused))
                }
            }
        }
    }

    /// Whether this call is the caller's to make. A token that was replaced is good for the call that replaced it, by which
    /// the same token is drawn again: its holder may not have heard the answer.
    fn may_make(&self, call: &OriginalRequest) -> bool {
        match &self.who {
            Identified::Good(_) => true,
            Identified::Replaced { by, .. } => {
                Secret::device_token(Seal::of(&self.credential, call.seed).secret_bits()).hash() == *by
            }
        }
    }
}

impl Attempt {
    /// The request with the time and the randomness of the first call.
    fn repeat_of(&self, request: Request, caller: &Caller) -> Request {
        request.repeating(self.call.began_at, self.call.seed.0, self.seal.secret_bits(), caller.clone())
    }

    async fn end(&self, store: &Store, known: &Known, result: &Result<Reply, Error>) -> Result<(), Error> {
        let abandon = store.abandon_request(&known.id, &self.call, self.call.began_at);
        match (result, self.turn) {
            (_, Turn::Beside) => Ok(()),
            (Ok(reply), _) => {
                let sealed = self.seal.close(&reply.to_kept()?)?;
                let fits = sealed.len() <= MAX_SEALED_BYTES;
                if fits { store.save_response(&known.id, &self.call, &sealed).await } else { abandon.await }
            }
            (Err(Error::Unavailable { .. } | Error::Internal { .. }), _) | (Err(_), Turn::Again) => abandon.await,
            (Err(_), Turn::First) => store.forget_request(&known.id, &self.call).await,
        }
    }
}
