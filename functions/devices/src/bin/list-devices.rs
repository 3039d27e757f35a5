//! Lists devices.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(devices::list_devices::handle)
}
