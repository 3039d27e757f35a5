//! Binds a device to an end user.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(devices::bind_device::handle)
}
