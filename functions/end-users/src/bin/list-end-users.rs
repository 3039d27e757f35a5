//! Lists end users.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(end_users::list_end_users::handle)
}
