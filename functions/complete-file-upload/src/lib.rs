//! `POST /api/files/upload-s3/complete-upload` and `POST /open/partner/files/upload/complete-upload`

mod answer;
mod body;
mod completion;

use capstan_domain::{Action, Error};
use capstan_events::Events;
use capstan_http::{Access, ErrorBody, Refusals, Reply, Request};
use capstan_objects::Objects;

use answer::{FileBody, PartnerFileBody, Signed};
use body::{Body, Claim};
use completion::Completion;

/// Seconds for which the URLs of an answer are good.
const DOWNLOAD_SECONDS: u32 = 24 * 3600;

/// Makes one file of the parts, checks it, and completes the recording that it is.
///
/// # Errors
/// [`Error::PartsMissing`], [`Error::FileMd5NotMatch`], [`Error::VerificationPending`], [`Error::RecordingNotPending`],
/// [`Error::MultipartUploadExpired`], [`Error::NotFound`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/api/files/upload-s3/complete-upload", operation_id = "completeFileUpload", tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    request_body = Body,
    responses(
        (status = 200, description = "The file.", body = FileBody),
        (status = 425, description = "The bytes are still being verified; ask again after `Retry-After` seconds.",
            body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, objects, events): (Access, Objects, Events), request: Request) -> Result<Reply, Error> {
    let read = Claim::read(&request, access.store());
    let (caller, (claim, found)) = access.caller_beside(&request, Action::Upload, read).await?;
    let recording = caller.reach().admit(found.ok_or(Error::NotFound { what: "file" })?)?;
    let signer = objects.signer_for(request.received_at(), DOWNLOAD_SECONDS).await?;
    let completion =
        Completion { store: access.store(), objects: &objects, caller: &caller, claim: &claim, request: &request };
    let recording = completion.complete(recording).await?.told(&events).await;
    let signed = Signed::of(&recording, &signer).await?;
    if claim.by_partner { Reply::ok(&PartnerFileBody::from(signed)) } else { Reply::ok(&FileBody::from(signed)) }
}

/// The same on the path of the partners' interface.
#[utoipa::path(
    post, path = "/open/partner/files/upload/complete-upload", operation_id = "completePartnerFileUpload",
    tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    request_body = Body,
    responses(
        (status = 200, description = "The file.", body = PartnerFileBody),
        (status = 425, description = "The bytes are still being verified; ask again after `Retry-After` seconds.",
            body = ErrorBody),
        Refusals,
    ),
)]
#[allow(dead_code, reason = "describes the second route to the handler in the OpenAPI document")]
pub fn for_partners() {}

#[cfg(test)]
mod tests;
