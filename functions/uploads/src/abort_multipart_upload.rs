//! `DELETE /v1/recordings/{id}/media/{media_id}/upload`

use capstan_domain::{Action, Error, MediaStatus};
use capstan_http::{Access, Refusals, Reply, Request};
use capstan_objects::{ObjectKey, Objects};

/// Aborts a multipart upload, and removes the media file.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] when the upload is complete.
#[utoipa::path(
    delete, path = "/v1/recordings/{id}/media/{media_id}/upload", operation_id = "abortMultipartUpload",
    summary = "Abort a multipart upload",
    description = "Deletes the received parts and removes the media file from the recording. A completed upload gets \
        409.",
    tag = "Uploads",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:write"]), ("deviceToken" = []), ("uploadToken" = [])),
    params(
        ("id" = String, Path, description = "The recording."),
        ("media_id" = String, Path, description = "Identifier of a media file with a multipart upload."),
    ),
    responses(
        (status = 204, description = "Aborted."),
        (status = 409, description = "The upload is complete.", body = capstan_http::ErrorBody),
        Refusals,
    ),
)]
pub async fn handle((access, objects): (Access, Objects), request: Request) -> Result<Reply, Error> {
    let (caller, recording) = access.recording(&request, Action::Upload).await?;
    let (media, upload) = recording.multipart_upload(&request.path_media_id()?)?;
    if media.status() == MediaStatus::Uploaded {
        return Err(Error::Conflict { reason: "the upload is complete; its file goes with the recording".to_owned() });
    }
    let key = ObjectKey::of(&recording, media);
    let was_known = objects.abort_multipart_upload(&key, &upload.id).await?;
    access.store().remove_media(&caller.visibility(), &recording.id, &media.id, &upload.id, request.now()).await?;
    if !was_known {
        // It may have been made a file that nobody has noted yet, and now nobody will.
        objects.delete(&key).await?;
    }
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests;
