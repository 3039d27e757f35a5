//! `POST /v1/recordings/{id}/upload-token`

use capstan_domain::{Action, Error, RecordingId, Secret, Timestamp, UPLOAD_TOKEN_SECONDS};
use capstan_http::{Access, Refusals, Reply, Request};
use serde::Serialize;
use utoipa::ToSchema;

/// A token for the upload of one recording. It is shown only once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadToken)]
pub struct Answer {
    /// Credential to send.
    #[schema(pattern = "^up_")]
    upload_token: String,
    /// Identifier of the recording.
    recording_id: String,
    /// When the token expires.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Seconds until the expiry.
    expires_in: u32,
}

/// Creates an upload token for a pending recording.
///
/// # Errors
/// [`Error::NotFound`], [`Error::RecordingNotPending`], [`Error::UploadExpired`], [`Error::Unauthorized`],
/// [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/upload-token", operation_id = "createUploadToken",
    summary = "Create an upload token",
    description = "The token authorizes the upload of one pending recording, for a device or app that should have no \
        other credential. It expires after 15 minutes.",
    tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"])),
    params(("id" = String, Path, description = "The recording.")),
    responses((status = 201, description = "The upload token.", body = Answer), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let (_, recording) = access.recording(&request, Action::CreateUploadToken).await?;
    let credential = recording.upload_credential(request.received_at())?;
    let token = request.upload_token();
    access.store().put_credential(&token.hash(), &credential).await?;
    Reply::created(&Answer::new(token, &recording.id, request.received_at()))
}

impl Answer {
    fn new(token: Secret, recording_id: &RecordingId, now: Timestamp) -> Self {
        Self {
            upload_token: token.reveal(),
            recording_id: recording_id.to_string(),
            expires_at: now.plus_seconds(UPLOAD_TOKEN_SECONDS.into()).to_string(),
            expires_in: UPLOAD_TOKEN_SECONDS,
        }
    }
}

#[cfg(test)]
mod tests;
