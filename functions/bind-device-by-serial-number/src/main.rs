//! Binds a device that is named by its serial number, for Plaud-shaped clients.

use capstan_http::Access;
use capstan_lambda::{StartError, serve_http};
use capstan_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = capstan_aws::configuration().await;
    let access = Access::new(Store::from_environment(&aws)?);
    serve_http(access, bind_device_by_serial_number::handle).await
}
