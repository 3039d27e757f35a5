//! `GET /v1/end-users/{id}`

use capstan_domain::{Action, Error};
use capstan_http::{Access, EndUserBody, Refusals, Reply, Request};

/// Returns an end user. Credential and end user are read concurrently.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/end-users/{id}", operation_id = "getEndUser",
    summary = "Retrieve an end user",
    description = "",
    tag = "End users",
    security(("secretKey" = []), ("restrictedKey" = ["end_users:read"])),
    params(("id" = String, Path, description = "The end user.")),
    responses((status = 200, description = "The end user.", body = EndUserBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let (_, end_user) = access.end_user(&request, Action::ReadEndUsers).await?;
    Reply::ok(&EndUserBody::from(&end_user))
}

#[cfg(test)]
mod tests;
