//! Deletes an end user.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(end_users::delete_end_user::handle)
}
