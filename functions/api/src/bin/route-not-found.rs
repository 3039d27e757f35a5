//! Answers what no other route does.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(api::route_not_found::handle)
}
