//! `POST /v1/devices/{id}/heartbeat`

use capstan_domain::{Action, Error, FirmwareVersion, Heartbeat};
use capstan_http::{Access, DeviceBody, Refusals, Reply, Request};
use serde::Deserialize;
use utoipa::ToSchema;

/// Report of a device, such as its battery level: any JSON object of at most 16 KiB. It replaces the last report.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = HeartbeatReport)]
pub struct Body {
    /// Present firmware version.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    firmware_version: Option<FirmwareVersion>,
}

/// Records a heartbeat.
///
/// # Errors
/// [`Error::Invalid`], [`Error::NotFound`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/devices/{id}/heartbeat", operation_id = "recordHeartbeat",
    summary = "Record a heartbeat",
    description = "Replaces the last heartbeat. A device may use `me` as its id.",
    tag = "Devices",
    security(("secretKey" = []), ("restrictedKey" = ["devices:write"]), ("deviceToken" = [])),
    params(("id" = String, Path, description = "Identifier of the device, or `me` with a device token.")),
    request_body = Option<Body>,
    responses((status = 200, description = "The updated device.", body = DeviceBody), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::Heartbeat).await?;
    let id = caller.device(request.path_id("device")?)?;
    let Body { firmware_version } = request.json()?;
    let heartbeat = Heartbeat { at: request.now(), report: request.json()? };
    let noted = access.store().record_heartbeat(&caller.tenant, &id, &heartbeat, firmware_version.as_ref()).await?;
    Reply::ok(&DeviceBody::from(&noted))
}

#[cfg(test)]
mod tests;
