//! Gives the OpenAPI document.

use capstan_lambda::{StartError, serve_http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    serve_http((), get_openapi::handle).await
}
