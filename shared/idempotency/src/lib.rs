//! Idempotency: a POST with an `Idempotency-Key` has one effect and one response, however often it is sent.

mod seal;

use capstan_auth::ReplayCaller;
use capstan_domain::{Caller, Error, OriginalRequest, OriginalRequestId, RequestStatus, Secret, Seed, Sha256};
use capstan_http::{Access, Bearer, CredentialForm, Reply, Request};
use capstan_store::{Begun, Store};

use crate::seal::Seal;

/// Largest stored response, in bytes after encryption. DynamoDB limits an item to 400 kB. A replay of a request with a
/// larger response is another attempt, with the same time and randomness.
const MAX_SEALED_BYTES: usize = 350_000;

/// Dependencies of a handler.
pub trait Dependencies {
    /// How its clients send their credential.
    type Form: CredentialForm;

    /// Access to the table; `None` for a handler without authentication.
    fn access(&self) -> Option<&Access<Self::Form>>;
}

impl Dependencies for () {
    type Form = Bearer;

    fn access(&self) -> Option<&Access> {
        None
    }
}

impl<F: CredentialForm> Dependencies for Access<F> {
    type Form = F;

    fn access(&self) -> Option<&Access<F>> {
        Some(self)
    }
}

impl<F: CredentialForm, A> Dependencies for (Access<F>, A) {
    type Form = F;

    fn access(&self) -> Option<&Access<F>> {
        Some(&self.0)
    }
}

impl<F: CredentialForm, A, B> Dependencies for (Access<F>, A, B) {
    type Form = F;

    fn access(&self) -> Option<&Access<F>> {
        Some(&self.0)
    }
}

impl<F: CredentialForm, A, B, C> Dependencies for (Access<F>, A, B, C) {
    type Form = F;

    fn access(&self) -> Option<&Access<F>> {
        Some(&self.0)
    }
}

/// Handles a request, or replays the response of the original request with the same `Idempotency-Key`. A request with a key
/// makes two more calls: the original request is stored, then its response.
///
/// Only a success is stored. A rejection frees the key, since the request had no effect. After a failure, a replay is another
/// attempt with the same time and randomness, so that it finds what the first attempt may have created.
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
    let Some(access) = dependencies.access().filter(|_| request.is_post_with_idempotency_key()) else {
        return handler(dependencies, request).await;
    };
    let access = access.clone();
    let original = KeyedRequest::of(&access, &request).await?;
    let attempt = match original.begin(access.store(), &request).await? {
        Beginning::Answered(reply) => return Ok(reply),
        Beginning::Attempt(attempt) => attempt,
    };
    let result = handler(dependencies, attempt.replay_of(request, original.caller.caller())).await;
    if let Err(error) = attempt.end(access.store(), &original, &result).await {
        tracing::warn!(%error, "cannot store the response; a replay will be another attempt");
    }
    result
}

/// A request with an idempotency key, by an authenticated caller.
struct KeyedRequest {
    id: OriginalRequestId,
    caller: ReplayCaller,
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
    /// The first. If it is rejected, the request had no effect.
    First,
    /// One after an attempt that may have had an effect.
    Again,
    /// One by a caller whose credential cannot decrypt the stored response.
    WithOtherCredential,
}

/// One attempt at the original request.
struct Attempt {
    original: OriginalRequest,
    seal: Seal,
    turn: Turn,
}

impl KeyedRequest {
    async fn of<F: CredentialForm>(access: &Access<F>, request: &Request) -> Result<Self, Error> {
        let credential = access.credential(request)?;
        let caller = access.authenticator().replay_caller(credential, request.now()).await?;
        let key = request.idempotency_key()?.unwrap_or_default();
        Ok(Self {
            id: OriginalRequestId::new(&caller.caller().visibility(), request.path(), key),
            caller,
            credential: credential.to_owned(),
            payload: Sha256::of(request.body()),
        })
    }

    async fn begin(&self, store: &Store, request: &Request) -> Result<Beginning, Error> {
        let attempt = |original: OriginalRequest, turn| {
            let seal = Seal::of(&self.credential, original.seed);
            Attempt { original, seal, turn }
        };
        let new = OriginalRequest::begin(self.payload, Seed(request.entropy()), request.now());
        let original = match store.begin_request(&self.id, &new, request.now()).await? {
            Begun::First if self.is_permitted(&new) => return Ok(Beginning::Attempt(attempt(new, Turn::First))),
            Begun::First => {
                store.delete_request(&self.id, &new).await?;
                return Err(Error::Unauthorized);
            }
            Begun::Known(original) => *original,
        };
        if !self.is_permitted(&original) {
            return Err(Error::Unauthorized);
        }
        match original.status(self.payload, request.now())? {
            RequestStatus::Answered(sealed) => match Seal::of(&self.credential, original.seed).open(sealed)? {
                Some(answer) => Reply::from_stored(&answer).map(Beginning::Answered),
                // After a key was rotated or a token refreshed, the caller has the permission but another credential.
                None => Ok(Beginning::Attempt(attempt(original, Turn::WithOtherCredential))),
            },
            RequestStatus::Abandoned => {
                let resumed = original.resume(request.now());
                if store.resume_request(&self.id, &original, &resumed).await? {
                    Ok(Beginning::Attempt(attempt(resumed, Turn::Again)))
                } else {
                    Err(resumed.status(self.payload, request.now()).err().unwrap_or(Error::IdempotencyKeyReused))
                }
            }
        }
    }

    /// Whether the credential is valid for this request. A replaced token is valid for the request that replaced it, since
    /// that request derives the same new token again.
    fn is_permitted(&self, original: &OriginalRequest) -> bool {
        match &self.caller {
            ReplayCaller::Valid(_) => true,
            ReplayCaller::Replaced { by, .. } => {
                Secret::device_token(Seal::of(&self.credential, original.seed).secret_bits()).hash() == *by
            }
        }
    }
}

impl Attempt {
    /// The request with the time and the randomness of the original one.
    fn replay_of(&self, request: Request, caller: &Caller) -> Request {
        request.replaying(self.original.began_at, self.original.seed.0, self.seal.secret_bits(), caller.clone())
    }

    async fn end(&self, store: &Store, keyed: &KeyedRequest, result: &Result<Reply, Error>) -> Result<(), Error> {
        let abandon = store.abandon_request(&keyed.id, &self.original, self.original.began_at);
        match (result, self.turn) {
            (_, Turn::WithOtherCredential) => Ok(()),
            (Ok(reply), _) => {
                let sealed = self.seal.close(&reply.to_stored()?)?;
                let fits = sealed.len() <= MAX_SEALED_BYTES;
                if fits { store.save_response(&keyed.id, &self.original, &sealed).await } else { abandon.await }
            }
            (Err(Error::Unavailable { .. } | Error::Internal { .. }), _) | (Err(_), Turn::Again) => abandon.await,
            (Err(_), Turn::First) => store.delete_request(&keyed.id, &self.original).await,
        }
    }
}
