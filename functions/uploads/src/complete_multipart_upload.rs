//! `POST /v1/recordings/{id}/media/{media_id}/upload/complete`

use capstan_domain::{Action, ClaimedPart, EntityTag, Error, PartNumber};
use capstan_events::Events;
use capstan_http::{Access, MediaBody, Refusals, Reply, Request};
use capstan_objects::Objects;
use capstan_outbox::Outbox;
use capstan_uploads::MultipartCompletion;
use serde::Deserialize;
use utoipa::ToSchema;

/// The parts as the client knows them.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PartsClaim)]
pub struct Body {
    /// Every part with the ETag that S3 answered, in any order. Leave it out, or empty, where ETags cannot be read.
    parts: Option<Vec<PartClaim>>,
}

/// A part as the client knows it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PartClaim {
    /// Which.
    #[schema(value_type = u16, minimum = 1, maximum = 10_000)]
    part_number: PartNumber,
    /// The `ETag` header of S3's answer, with or without its quotes.
    #[schema(value_type = String)]
    etag: EntityTag,
}

/// Makes one file of the parts that were uploaded. Doing it again answers the same.
///
/// # Errors
/// [`Error::PartsMissing`], [`Error::Invalid`] of the part that is wrong, [`Error::MultipartUploadExpired`],
/// [`Error::NotFound`], [`Error::Conflict`].
#[utoipa::path(
    post, path = "/v1/recordings/{id}/media/{media_id}/upload/complete", operation_id = "completeMultipartUpload",
    tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(
        ("id" = String, Path, description = "The recording."),
        ("media_id" = String, Path, description = "A medium that is sent in parts."),
    ),
    request_body(content = Option<Body>),
    responses(
        (status = 200, description = "The medium, `uploaded`.", body = MediaBody),
        (status = 409, description = "Another change came first.", body = capstan_http::ErrorBody),
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
