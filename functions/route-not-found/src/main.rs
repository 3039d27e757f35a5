//! Answers what no other route does.

use capstan_lambda::{StartError, serve_http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    serve_http((), route_not_found::handle).await
}
