//! Makes a device known.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(devices::create_device::handle)
}
