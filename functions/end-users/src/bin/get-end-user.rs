//! Gives an end user.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(end_users::get_end_user::handle)
}
