//! Notes that a device is alive.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(devices::record_heartbeat::handle)
}
