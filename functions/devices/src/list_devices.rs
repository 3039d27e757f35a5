//! `GET /v1/devices`

use capstan_domain::{Action, Error};
use capstan_http::{Access, DevicePage, Refusals, Reply, Request};

/// Lists devices, newest first.
///
/// # Errors
/// [`Error::Invalid`] of a query parameter, [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/devices", operation_id = "listDevices",
    summary = "List devices",
    description = "Newest first.",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:read"])),
    params(
        ("limit" = Option<u8>, Query, description = "Maximum number of items, 1 to 100. Default 25."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
    ),
    responses((status = 200, description = "A page of devices.", body = DevicePage), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::ReadDevices).await?;
    let after = request.cursor()?.map(|from| from.after);
    let limit = request.limit()?;
    let page = access.store().list_devices(&caller.tenant, after.as_ref(), limit).await?;
    Reply::ok(&DevicePage::from(&page))
}

#[cfg(test)]
mod tests;
