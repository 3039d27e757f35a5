//! `POST /v1/recordings/{id}/upload-complete`

mod claim;
mod verification;

use capstan_domain::{Action, Error, RecordingId};
use capstan_events::Events;
use capstan_http::{Access, RecordingBody, Refusals, Reply, Request};
use capstan_objects::Objects;
use capstan_outbox::Outbox;
use capstan_uploads::publish_completed;

use claim::{Body, Claim};
use verification::Verification;

/// Completes an upload, and publishes `recording.uploaded`.
///
/// # Errors
/// [`Error::MediaNotUploaded`], [`Error::RecordingNotPending`], [`Error::VerificationPending`],
/// [`Error::IntegrityMismatch`], [`Error::FileSizeInvalid`], [`Error::NotFound`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/upload-complete", operation_id = "completeUpload",
    summary = "Complete the upload of a recording",
    description = "The status becomes `uploaded`, and `recording.uploaded` is published. At least one file must have \
        arrived. With `content_sha256` or `file_size_bytes`, the stored bytes are compared first.",
    tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(("id" = String, Path, description = "The recording.")),
    request_body(content = Option<Body>),
    responses(
        (status = 200, description = "The uploaded recording.", body = RecordingBody),
        (status = 409, description = "The stored bytes are not the claimed ones, or another request \
            changed the recording at the same time.",
            body = capstan_http::ErrorBody),
        (status = 425, description = "The stored bytes are being hashed. Retry after `Retry-After` seconds.",
            body = capstan_http::ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, objects, events): (Access, Objects, Events), request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::Upload).await?;
    let id: RecordingId = request.path_id("recording")?;
    let claim = Claim::of(&request)?;
    let visibility = caller.visibility();
    let store = access.store();
    let verification = Verification { store, objects: &objects, visibility: &visibility, now: request.now() };
    let completed = verification.complete(&id, &claim).await?;
    let recording = publish_completed(completed, Outbox::new(store, &events), request.now()).await?;
    Reply::ok(&RecordingBody::from(&recording))
}

#[cfg(test)]
mod tests;
