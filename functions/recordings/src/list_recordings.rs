//! `GET /v1/recordings`

use capstan_domain::{Action, Caller, Error, Status};
use capstan_http::{Access, RecordingPage, Refusals, Reply, Request};
use capstan_store::ListQuery;

/// Lists recordings, newest first.
///
/// # Errors
/// [`Error::Invalid`] of a query parameter, [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    get, path = "/v1/recordings", operation_id = "listRecordings",
    summary = "List recordings",
    description = "Newest first. With a filter, a page may be shorter than `limit` although more follow.",
    tag = "Recordings",
    security(("secretKey" = []), ("restrictedKey" = ["recordings:read"])),
    params(
        ("limit" = Option<u8>, Query, description = "Maximum number of items, 1 to 100. Default 25."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
        ("offset" = Option<u16>, Query, description = "Number of recordings to skip, 0 to 10,000. Not with `cursor`."),
        ("device_id" = Option<String>, Query, description = "Only recordings of this device."),
        ("end_user_id" = Option<String>, Query, description = "Only recordings of this end user."),
        ("status" = Option<String>, Query, description = "Only recordings with this status."),
        ("created_after" = Option<String>, Query, description = "Only recordings created after this time."),
        ("updated_after" = Option<String>, Query, description = "Only recordings updated after this time."),
    ),
    responses((status = 200, description = "A page of recordings.", body = RecordingPage), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::ReadRecordings).await?;
    let page = access.store().list_recordings(&query(&caller, &request)?).await?;
    Reply::ok(&RecordingPage::from(&page))
}

fn query(caller: &Caller, request: &Request) -> Result<ListQuery, Error> {
    let time = "must be an ISO 8601 time, such as 2025-01-15T09:00:00Z";
    Ok(ListQuery {
        visibility: caller.visibility(),
        device_id: request.query("device_id", "must be a device id")?,
        end_user_id: request.query("end_user_id", "must be an end user id")?,
        status: request.query::<Status>("status", "must be pending, uploaded, processing, completed or failed")?,
        created_after: request.query("created_after", time)?,
        updated_after: request.query("updated_after", time)?,
        page: request.page()?,
    })
}

#[cfg(test)]
mod tests;
