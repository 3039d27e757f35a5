//! `DELETE /v1/end-users/{id}`

use capstan_domain::{Action, EndUser, Error};
use capstan_http::{Access, Refusals, Reply, Request};

/// Deletes an end user: their devices are unbound and their tokens dead at once; their recordings stay.
///
/// # Errors
/// [`Error::NotFound`] also when they were deleted before, [`Error::Conflict`], [`Error::Unauthorized`],
/// [`Error::Forbidden`].
#[utoipa::path(
    delete, path = "/v1/end-users/{id}", operation_id = "deleteEndUser", tag = "End users",
    security(("secretKey" = []), ("restrictedKey" = ["end_users:write"])),
    params(("id" = String, Path, description = "The end user.")),
    responses((status = 204, description = "They are deleted."), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let read = async { access.store().end_user(&request.path_id("end user")?).await };
    let (caller, found) = access.caller_beside(&request, Action::WriteEndUsers, read).await?;
    let end_user = EndUser::of(&caller.tenant, found)?;
    access.store().delete_end_user(end_user, request.now()).await?;
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests;
