//! `POST /v1/recordings/{id}/media/{media_id}/upload/complete`

use capstan_domain::{Action, ClaimedPart, EntityTag, Error, PartNumber};
use capstan_events::Events;
use capstan_http::{Access, MediaBody, Refusals, Reply, Request};
use capstan_objects::Objects;
use capstan_outbox::Outbox;
use capstan_uploads::MultipartCompletion;
use serde::Deserialize;
use utoipa::ToSchema;

/// The parts that the client has uploaded.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PartsClaim)]
pub struct Body {
    /// Every part with the ETag of S3's response, in any order. Absent or empty if the client cannot read ETags.
    parts: Option<Vec<PartClaim>>,
}

/// A part that the client has uploaded.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PartClaim {
    /// Number of the part.
    #[schema(value_type = u16, minimum = 1, maximum = 10_000)]
    part_number: PartNumber,
    /// `ETag` header of S3's response, with or without quotes.
    #[schema(value_type = String)]
    etag: EntityTag,
}

/// Joins the uploaded parts to one file.
///
/// # Errors
/// [`Error::PartsMissing`], [`Error::Invalid`] of the part that is wrong, [`Error::MultipartUploadExpired`],
/// [`Error::NotFound`], [`Error::Conflict`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/media/{media_id}/upload/complete", operation_id = "completeMultipartUpload",
    summary = "Complete a multipart upload",
    description = "Joins the parts to one file. Missing or wrong parts are named in the error and can be uploaded again. \
        A repeated request returns the same media file.",
    tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(
        ("id" = String, Path, description = "The recording."),
        ("media_id" = String, Path, description = "Identifier of a media file with a multipart upload."),
    ),
    request_body(content = Option<Body>),
    responses(
        (status = 200, description = "The uploaded media file.", body = MediaBody),
        (status = 409, description = "Another request changed the upload at the same time. Retry.", body = capstan_http::ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, objects, events): (Access, Objects, Events), request: Request) -> Result<Reply, Error> {
    let (_, recording) = access.recording(&request, Action::Upload).await?;
    let (media, upload) = recording.multipart_upload(&request.path_media_id()?)?;
    let claimed = claimed(&request)?;
    if media.uploaded().is_some() {
        return Reply::ok(&MediaBody::from(media));
    }
    let completion =
        MultipartCompletion { objects: &objects, recording: &recording, media, upload, now: request.now() };
    let object = completion.object(&claimed).await?;
    let uploaded = completion.record(access.store(), Outbox::new(access.store(), &events), object).await?;
    Reply::ok(&MediaBody::from(&uploaded))
}

fn claimed(request: &Request) -> Result<Vec<ClaimedPart>, Error> {
    let parts = request.json::<Body>()?.parts.unwrap_or_default();
    Ok(parts.into_iter().map(|part| ClaimedPart { number: part.part_number, etag: part.etag }).collect())
}

#[cfg(test)]
mod tests;
