//! `POST /v1/recordings/{id}/upload-complete`

mod claim;
mod inspection;

use capstan_domain::{Action, Announcement, Error, Recording, RecordingId};
use capstan_events::Events;
use capstan_http::{Access, RecordingBody, Refusals, Reply, Request};
use capstan_objects::Objects;

use claim::{Body, Claim};
use inspection::{Completed, Inspection};

/// Completes an upload: the recording becomes `uploaded`, and `recording.uploaded` is told.
///
/// # Errors
/// [`Error::MediaNotUploaded`], [`Error::RecordingNotPending`], [`Error::VerificationPending`],
/// [`Error::IntegrityMismatch`], [`Error::FileSizeInvalid`], [`Error::NotFound`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/upload-complete", operation_id = "completeUpload", tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(("id" = String, Path, description = "The recording.")),
    request_body(content = Option<Body>),
    responses(
        (status = 200, description = "The recording, `uploaded`.", body = RecordingBody),
        (status = 409, description = "S3 holds other bytes than claimed, or another change came first.",
            body = capstan_http::ErrorBody),
        (status = 425, description = "The bytes are still being verified; ask again after `Retry-After` seconds.",
            body = capstan_http::ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, objects, events): (Access, Objects, Events), request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::Upload).await?;
    let id: RecordingId = request.path_id("recording")?;
    let claim = Claim::of(&request)?;
    let reach = caller.reach();
    let inspection = Inspection { store: access.store(), objects: &objects, reach: &reach, now: request.now() };
    let recording = match inspection.complete(&id, &claim).await? {
        Completed::Now(recording) => told(&events, recording).await,
        Completed::Before(recording) => recording,
    };
    Reply::ok(&RecordingBody::from(&recording))
}

/// The upload is complete whether or not the bus took the event: the recording is due, and told again when it was not.
async fn told(events: &Events, recording: Recording) -> Recording {
    if let Err(error) = events.announce(Announcement::Uploaded, &recording).await {
        tracing::warn!(recording_id = %recording.id, %error, "announced later");
    }
    recording
}

#[cfg(test)]
mod tests;
