//! What a path names, read beside the look at who calls.

use capstan_domain::{Action, Caller, Device, EndUser, Error, Recording, Transcription};

use crate::{Access, Request};

impl Access {
    /// Who calls, and the recording that the path names. As [`Self::caller_beside`].
    ///
    /// # Errors
    /// [`Error::NotFound`] out of the caller's visibility.
    pub async fn recording(&self, request: &Request, action: Action) -> Result<(Caller, Recording), Error> {
        let read = async { self.store().recording(&request.path_id("recording")?).await };
        let (caller, found) = self.caller_beside(request, action, read).await?;
        let recording = caller.visibility().admit(found.ok_or_else(Error::no_recording)?)?;
        Ok((caller, recording))
    }

    /// Who calls, and the device that the path names. As [`Self::recording`].
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not the caller's project's.
    pub async fn device(&self, request: &Request, action: Action) -> Result<(Caller, Device), Error> {
        let read = async { self.store().device(&request.path_id("device")?).await };
        let (caller, found) = self.caller_beside(request, action, read).await?;
        let device = Device::of(&caller.tenant, found)?;
        Ok((caller, device))
    }

    /// Who calls, and the end user that the path names. As [`Self::recording`].
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not the caller's project's.
    pub async fn end_user(&self, request: &Request, action: Action) -> Result<(Caller, EndUser), Error> {
        let read = async { self.store().end_user(&request.path_id("end user")?).await };
        let (caller, found) = self.caller_beside(request, action, read).await?;
        let end_user = EndUser::of(&caller.tenant, found)?;
        Ok((caller, end_user))
    }

    /// Who calls, and the transcription that the path names. As [`Self::recording`].
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not the caller's project's.
    pub async fn transcription(&self, request: &Request, action: Action) -> Result<(Caller, Transcription), Error> {
        let read = async { self.store().transcription(&request.path_id("transcription")?).await };
        let (caller, found) = self.caller_beside(request, action, read).await?;
        let transcription = Transcription::of(&caller.tenant, found)?;
        Ok((caller, transcription))
    }
}
