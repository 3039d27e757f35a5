//! `GET /v1/devices`

use capstan_domain::{Action, EndUser, EndUserId, Error};
use capstan_http::{Access, DevicePage, Refusals, Reply, Request};
use capstan_store::{Page, Store};

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
        ("offset" = Option<u16>, Query, description = "Number of items to skip, 0 to 10,000. Not with `cursor`."),
        ("end_user_id" = Option<String>, Query, description = "Only devices that are bound to this end user."),
    ),
    responses((status = 200, description = "A page of devices.", body = DevicePage), Refusals),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let store = access.store();
    let (caller, of) = access.caller_while_reading(&request, Action::ReadDevices, Of::read(store, &request)).await?;
    let query = request.page()?;
    let page = match of {
        Of::All => store.list_devices(&caller.tenant, &query).await?,
        Of::EndUser(found) => match EndUser::of(&caller.tenant, found.map(|found| *found)) {
            Ok(end_user) => store.list_devices_of(&end_user, &query).await?,
            // As with every filter of a list: what does not exist has none.
            Err(_) => Page { entities: Vec::new(), next: None },
        },
    };
    Reply::ok(&DevicePage::from(&page))
}

/// Which devices are wanted.
enum Of {
    All,
    /// Those of an end user, if it exists.
    EndUser(Option<Box<EndUser>>),
}

impl Of {
    async fn read(store: &Store, request: &Request) -> Result<Self, Error> {
        let id: Option<EndUserId> = request.query("end_user_id", "must be an end user id")?;
        let Some(id) = id else { return Ok(Self::All) };
        Ok(Self::EndUser(store.end_user(&id).await?.map(Box::new)))
    }
}

#[cfg(test)]
mod tests;
