//! The owner of a file or a device: an end user whom a client names by `owner_id`.

use capstan_domain::{EndUser, EndUserId, Error, ExternalId, Tenant};
use capstan_http::Request;
use capstan_store::Store;

/// The end user that `owner_id` names, by id or `external_id`. `None` if there is none.
pub(crate) async fn find_owner(
    store: &Store,
    tenant: &Tenant,
    owner_id: &ExternalId,
) -> Result<Option<EndUser>, Error> {
    match owner_id.as_str().parse::<EndUserId>() {
        Ok(id) => Ok(store.end_user(&id).await?.filter(|known| known.tenant == *tenant)),
        Err(_) => store.end_user_called(tenant, owner_id).await,
    }
}

/// The end user that `owner_id` names, created if no end user has it as `external_id`.
///
/// # Errors
/// [`Error::Invalid`] for `owner_id` when it is an id of no end user.
pub(crate) async fn find_or_create_owner(
    store: &Store,
    tenant: &Tenant,
    owner_id: &ExternalId,
    request: &Request,
) -> Result<EndUser, Error> {
    if owner_id.as_str().parse::<EndUserId>().is_ok() {
        let unknown = || Error::invalid("owner_id", "must name an end user of this project");
        return find_owner(store, tenant, owner_id).await?.ok_or_else(unknown);
    }
    let id = EndUserId::new(request.now(), request.entropy());
    store.end_user_called_or(owner_id, EndUser::new(id, tenant.clone(), request.now())).await
}
