//! `GET /v1/end-users`

use capstan_domain::{Action, Error, ExternalId};
use capstan_http::{Access, EndUserPage, Refusals, Reply, Request};

/// Lists end users, newest first, or the one with an external id.
///
/// # Errors
/// [`Error::Invalid`] of a query parameter, [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/end-users", operation_id = "listEndUsers",
    summary = "List end users",
    description = "Newest first. With `external_id`, the list contains only the end user with that `external_id`, if it \
        exists.",
    tag = "End users",
    security(("secretKey" = []), ("restrictedKey" = ["end_users:read"])),
    params(
        ("limit" = Option<u8>, Query, description = "Maximum number of items, 1 to 100. Default 25."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
        ("offset" = Option<u16>, Query, description = "Number of items to skip, 0 to 10,000. Not with `cursor`."),
        ("external_id" = Option<String>, Query, description = "Only the end user with this `external_id`."),
    ),
    responses((status = 200, description = "A page of end users.", body = EndUserPage), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::ReadEndUsers).await?;
    let external_id = request.query("external_id", ExternalId::RULE)?;
    let page = access.store().list_end_users(&caller.tenant, external_id.as_ref(), &request.page()?).await?;
    Reply::ok(&EndUserPage::from(&page))
}

#[cfg(test)]
mod tests;
