//! End users: the people who own devices and recordings.

pub mod create_end_user;
pub mod delete_end_user;
pub mod get_end_user;
pub mod list_end_users;

use capstan_lambda::Registration;
use utoipa::OpenApi;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::http("create-end-user", create_end_user::handle),
        Registration::http("delete-end-user", delete_end_user::handle),
        Registration::http("get-end-user", get_end_user::handle),
        Registration::http("list-end-users", list_end_users::handle),
    ]
}

/// The operations of this area in the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(create_end_user::handle, list_end_users::handle, get_end_user::handle, delete_end_user::handle,))]
pub struct Operations;
