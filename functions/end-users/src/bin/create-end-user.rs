//! Creates an end user.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(end_users::create_end_user::handle)
}
