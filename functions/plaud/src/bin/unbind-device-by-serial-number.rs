//! Unbinds a device that is named by its serial number, for Plaud-shaped clients.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(plaud::unbind_device_by_serial_number::handle)
}
