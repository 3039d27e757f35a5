//! `GET /v1/settings`

use capstan_domain::{Action, Error};
use capstan_http::{Access, Refusals, Reply, Request, SettingsBody};

/// Returns the settings of the caller's tenant.
///
/// # Errors
/// [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/settings", operation_id = "getSettings",
    summary = "Retrieve settings",
    description = "Settings of the project's live or test data, depending on the credential.",
    tag = "Settings",
    security(("secretKey" = []), ("restrictedKey" = ["transcriptions:read"])),
    responses((status = 200, description = "The settings.", body = SettingsBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::ReadTranscriptions).await?;
    let settings = access.store().settings(&caller.tenant).await?;
    Reply::ok(&SettingsBody::from(&settings))
}

#[cfg(test)]
mod tests;
