//! Access: who makes a request, with which permission, to what the path names.

use std::fmt::Debug;
use std::marker::PhantomData;

use capstan_auth::Authenticator;
use capstan_aws::{Environment, EnvironmentError, FromEnvironment};
use capstan_domain::{Action, CREDENTIAL_PREFIXES, Caller, Device, EndUser, Error, Recording, Transcription};
use capstan_store::Store;
use futures_util::future::join;

use crate::Request;

/// How an API's clients send their credential.
pub trait CredentialForm: Clone + Debug + Send + Sync + 'static {
    /// The credential that a request contains, not verified.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it contains none.
    fn credential(request: &Request) -> Result<&str, Error>;
}

/// `Authorization: Bearer <credential>` (RFC 6750). The case of the scheme does not matter.
#[derive(Clone, Debug)]
pub struct Bearer;

impl CredentialForm for Bearer {
    fn credential(request: &Request) -> Result<&str, Error> {
        match request.header("authorization").and_then(|value| value.trim().split_once(' ')) {
            Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => Ok(credential.trim()),
            _ => Err(Error::Unauthorized),
        }
    }
}

/// Access to the table for authenticated requests of an API.
#[derive(Clone, Debug)]
pub struct Access<F: CredentialForm = Bearer> {
    authenticator: Authenticator,
    form: PhantomData<F>,
}

impl<F: CredentialForm> FromEnvironment for Access<F> {
    async fn from_environment(environment: &Environment) -> Result<Self, EnvironmentError> {
        let authenticator = Authenticator::from_environment(environment).await?;
        Ok(Self { authenticator, form: PhantomData })
    }
}

impl<F: CredentialForm> Access<F> {
    /// Access to this table.
    pub fn new(store: Store) -> Self {
        Self { authenticator: Authenticator::new(store), form: PhantomData }
    }

    /// The table.
    pub fn store(&self) -> &Store {
        self.authenticator.store()
    }

    /// Where callers are authenticated.
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// The credential that a request contains, not verified.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it contains none, or one with an unknown prefix.
    pub fn credential<'a>(&self, request: &'a Request) -> Result<&'a str, Error> {
        let credential = F::credential(request)?;
        let has_prefix = CREDENTIAL_PREFIXES.iter().any(|prefix| credential.starts_with(prefix));
        if has_prefix { Ok(credential) } else { Err(Error::Unauthorized) }
    }

    /// The caller, with permission for the action.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] and [`Error::Forbidden`].
    pub async fn caller(&self, request: &Request, action: Action) -> Result<Caller, Error> {
        self.authenticate(request).await?.permitted(action)
    }

    async fn authenticate(&self, request: &Request) -> Result<Caller, Error> {
        match request.caller() {
            Some(caller) => Ok(caller.clone()),
            None => self.authenticator.caller(self.credential(request)?, request.now()).await,
        }
    }

    /// The caller, authenticated while something is read. An error of the caller comes before one of the read.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] and [`Error::Forbidden`], then those of the read.
    pub async fn caller_while_reading<T>(
        &self,
        request: &Request,
        action: Action,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<(Caller, T), Error> {
        self.credential(request)?;
        let (caller, read) = join(self.authenticate(request), read).await;
        let caller = caller?.permitted(action)?;
        Ok((caller, read?))
    }

    /// The caller, and the recording that the path names.
    ///
    /// # Errors
    /// As [`Self::caller`], and [`Error::NotFound`] when the recording is not visible to the caller.
    pub async fn recording(&self, request: &Request, action: Action) -> Result<(Caller, Recording), Error> {
        let read = async { self.store().recording(&request.path_id("recording")?).await };
        let (caller, found) = self.caller_while_reading(request, action, read).await?;
        let recording = caller.visibility().admit(found.ok_or_else(Error::no_recording)?)?;
        Ok((caller, recording))
    }

    /// The caller, and the device that the path names.
    ///
    /// # Errors
    /// As [`Self::caller`], and [`Error::NotFound`] when the caller's project has no such device.
    pub async fn device(&self, request: &Request, action: Action) -> Result<(Caller, Device), Error> {
        let read = async { self.store().device(&request.path_id("device")?).await };
        let (caller, found) = self.caller_while_reading(request, action, read).await?;
        let device = Device::of(&caller.tenant, found)?;
        Ok((caller, device))
    }

    /// The caller, and the end user that the path names.
    ///
    /// # Errors
    /// As [`Self::caller`], and [`Error::NotFound`] when the caller's project has no such end user.
    pub async fn end_user(&self, request: &Request, action: Action) -> Result<(Caller, EndUser), Error> {
        let read = async { self.store().end_user(&request.path_id("end user")?).await };
        let (caller, found) = self.caller_while_reading(request, action, read).await?;
        let end_user = EndUser::of(&caller.tenant, found)?;
        Ok((caller, end_user))
    }

    /// The caller, and the transcription that the path names.
    ///
    /// # Errors
    /// As [`Self::caller`], and [`Error::NotFound`] when the caller's project has no such transcription.
    pub async fn transcription(&self, request: &Request, action: Action) -> Result<(Caller, Transcription), Error> {
        let read = async { self.store().transcription(&request.path_id("transcription")?).await };
        let (caller, found) = self.caller_while_reading(request, action, read).await?;
        let transcription = Transcription::of(&caller.tenant, found)?;
        Ok((caller, transcription))
    }
}
