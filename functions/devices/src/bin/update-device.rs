//! Updates a device.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(devices::update_device::handle)
}
