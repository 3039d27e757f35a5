//! `DELETE /v1/end-users/{id}`

use capstan_domain::{Action, Error};
use capstan_http::{Access, ErrorBody, Refusals, Reply, Request};

/// Deletes an end user, and unbinds the devices. Recordings stay.
///
/// # Errors
/// [`Error::NotFound`] also when they were deleted before, [`Error::Conflict`], [`Error::Unauthorized`],
/// [`Error::Forbidden`].
#[utoipa::path(
    delete, path = "/v1/end-users/{id}", operation_id = "deleteEndUser",
    summary = "Delete an end user",
    description = "Unbinds the end user's devices. Their tokens stop working at once. Recordings stay.",
    tag = "End users",
    security(("secretKey" = []), ("restrictedKey" = ["end_users:write"])),
    params(("id" = String, Path, description = "The end user.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 409, description = "Other requests keep binding devices to the end user. Retry.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let (_, end_user) = access.end_user(&request, Action::WriteEndUsers).await?;
    access.store().delete_end_user(end_user, request.now()).await?;
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests;
