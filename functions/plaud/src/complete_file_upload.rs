//! `POST /api/files/upload-s3/complete-upload` and `POST /open/partner/files/upload/complete-upload`

mod answer;
mod body;
mod completion;

use capstan_domain::{Action, Error};
use capstan_events::Events;
use capstan_http::{ErrorBody, Refusals, Reply, Request};
use capstan_objects::Objects;
use capstan_outbox::Outbox;
use capstan_uploads::publish_completed;
use serde::Serialize;

use answer::{FileBody, PartnerFileBody, Signed};
use body::{Body, Claim};
use completion::FileCompletion;

use crate::credential::PlaudAccess;

/// Seconds for which the URLs of a response are valid.
const DOWNLOAD_SECONDS: u32 = 24 * 3600;

type Dependencies = (PlaudAccess, Objects, Events);

/// Handles both routes.
///
/// # Errors
/// Those of [`complete_file_upload`].
pub async fn handle(dependencies: Dependencies, request: Request) -> Result<Reply, Error> {
    match request.route() {
        "POST /open/partner/files/upload/complete-upload" => complete_partner_file_upload(dependencies, request).await,
        _ => complete_file_upload(dependencies, request).await,
    }
}

/// Joins the parts, verifies the file, and completes the recording.
///
/// # Errors
/// [`Error::PartsMissing`], [`Error::FileMd5NotMatch`], [`Error::VerificationPending`], [`Error::RecordingNotPending`],
/// [`Error::MultipartUploadExpired`], [`Error::NotFound`], [`Error::Invalid`].
#[utoipa::path(
    post, path = "/api/files/upload-s3/complete-upload", operation_id = "completeFileUpload",
    summary = "Complete the upload of a file",
    description = "Joins the parts to one file, compares it with `file_md5` if given, and completes the recording. \
        Missing parts are named in the error and can be uploaded again. A repeated request with the same body \
        returns the same file with a new URL.",
    tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    request_body = Body,
    responses(
        (status = 200, description = "The file.", body = FileBody),
        (status = 425, description = "The stored bytes are being hashed. Retry after `Retry-After` seconds.",
            body = ErrorBody),
        Refusals,
    ),
)]
pub async fn complete_file_upload(dependencies: Dependencies, request: Request) -> Result<Reply, Error> {
    complete::<FileBody>(dependencies, &request, false).await
}

/// As [`complete_file_upload`], for partners.
///
/// # Errors
/// Those of [`complete_file_upload`].
#[utoipa::path(
    post, path = "/open/partner/files/upload/complete-upload", operation_id = "completePartnerFileUpload",
    summary = "Complete the upload of a partner's file",
    description = "Joins the parts to one file and completes the recording. The response always contains the MD5 of the \
        stored bytes, except for files over 256 MiB that are not hashed yet.",
    tag = "Files",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    request_body = Body,
    responses(
        (status = 200, description = "The file.", body = PartnerFileBody),
        (status = 425, description = "The stored bytes are being hashed. Retry after `Retry-After` seconds.",
            body = ErrorBody),
        Refusals,
    ),
)]
pub async fn complete_partner_file_upload(dependencies: Dependencies, request: Request) -> Result<Reply, Error> {
    complete::<PartnerFileBody>(dependencies, &request, true).await
}

async fn complete<B>(
    (access, objects, events): Dependencies,
    request: &Request,
    by_partner: bool,
) -> Result<Reply, Error>
where
    B: Serialize + for<'a> From<Signed<'a>>,
{
    let read = Claim::read(request, by_partner, access.store());
    let (caller, (claim, found)) = access.caller_while_reading(request, Action::Upload, read).await?;
    let recording = caller.visibility().admit(found.ok_or(Error::NotFound { what: "file" })?)?;
    let signer = objects.signer_for(request.received_at(), DOWNLOAD_SECONDS).await?;
    let completion =
        FileCompletion { store: access.store(), objects: &objects, caller: &caller, claim: &claim, request };
    let completed = completion.complete(recording).await?;
    let recording = publish_completed(completed, Outbox::new(access.store(), &events), request.now()).await?;
    Reply::ok(&B::from(Signed::of(&recording, &signer).await?))
}

#[cfg(test)]
mod tests;
